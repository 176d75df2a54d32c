defmodule Caravan.Top.TriageTest do
  use ExUnit.Case, async: true
  import Caravan.Statuses
  alias Caravan.Status
  alias Caravan.Top.Triage

  defp verdict(statuses), do: statuses |> Map.new(&{&1.name, &1}) |> Triage.statuses() |> Triage.verdict()

  test "those in trouble come first, then by the numbers in their names" do
    peers = [peer(:"a-10@h"), peer(:"a-9@h"), peer(:"a-8@h", state: :leaving), missing(:"a-12@h"), missing(:"a-7@h")]
    %{peers: peers} = Triage.status({:my_app, status(peers)})
    assert Enum.map(peers, & &1.node) == [:"a-7@h", :"a-12@h", :"a-8@h", :"a-9@h", :"a-10@h"]
  end

  test "those with the same fault stay together" do
    error = &"nothing listens at 10.0.0.#{&1}:343#{&1}, not a-#{&1} on host#{&1}"
    dead = for n <- [1, 2, 4], do: missing(:"a-#{n}@host#{n}", error: error.(n))
    %{peers: peers} = Triage.status({:my_app, status([missing(:"a-3@host3", error: "another cookie") | dead])})
    assert Enum.map(peers, & &1.node) == [:"a-1@host1", :"a-2@host2", :"a-4@host4", :"a-3@host3"]
    assert Triage.fault(peer(:a@h, error: "an old one")) == nil
  end

  test "only links that this node wants are missing" do
    for {level, fields} <- [
          good: [],
          good: [pick: false],
          good: [pick: false, state: :dialling],
          good: [state: :self],
          odd: [state: :self, error: "DNS lists this node as b@h"],
          odd: [state: :leaving],
          odd: [state: :idle],
          odd: [state: :dialling],
          bad: [state: :dialling, attempts: 1],
          bad: [state: :idle, error: "connection_closed"],
          bad: [state: :backing_off]
        ],
        do: assert({fields, Triage.peer_level(peer(:a@h, fields))} == {fields, level})
  end

  test "a verdict on everything, the worst first" do
    assert verdict([]) == {:odd, "no topology runs on this node"}
    assert verdict([status([])]) == {:good, "nothing is wrong, and there are no peers"}
    assert verdict([status([peer(:a@h), peer(:b@h, state: :self)])]) == {:good, "the only peer is connected"}
    assert verdict([status([peer(:a@h), peer(:b@h)])]) == {:good, "both peers are connected"}
    assert verdict([status([peer(:a@h), peer(:b@h), peer(:c@h)])]) == {:good, "all 3 peers are connected"}
    assert verdict([status([peer(:a@h), missing(:b@h)])]) == {:bad, "1 of 2 peers not connected"}
    stuck = %Status{name: :other, responding: false}

    worst = [
      status([missing(:a@h), peer(:b@h, state: :dialling)], queries: [failed("no answer")], draining: true),
      stuck
    ]

    assert verdict(worst) ==
             {:bad,
              ":other is not responding, 1 of 2 peers not connected, 1 lookup failed, 1 peer being dialed, draining"}

    odd = [
      queries: [query(outcome: nil), query(incomplete: "truncated"), query(unresolved: ["h"])],
      refused: [%{reason: :short_name, count: 2, example: "h"}]
    ]

    assert verdict([status([peer(:b@h, state: :leaving), peer(:c@h, state: :self, error: "another name")], odd)]) ==
             {:odd,
              "1 peer leaving, DNS has another name for this node, 1 query not looked up yet, 2 answers incomplete, " <>
                "2 names refused or waiting"}
  end

  test "the topology with the gravest fault comes first" do
    statuses = [status([peer(:a@h)], name: :b), status([missing(:a@h)], name: :c), status([], name: :a, draining: true)]
    assert statuses |> Map.new(&{&1.name, &1}) |> Triage.statuses() |> Enum.map(& &1.name) == [:c, :a, :b]
  end

  test "a status of another version may lack fields, or have more" do
    old = %{__struct__: Status, name: :app, peers: [%{node: :a@h, state: :connected}], queries: [%{query: "q"}], new: 1}
    assert [%Status{name: :app, responding: true, peers: [%{pick: true}]} = status] = Triage.statuses(%{app: old})
    assert {:odd, "1 query not looked up yet"} = Triage.verdict([status])
  end
end
