defmodule Caravan.Topology.Peers.DialsTest do
  # Who is dialled when, and what comes of it.
  use ExUnit.Case, async: true
  import Caravan.PeersSteps
  alias Caravan.Topology.Peers

  @a :"a@10.0.0.1"

  test "a new member is due at once, and once" do
    {[], peers} = run(add: [5, @a, false])
    assert Peers.next_wakeup(peers) == 5
    assert {[], ^peers} = Peers.due(peers, 4, 9)
    assert {[@a], peers} = Peers.due(peers, 5, 9)
    assert state(peers, @a) == :dialling
    assert {[], _} = Peers.due(peers, 100, 9)
    assert Peers.next_wakeup(peers) == :infinity
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

    assert {[{:dial_failed, :probe, "no", true}], peers} = Peers.dial_failed(peers, 0, @a, :probe, "no")

    assert Peers.next_wakeup(peers) in 800..1_200

    {[], peers} = Peers.due(peers, 700, 9)
    {[@a], peers} = Peers.due(peers, 1_200, 9)

    assert {[{:dial_failed, :dial, "no", false}], peers} = Peers.dial_failed(peers, 1_200, @a, :dial, "no")

    assert Peers.next_wakeup(peers) in (1_200 + 1_280)..(1_200 + 1_920)

    assert [%{state: :backing_off, attempts: 2, error: "no", next_dial: ms}] = Peers.list(peers, 1_200)

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

  test "who has refused a handshake is left alone for ten minutes, but watched" do
    refuser = {"a@h", 7}
    now = 1_000
    {_, peers} = Peers.dial_failed(dialling(@a), now, @a, :dial, "no", refuser)
    assert [%{next_dial: ms}] = Peers.list(peers, now)
    assert ms in 600_000..840_000
    {[], _} = Peers.due(peers, now + 29_999, 1)

    # Asked who it is, it is the same, and again.
    peers =
      Enum.reduce(1..3, peers, fn n, peers ->
        {[@a], peers} = Peers.due(peers, now + n * 30_000, 1)
        assert Peers.refuser(peers, now + n * 30_000, @a) == refuser
        assert {[], peers} = Peers.same(peers, now + n * 30_000, @a)
        peers
      end)

    assert [%{state: :backing_off, attempts: 1, next_dial: left}] = Peers.list(peers, now + 90_000)

    assert left == ms - 90_000
  end

  test "where nobody knows who refused it, nobody is asked before the next dial" do
    for {refuser, range} <- [unknown: 800..1_200, logs: 600_000..840_000] do
      {_, peers} = run(dialling(@a), dial_failed: [0, @a, :dial, "no", refuser])
      at = Peers.next_wakeup(peers)
      assert at in range
      assert [%{next_dial: ^at}] = Peers.list(peers, 0)
      {[@a], peers} = Peers.due(peers, at, 1)
      assert Peers.refuser(peers, at - 1, @a) == nil
    end
  end

  test "what refuses everybody, and isn't known, backs off to ten minutes" do
    {now, peers} =
      Enum.reduce(1..20, {0, dialling(@a)}, fn _, {now, peers} ->
        {_, peers} = Peers.dial_failed(peers, now, @a, :dial, "no", :unknown)
        at = Peers.next_wakeup(peers)
        {[@a], peers} = Peers.due(peers, at, 1)
        {at, peers}
      end)

    {_, peers} = Peers.dial_failed(peers, now, @a, :dial, "no", :unknown)
    assert [%{next_dial: ms}] = Peers.list(peers, now)
    assert ms in 480_000..720_000
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
    {_, gone} = Peers.dial_failed(gone, now, @a, :dial, "no", :unknown)
    assert Peers.next_wakeup(gone) in (now + 800)..(now + 1_200)

    {_, waiting} = Peers.dial_failed(refused.(), now, @a, :dial, "no", {"a@h", 7})
    assert Peers.next_wakeup(waiting) > now + 1
    {[], moved} = Peers.move(waiting, now + 1, @a)

    for peers <- [moved, Peers.retry(waiting, now + 1)] do
      assert {[@a], peers} = Peers.due(peers, now + 1, 1)
      assert Peers.refuser(peers, now + 1, @a) == nil
      {_, peers} = Peers.dial_failed(peers, now + 1, @a, :dial, "no", :unknown)
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

  test "a dial that fails after the peer has connected to us is no failure" do
    {[:up], peers} = Peers.up(dialling(@a), 10, @a)
    assert {[], ^peers} = Peers.dial_failed(peers, 20, @a, :dial, "no")
  end
end
