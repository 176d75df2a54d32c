defmodule Caravan.Topology.PeersTest do
  use ExUnit.Case, async: true
  alias Caravan.Topology.Peers

  @a :"a@10.0.0.1"
  @b :"b@10.0.0.2"

  defp new, do: Peers.new(0, :seed)
  defp state(peers, node), do: Map.get(peers.by_node[node] || %{}, :state)

  # The events of each change, and the peers after all of them.
  defp run(peers \\ new(), changes) do
    Enum.reduce(changes, {[], peers}, fn {function, args}, {events, peers} ->
      {more, peers} = apply(Peers, function, [peers | args])
      {events ++ List.wrap(more), peers}
    end)
  end

  defp connected(node, now),
    do: elem(run(add: [now, node, false], due: [now, 9], up: [now, node]), 1)

  defp to_disconnect(peers),
    do: peers |> Peers.to_disconnect() |> elem(0) |> Enum.map(&elem(&1, 0))

  defp dialling(node), do: elem(run(add: [0, node, false], due: [0, 9]), 1)

  test "a new member is due at once, and once" do
    {[], peers} = run(add: [5, @a, false])
    assert Peers.next_wakeup(peers) == 5
    assert {[], ^peers} = Peers.due(peers, 4, 9)
    assert {[@a], peers} = Peers.due(peers, 5, 9)
    assert state(peers, @a) == :dialling
    assert {[], _} = Peers.due(peers, 100, 9)
    assert Peers.next_wakeup(peers) == :infinity
  end

  test "a member that is linked already is up" do
    {[:up], peers} = run(add: [0, @a, true])
    assert Peers.connected(peers) == [@a]
    assert {[], _} = Peers.due(peers, 0, 9)
  end

  test "members are dialled in random order, and no more than asked for" do
    nodes = for n <- 1..50, do: :"n#{n}@h"
    peers = Enum.reduce(nodes, new(), &elem(Peers.add(&2, 0, &1, false), 1))
    {first, peers} = Peers.due(peers, 0, 20)
    {rest, _} = Peers.due(peers, 0, 100)
    assert length(first) == 20
    assert Enum.sort(first ++ rest) == Enum.sort(nodes)
    assert first ++ rest != nodes
  end

  test "a failure backs off, longer each time, and is news once" do
    peers = dialling(@a)

    assert {[{:dial_failed, :probe, "no", true}], peers} =
             Peers.dial_failed(peers, 0, @a, :probe, "no")

    assert Peers.next_wakeup(peers) in 800..1_200

    {[], peers} = Peers.due(peers, 700, 9)
    {[@a], peers} = Peers.due(peers, 1_200, 9)

    assert {[{:dial_failed, :dial, "no", false}], peers} =
             Peers.dial_failed(peers, 1_200, @a, :dial, "no")

    assert Peers.next_wakeup(peers) in (1_200 + 1_280)..(1_200 + 1_920)

    assert [%{state: :backing_off, attempts: 2, error: "no", next_dial: ms}] =
             Peers.list(peers, 1_200)

    assert ms in 1_280..1_920
  end

  test "a peer that fails its probe is asked more often than one that fails to shake hands" do
    for {stage, range} <- [probe: 4_000..6_000, dial: 48_000..72_000] do
      peers =
        Enum.reduce(1..20, dialling(@a), fn _, peers ->
          {_, peers} = Peers.dial_failed(peers, 0, @a, stage, "no")
          {[@a], peers} = Peers.due(peers, 100_000, 1)
          peers
        end)

      {_, peers} = Peers.dial_failed(peers, 0, @a, stage, "no")
      assert Peers.next_wakeup(peers) in range
    end
  end

  test "a refused handshake backs off to ten minutes, while its refuser is watched" do
    refuser = {"a@h", 7}

    {now, peers} =
      Enum.reduce(1..20, {0, dialling(@a)}, fn _, {now, peers} ->
        {_, peers} = Peers.dial_failed(peers, now, @a, :dial, "no", refuser)
        [%{next_dial: ms}] = Peers.list(peers, now)
        {[], peers} = Peers.due(peers, now + min(ms, 30_000) - 1, 1)
        {[@a], peers} = Peers.due(peers, now + ms, 1)
        assert Peers.refuser(peers, now + ms, @a) == nil
        {now + ms, peers}
      end)

    {_, peers} = Peers.dial_failed(peers, now, @a, :dial, "no", refuser)
    assert [%{next_dial: ms}] = Peers.list(peers, now)
    assert ms in 480_000..720_000

    # Asked who it is, it is the same, and again.
    peers =
      Enum.reduce(1..3, peers, fn n, peers ->
        {[@a], peers} = Peers.due(peers, now + n * 30_000, 1)
        assert Peers.refuser(peers, now + n * 30_000, @a) == refuser
        assert {[], peers} = Peers.same(peers, now + n * 30_000, @a)
        peers
      end)

    assert [%{state: :backing_off, attempts: 21, next_dial: left}] =
             Peers.list(peers, now + 90_000)

    assert left == ms - 90_000
  end

  test "where nobody knows who refused it, nobody is asked before the next dial" do
    {_, peers} = run(dialling(@a), dial_failed: [0, @a, :dial, "no", :unknown])
    at = Peers.next_wakeup(peers)
    assert [%{next_dial: ^at}] = Peers.list(peers, 0)
    {[@a], peers} = Peers.due(peers, at, 1)
    assert Peers.refuser(peers, at - 1, @a) == nil
  end

  test "a peer that is gone, has moved or is to be tried again has refused nothing" do
    refused = fn ->
      Enum.reduce(1..12, dialling(@a), fn n, peers ->
        {_, peers} = Peers.dial_failed(peers, n * 1_000_000, @a, :dial, "no", {"a@h", 7})
        {[@a], peers} = Peers.due(peers, n * 1_000_000 + 900_000, 1)
        peers
      end)
    end

    now = 13_000_000
    {_, gone} = Peers.dial_failed(refused.(), now, @a, :probe, "no")
    {[@a], gone} = Peers.due(gone, now + 10_000, 1)
    {_, gone} = Peers.dial_failed(gone, now, @a, :dial, "no", {"a@h", 8})
    assert Peers.next_wakeup(gone) in (now + 800)..(now + 1_200)

    {_, waiting} = Peers.dial_failed(refused.(), now, @a, :dial, "no", {"a@h", 7})
    assert Peers.next_wakeup(waiting) > now + 1
    {[], moved} = Peers.move(waiting, now + 1, @a)

    for peers <- [moved, Peers.retry(waiting, now + 1)] do
      assert {[@a], peers} = Peers.due(peers, now + 1, 1)
      assert Peers.refuser(peers, now + 1, @a) == nil
      {_, peers} = Peers.dial_failed(peers, now + 1, @a, :dial, "no", {"a@h", 7})
      assert Peers.next_wakeup(peers) in (now + 801)..(now + 1_201)
    end
  end

  test "while a peer is asked whether it is the same a move, or a poll, has it dialled at once all the same" do
    refused = fn n, peers ->
      {_, peers} = Peers.dial_failed(peers, n * 1_000_000, @a, :dial, "no", {"x@y", 1})
      {[@a], peers} = Peers.due(peers, n * 1_000_000 + 30_000, 9)
      peers
    end

    asked = Enum.reduce(1..12, dialling(@a), refused)
    now = 12_030_000
    assert Peers.refuser(asked, now, @a) == {"x@y", 1}

    for peers <- [elem(Peers.move(asked, now, @a), 1), Peers.retry(asked, now)] do
      {[], peers} = Peers.same(peers, now, @a)
      assert {[@a], _} = Peers.due(peers, now, 9)
      assert Peers.refuser(peers, now, @a) == nil
    end
  end

  test "this node itself is forgotten when it is no member any more, be it before that is known" do
    assert {[], peers} = Peers.expire(dialling(@a), @a)
    assert {[:forgotten], peers} = Peers.self(peers, 10, @a)
    assert Peers.list(peers, 10) == []

    {[:self], peers} = Peers.self(dialling(@a), 10, @a)
    assert {[:forgotten], _} = Peers.expire(peers, @a)
  end

  test "this node itself under another name is dialled once, and again where the name has moved" do
    assert {[:self], peers} = Peers.self(dialling(@a), 10, @a)
    assert [%{state: :self, next_dial: nil}] = Peers.list(peers, 10)
    assert Peers.next_wakeup(peers) == :infinity
    assert {[], ^peers} = Peers.self(peers, 11, @a)
    {[], moved} = Peers.move(peers, 20, @a)
    assert {[@a], _} = Peers.due(moved, 20, 1)
    assert {[:forgotten], peers} = Peers.expire(peers, @a)
    assert Peers.list(peers, 30) == []
  end

  test "many dead peers are probed no more often than that" do
    nodes = for n <- 1..2_000, do: :"n#{n}@h"
    peers = Enum.reduce(nodes, new(), &elem(Peers.add(&2, 0, &1, false), 1))

    peers =
      Enum.reduce(1..12, peers, fn round, peers ->
        {due, peers} = Peers.due(peers, round * 100_000, 2_000)
        Enum.reduce(due, peers, &elem(Peers.dial_failed(&2, round * 100_000, &1, :probe, ""), 1))
      end)

    {soon, _} = Peers.due(peers, 1_200_000 + 10_000, 2_000)
    assert length(soon) < 400
  end

  test "a peer that comes up is news again when it fails again" do
    {_, peers} = run(dialling(@a), dial_failed: [0, @a, :probe, "no"])
    {[:up], peers} = Peers.up(peers, 10, @a)
    assert [%{state: :connected, error: nil, attempts: 0, next_dial: nil}] = Peers.list(peers, 10)

    {events, _} =
      run(peers, down: [20, @a, "gone"], due: [370, 9], dial_failed: [380, @a, :probe, "no"])

    assert events == [{:down, "gone", true}, @a, {:dial_failed, :probe, "no", true}]
  end

  test "a dial that fails after the peer has connected to us is no failure" do
    {[:up], peers} = Peers.up(dialling(@a), 10, @a)
    assert {[], ^peers} = Peers.dial_failed(peers, 20, @a, :dial, "no")
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
    {events, peers} =
      run(connected(@a, 0), left: [5, @a], left: [6, @a], down: [20_000, @a, "gone"])

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
