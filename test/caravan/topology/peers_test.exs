defmodule Caravan.Topology.PeersTest do
  use ExUnit.Case, async: true
  import Caravan.PeersSteps
  alias Caravan.Topology.Peers

  @a :"a@10.0.0.1"
  @b :"b@10.0.0.2"

  defp connected(node, now),
    do: elem(run(add: [now, node, false], due: [now, 9], up: [now, node]), 1)

  defp to_disconnect(peers),
    do: peers |> Peers.to_disconnect() |> elem(0) |> Enum.map(&elem(&1, 0))

  test "a member that is linked already is up" do
    {[:up], peers} = run(add: [0, @a, true])
    assert Peers.connected(peers) == [@a]
    assert {[], _} = Peers.due(peers, 0, 9)
  end

  test "a peer that comes up is news again when it fails again" do
    {_, peers} = run(dialling(@a), dial_failed: [0, @a, :probe, "no"])
    {[:up], peers} = Peers.up(peers, 10, @a)
    assert [%{state: :connected, error: nil, attempts: 0, next_dial: nil}] = Peers.list(peers, 10)

    {events, _} = run(peers, down: [20, @a, "gone"], due: [370, 9], dial_failed: [380, @a, :probe, "no"])

    assert events == [{:down, "gone", true}, @a, {:dial_failed, :probe, "no", true}]
  end

  test "a peer is a redial when it was lost or not reached, until it is up again" do
    refute Peers.redial?(dialling(@a), @a)
    {_, unreached} = run(dialling(@a), dial_failed: [0, @a, :probe, "no"])
    assert Peers.redial?(unreached, @a)
    {_, lost} = run(connected(@a, 0), down: [20_000, @a, "gone"])
    assert Peers.redial?(lost, @a)
    {_, back} = run(lost, up: [20_100, @a])
    refute Peers.redial?(back, @a)
  end

  test "up and down of a node that is no peer, and down of one that isn't up" do
    peers = new()
    assert {[], ^peers} = Peers.up(peers, 0, @a)
    assert {[], ^peers} = Peers.down(peers, 0, @a, "gone")
    peers = dialling(@a)
    assert {[], ^peers} = Peers.down(peers, 0, @a, "gone")
    peers = connected(@a, 0)
    assert {[], ^peers} = Peers.up(peers, 9, @a)
  end

  test "a lost link is dialled a moment later" do
    {[{:down, "gone", true}], peers} = Peers.down(connected(@a, 0), 20_000, @a, "gone")
    at = Peers.next_wakeup(peers)
    assert (at - 20_000) in 150..350
    assert {[], ^peers} = Peers.due(peers, at - 1, 1)
    assert {[@a], _} = Peers.due(peers, at, 1)
  end

  test "a link that breaks again and again backs off" do
    {gaps, _} =
      Enum.map_reduce(1..12, connected(@a, 0), fn _, peers ->
        {_, peers} = Peers.down(peers, 5, @a, "gone")
        gap = Peers.next_wakeup(peers) - 5
        {[@a], peers} = Peers.due(peers, 5 + gap, 1)
        {[:up], peers} = Peers.up(peers, 0, @a)
        {gap, peers}
      end)

    assert [first, second, third | _] = gaps
    assert first in 150..350
    assert second in 800..1_200
    assert third in 1_280..1_920
    assert List.last(gaps) in 48_000..72_000
  end

  test "a peer that moved is dialled at once" do
    {_, peers} = run(dialling(@a), dial_failed: [0, @a, :dial, "no"], move: [1, @a])

    assert {[@a], _} = Peers.due(peers, 1, 1)
    peers = connected(@a, 0)
    assert {[], ^peers} = Peers.move(peers, 1, @a)
    assert {[], _} = Peers.move(peers, 1, @b)
  end

  test "an expired member is forgotten, a live one when its link is gone" do
    assert {[:forgotten], %{by_node: peers}} = Peers.expire(elem(run(add: [0, @a, false]), 1), @a)
    assert peers == %{}

    {[], peers} = Peers.expire(connected(@a, 0), @a)
    assert Peers.connected(peers) == [@a]
    assert Peers.members(peers) == []
    assert {[{:down, "gone", false}, :forgotten], peers} = Peers.down(peers, 9, @a, "gone")
    assert peers.by_node == %{}

    {[], peers} = Peers.expire(dialling(@a), @a)
    assert {[:forgotten], _} = Peers.dial_failed(peers, 9, @a, :probe, "no")
    assert {[:up], _} = Peers.up(peers, 9, @a)
  end

  test "a member that comes back while its link lives is a member again" do
    {_, peers} = run(connected(@a, 0), expire: [@a], add: [9, @a, true])
    assert Peers.members(peers) == [@a]
    assert {[{:down, _, true}], _} = Peers.down(peers, 10, @a, "gone")
  end

  test "withdrawn peers are disconnected a fifth at a time, at least one, the others never" do
    nodes = for n <- 1..12, do: :"n#{n}@h"
    peers = Enum.reduce(nodes, new(), &elem(Peers.add(&2, 0, &1, true), 1))
    assert to_disconnect(peers) == []
    gone = Enum.take(nodes, 5)
    peers = Enum.reduce(gone, peers, &elem(Peers.withdraw(&2, &1), 1))

    assert [a, b] = to_disconnect(peers)
    assert a in gone and b in gone
    {_, peers} = run(peers, down: [1, a, "disconnect"], down: [1, b, "disconnect"])
    assert Peers.count(peers) == 10
    assert [_, _] = to_disconnect(peers)

    # One that returns is spared, one that expires is not.
    [c, d, e] = gone -- [a, b]
    {_, peers} = run(peers, add: [2, c, true], add: [2, d, true], expire: [e])
    assert to_disconnect(peers) == [e]
    assert c in Peers.members(peers)
  end

  test "one that could not be disconnected is tried again after the others, and is news once" do
    {_, peers} = run(add: [0, @a, true], add: [0, @b, true], withdraw: [@a], withdraw: [@b])
    assert {[{first, true}], peers} = Peers.to_disconnect(peers)
    assert {[{second, true}], peers} = Peers.to_disconnect(peers)
    assert Enum.sort([first, second]) == [@a, @b]
    assert {[{_, false}], peers} = Peers.to_disconnect(peers)
    # It is news again when it was back.
    {_, peers} = run(peers, add: [1, @a, true], expire: [@b], withdraw: [@a])
    assert {[{@a, true}], _} = Peers.to_disconnect(peers)
  end

  test "a single withdrawn peer can be disconnected, and is not dialled again" do
    {[], peers} = Peers.withdraw(connected(@a, 0), @a)
    assert to_disconnect(peers) == [@a]
    {[{:down, _, false}, :forgotten], peers} = Peers.down(peers, 20_000, @a, "disconnect")
    assert {[], _} = Peers.due(peers, 99_000, 9)
    assert to_disconnect(peers) == []
  end

  test "a peer that is withdrawn while it is dialled is disconnected when that succeeds" do
    {[], peers} = run(dialling(@a), withdraw: [@a], expire: [@a])
    assert to_disconnect(peers) == []
    {[:up], peers} = Peers.up(peers, 1, @a)
    assert to_disconnect(peers) == [@a]
  end

  test "a withdrawn member that isn't linked is forgotten, and returns as a new one" do
    {[:forgotten], peers} = Peers.withdraw(elem(run(add: [0, @a, false]), 1), @a)
    assert {[], peers} = Peers.add(peers, 1, @a, false)
    assert {[@a], _} = Peers.due(peers, 1, 1)
  end

  test "a peer that said good-bye is left alone for a minute" do
    {events, peers} = run(connected(@a, 0), left: [5, @a], left: [6, @a], down: [20_000, @a, "gone"])

    assert events == [:leaving, {:down, "gone", false}]
    assert Peers.count(peers) == 0
    assert {[], _} = Peers.due(peers, 79_999, 9)
    assert {[@a], _} = Peers.due(peers, 80_000, 9)
  end

  test "a peer that said good-bye doesn't count, and counts when it connects again" do
    {_, peers} = run(connected(@a, 0), left: [5, @a])
    assert {Peers.connected(peers), state(peers, @a), peers.changed_at} == {[], :leaving, 5}
    {_, peers} = run(peers, down: [6, @a, "gone"], up: [7, @a])
    assert {Peers.connected(peers), state(peers, @a)} == {[@a], :connected}
    assert Peers.next_wakeup(peers) == :infinity
  end

  test "good-bye before the link or in a dial" do
    {[:leaving], peers} = Peers.left(dialling(@a), 5, @a)
    assert {[], peers} = Peers.dial_failed(peers, 6, @a, :dial, "no")
    assert Peers.next_wakeup(peers) == 60_005
    assert {[], _} = Peers.left(new(), 5, @b)
  end

  test "what has changed, seen from the list of all linked nodes" do
    {_, peers} = run(connected(@a, 0), add: [0, @b, false], add: [0, :c@h, true])
    assert Peers.reconcile(peers, [@b, :c@h, :tool@h]) == {[@b], [@a]}
    {_, peers} = run(peers, left: [1, :c@h])
    assert Peers.reconcile(peers, [@a, :c@h]) == {[], []}
  end

  test "when the connected peers last changed" do
    peers = connected(@a, 5)
    assert peers.changed_at == 5
    {_, peers} = run(peers, add: [6, @b, false], due: [7, 1], dial_failed: [8, @b, :dial, "no"])
    assert peers.changed_at == 5
    {_, peers} = run(peers, down: [9, @a, "gone"])
    assert peers.changed_at == 9
  end

  test "a quiet moment costs no walk over the peers" do
    nodes = for n <- 1..20_000, do: :"n#{n}@h"
    peers = Enum.reduce(nodes, new(), &elem(Peers.add(&2, 0, &1, true), 1))
    {_, reductions} = Process.info(self(), :reductions)

    for now <- 1..100,
        do: {Peers.due(peers, now, 9), Peers.next_wakeup(peers), Peers.count(peers)}

    {_, more} = Process.info(self(), :reductions)
    assert more - reductions < 20_000
  end
end
