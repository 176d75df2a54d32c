defmodule Caravan.Survey.GraphTest do
  use ExUnit.Case, async: true
  alias Caravan.Status
  alias Caravan.Survey.Graph

  # What a node answers that is linked with `links` and runs the topology `:app` with `peers`.
  defp answer(links, peers \\ nil, spares \\ 0) do
    statuses =
      if peers do
        peers = for {node, state, pick} <- peers, do: %{node: node, state: state, pick: pick}
        %{app: %Status{name: :app, peers: peers, spares: spares}}
      end

    %{links: links, statuses: statuses || %{}}
  end

  defp edges(answers), do: Graph.new(:a@h, answers).edges
  defp nodes(answers), do: Map.new(Graph.new(:a@h, answers).nodes)

  test "each link is there once, whoever tells of it" do
    answers = %{a@h: answer([:b@h, :c@h]), b@h: answer([:a@h, :c@h]), c@h: answer([:a@h, :b@h])}
    assert edges(answers) == [{:a@h, :b@h, :linked}, {:a@h, :c@h, :linked}, {:b@h, :c@h, :linked}]
  end

  test "in a full mesh each pair is missing that isn't linked, even if neither lists the other" do
    a = answer([:b@h, :c@h], [{:b@h, :connected, true}, {:c@h, :connected, true}])
    answers = %{a@h: a, b@h: answer([:a@h], []), c@h: answer([:a@h], [])}
    assert {:b@h, :c@h, :missing} in edges(answers)

    # Of nodes that run different topologies, or none, nothing is known.
    other = %{links: [:a@h], statuses: %{other: %Status{name: :other}}}
    for c <- [other, answer([:a@h])], do: refute({:b@h, :c@h, :missing} in edges(%{answers | c@h: c}))
  end

  test "of picked nodes, those that aren't linked are missing" do
    peers = [
      {:b@h, :connected, true},
      {:c@h, :backing_off, true},
      {:d@h, :dialling, true},
      {:e@h, :idle, true},
      {:f@h, :idle, false},
      {:g@h, :leaving, true},
      {:a@h, :self, false}
    ]

    answers = %{a@h: answer([:b@h], peers, 3), b@h: answer([:a@h], [], 5)}
    missing = for node <- [:c@h, :d@h, :e@h], do: {:a@h, node, :missing}
    assert edges(answers) == [{:a@h, :b@h, :linked} | missing]
    assert %{c@h: :unlinked, d@h: :unlinked, e@h: :unlinked} = nodes = nodes(answers)
    assert map_size(nodes) == 5
  end

  test "one node that leaves others alone tells of a bounded mesh" do
    answers = %{a@h: answer([:b@h, :c@h], []), b@h: answer([:a@h], []), c@h: answer([:a@h], [], 1)}
    assert Enum.all?(edges(answers), fn {_, _, kind} -> kind == :linked end)
  end

  test "a link that another node has made is none that is missing" do
    answers = %{a@h: answer([:b@h], [{:b@h, :dialling, true}]), b@h: answer([:a@h])}
    assert edges(answers) == [{:a@h, :b@h, :linked}]
  end

  test "connected peers are links, be they hidden or listed by the user's function" do
    answers = %{a@h: answer([], [{:b@h, :connected, true}]), b@h: answer([], [{:a@h, :connected, true}])}
    assert edges(answers) == [{:a@h, :b@h, :linked}]
  end

  test "of a link that only one of its ends knows of, both must have answered" do
    answers = %{a@h: answer([:b@h, :c@h]), b@h: answer([]), c@h: :none}
    assert edges(answers) == [{:a@h, :b@h, :one_sided}, {:a@h, :c@h, :linked}]
  end

  test "a node stands as what it has said, and what others have" do
    answers = %{a@h: answer([:b@h, :c@h]), b@h: answer([:a@h, :d@h], [{:e@h, :idle, true}]), c@h: :none}
    assert nodes(answers) == %{a@h: :this, b@h: :answered, c@h: :silent, d@h: :unasked, e@h: :unlinked}
  end

  test "a topology that doesn't respond wants nothing that we know of" do
    answers = %{a@h: answer([:b@h, :c@h], []), b@h: answer([:a@h], []), c@h: answer([:a@h], [])}
    assert {:b@h, :c@h, :missing} in edges(answers)
    stuck = %{links: [:a@h], statuses: %{app: %Status{name: :app, responding: false}}}
    refute {:b@h, :c@h, :missing} in edges(%{answers | c@h: stuck})
  end

  test "a status of another release, which lacks a field, counts as none" do
    other = %{links: [:a@h], statuses: %{app: Map.delete(%Status{name: :app}, :spares)}}
    assert edges(%{a@h: answer([:b@h], []), b@h: other}) == [{:a@h, :b@h, :linked}]
  end

  test "a node alone is a graph, too" do
    assert Graph.new(:nonode@nohost, %{nonode@nohost: answer([])}) == %Graph{nodes: [nonode@nohost: :this], edges: []}
  end
end
