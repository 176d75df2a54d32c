defmodule Caravan.Topology.PeersPropertyTest do
  use ExUnit.Case, async: true
  alias Caravan.Topology.Peers

  describe "any sequence of events" do
    for seed <- 1..60 do
      test "keeps the invariants (seed #{seed})" do
        :rand.seed(:exsss, unquote(seed))
        nodes = for n <- 1..(1 + :rand.uniform(15)), do: :"n#{n}@h"

        Enum.reduce(1..400, {0, Peers.new(0, unquote(seed))}, fn _, {now, peers} ->
          now = now + :rand.uniform(3_000)
          node = Enum.random(nodes)
          linked? = linked?(peers, node)

          {result, after_} =
            case :rand.uniform(15) do
              1 -> Peers.add(peers, now, node, linked? or :rand.uniform(4) == 1)
              2 -> Peers.expire(peers, node)
              3 -> Peers.withdraw(peers, node)
              4 -> Peers.move(peers, now, node)
              5 -> Peers.up(peers, now, node)
              6 -> Peers.down(peers, now, node, "gone")
              7 -> failed(peers, now, node)
              8 -> Peers.left(peers, now, node)
              9 -> {[], Peers.cancel_dials(peers, now)}
              10 -> Peers.stayed(peers, now, node)
              11 -> Peers.same(peers, now, node)
              12 -> Peers.self(peers, now, node)
              13 -> {[], Peers.retry(peers, now)}
              _ -> Peers.due(peers, now, :rand.uniform(4) - 1)
            end

          check(peers, after_, now, result)
          {now, after_}
        end)
      end
    end

    defp failed(peers, now, node) do
      {stage, refuser} = Enum.random(probe: nil, dial: nil, dial: :unknown, dial: {"x@y", 1})
      Peers.dial_failed(peers, now, node, stage, "no", refuser)
    end

    defp linked?(peers, node) do
      peer = peers.by_node[node]
      peer != nil and peer.state in [:connected, :leaving] and peer.entry == nil
    end

    defp check(before, peers, now, result) do
      queue = :gb_sets.to_list(peers.queue)
      all = Map.values(peers.by_node)

      # Who waits is in the queue, once, and nobody else is.
      assert queue == Enum.sort(for %{entry: entry} when entry != nil <- all, do: entry)
      for %{state: state, entry: entry} <- all, state in [:idle, :backing_off], do: assert(entry)
      for %{state: :dialling, entry: entry} <- all, do: refute(entry)

      assert MapSet.new(for %{state: :dialling, node: node} <- all, do: node) == peers.dialling
      assert MapSet.new(for %{state: :connected, node: node} <- all, do: node) == peers.connected
      for {node, _} <- peers.withdrawn, do: assert(linked?(peers, node))

      for %{membership: :withdrawn, node: node} <- all,
          linked?(peers, node),
          do: assert(is_map_key(peers.withdrawn, node))

      # Only live peers and dials under way outlast their membership.
      for %{membership: s} = peer when s != :member <- all,
          do: assert(peer.state == :dialling or linked?(peers, peer.node))

      # Nobody waits for longer than a minute and its jitter; who can't be told apart from another, ten times as long.
      for {at, _, node} <- queue do
        most = if peers.by_node[node].refuser == :unknown, do: 720_000, else: 72_000
        assert at <= now + most
      end

      unless before.connected == peers.connected, do: assert(peers.changed_at == now)

      for node when is_atom(node) <- result, node not in [:up, :leaving, :forgotten, :self] do
        assert peers.by_node[node].state == :dialling
        assert before.by_node[node].state in [:idle, :backing_off, :leaving]
        refute linked?(before, node)
      end
    end
  end
end
