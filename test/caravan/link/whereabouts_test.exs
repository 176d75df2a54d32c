defmodule Caravan.Link.WhereaboutsTest do
  use ExUnit.Case, async: true
  alias Caravan.Link.Whereabouts

  @node :"app-4370@n1.test"
  @host ~c"n1.test"
  @far :"app-4370@far.test"
  @near :"app-4370@near.test"
  @listens {10, 77, 0, 1}
  @source {10, 77, 0, 201}
  @loopback {127, 0, 1, 1}

  setup do
    known =
      Whereabouts.new()
      |> link(@far, {10, 77, 0, 99}, false)
      |> link(@near, {127, 0, 0, 1}, false)

    %{known: known}
  end

  test "a node that was dialled is where it was dialled, whatever it says", %{known: known} do
    assert where(known) == :unknown
    known = known |> link(@node, @listens, true) |> Whereabouts.said(@node, [@source])
    assert where(known) == {:ok, @listens}
    assert Whereabouts.where(known, @host, :inet6, @far) == :unknown
    assert Whereabouts.where(known, ~c"n2.test", :inet, @far) == :unknown
    assert known |> Whereabouts.down(@node) |> where() == :unknown
  end

  test "what is both said and seen is certain", %{known: known} do
    known = link(known, @node, @source, false)
    assert where(known) == {:try, @node, [@source]}
    assert known |> Whereabouts.said(@node, [@listens, @source]) |> where() == {:ok, @source}
  end

  test "what is only said, or only seen, is tried first", %{known: known} do
    said = known |> link(@node, @source, false) |> Whereabouts.said(@node, [@listens])
    assert where(said) == {:try, @node, [@listens, @source]}
    assert said |> Whereabouts.found(@node, @source) |> where() == {:ok, @source}

    # It says something else: what was found is old.
    again = said |> Whereabouts.found(@node, @source) |> Whereabouts.said(@node, [@listens])
    assert where(again) == {:try, @node, [@listens, @source]}
  end

  test "before that what was said is told, and what was seen isn't", %{known: known} do
    said = known |> link(@node, @source, false) |> Whereabouts.said(@node, [@listens])
    assert Whereabouts.untried([@listens, @source], said, @node) == {:ok, @listens}
    assert Whereabouts.untried([@source], known, @node) == :unknown
    assert [@listens] |> Whereabouts.untried(Whereabouts.down(said, @node), @node) == :unknown
  end

  test "loopback is told to who is linked over it, and to nobody else", %{known: known} do
    dialled = link(known, @node, @loopback, true)
    assert Whereabouts.where(dialled, @host, :inet, @near) == {:ok, @loopback}

    for asker <- [@far, :"app-4370@stranger.test"],
        do: assert(Whereabouts.where(dialled, @host, :inet, asker) == :unknown)

    said = known |> link(@node, @loopback, false) |> Whereabouts.said(@node, [@loopback, @listens])

    assert Whereabouts.where(said, @host, :inet, @near) == {:ok, @loopback}
    assert where(said) == {:try, @node, [@listens]}
  end

  test "several nodes of one host: one that was dialled knows best", %{known: known} do
    other = :"other-4371@n1.test"
    known = known |> link(@node, @source, false) |> link(other, @listens, true)
    assert where(known) == {:ok, @listens}
  end

  test "what comes late counts for nobody else", %{known: known} do
    known = Whereabouts.up(known, @node, make_ref())
    assert known |> Whereabouts.seen(@node, make_ref(), @listens, true) |> where() == :unknown
    gone = Whereabouts.down(known, @node)
    assert Whereabouts.said(gone, @node, [@listens]) == gone
    assert Whereabouts.found(gone, @node, @listens) == gone
  end

  test "IPv6", %{known: known} do
    address = {0xFD00, 0, 0, 0, 0, 0, 0, 1}
    known = link(known, @node, address, true)
    assert Whereabouts.where(known, @host, :inet6, @far) == {:ok, address}
    assert where(known) == :unknown
    known = link(known, @node, {0, 0, 0, 0, 0, 0, 0, 1}, true)
    assert Whereabouts.where(known, @host, :inet6, @far) == :unknown
  end

  defp where(known), do: Whereabouts.where(known, @host, :inet, @far)

  defp link(known, node, address, dialled?) do
    ref = make_ref()
    known |> Whereabouts.up(node, ref) |> Whereabouts.seen(node, ref, address, dialled?)
  end
end
