defmodule Caravan.Broadcast.Plumtree.ManyNodesTest do
  use ExUnit.Case, async: true
  alias Caravan.PlumtreeSim, as: Sim

  # Long enough for every announcement and graft.
  @quiet 5_000

  describe "many nodes, by chance," do
    test "each message reaches each once, and soon over a tree" do
      for seed <- 1..40 do
        {size, sim} = Sim.random(Sim.new(seed), 40)
        size = size + 1
        {degree, sim} = Sim.random(sim, 6)
        sim = sim |> Sim.graph(size, degree + 1) |> Sim.run(@quiet)
        {root, sim} = Sim.pick(sim, Sim.live(sim))

        sim =
          Enum.reduce(1..4, sim, fn _, sim ->
            {id, sim} = Sim.broadcast(%{sim | sent: %{}}, root)
            sim = Sim.run(sim, @quiet)
            assert Enum.uniq(Sim.times(sim, id)) == [1], "seed #{seed}"
            sim
          end)

        # The last one: a tree has one link less than nodes.
        assert sim.sent[:gossip] == size - 1, "seed #{seed}: #{inspect(sim.sent)}"
        assert Map.take(sim.sent, [:graft, :prune]) == %{}, "seed #{seed}"

        # From elsewhere, too.
        {other, sim} = Sim.pick(%{sim | sent: %{}}, Sim.live(sim))
        {id, sim} = Sim.broadcast(sim, other)
        sim = Sim.run(sim, @quiet)

        assert Enum.uniq(Sim.times(sim, id)) == [1] and sim.sent[:gossip] == size - 1,
               "seed #{seed}"
      end
    end

    test "also of many senders at once, and over busy links" do
      for seed <- 1..20 do
        sim = seed |> Sim.new() |> Sim.graph(25, 4) |> Sim.run(100)
        sim = %{sim | busy: if(rem(seed, 2) == 0, do: 0.2, else: 0.0)}

        {ids, sim} =
          Enum.map_reduce(1..60, sim, fn _, sim ->
            {node, sim} = Sim.pick(sim, Sim.live(sim))
            {id, sim} = Sim.broadcast(sim, node)
            {id, Sim.run(sim, 3)}
          end)

        sim = Sim.run(sim, @quiet)

        for id <- ids,
            do: assert(Enum.uniq(Sim.times(sim, id)) == [1], "seed #{seed}, #{inspect(id)}")
      end
    end

    test "none twice while nodes and links come and go, and each once when that is over" do
      for seed <- 1..40 do
        sim = seed |> Sim.new() |> Sim.graph(20, 5) |> Sim.run(100)

        sim =
          Enum.reduce(1..60, sim, fn step, sim ->
            {fault, sim} = Sim.random(sim, 6)
            sim = strike(sim, fault, {:new, step})
            {node, sim} = Sim.pick(sim, Sim.live(sim))
            {_id, sim} = Sim.broadcast(sim, node)
            {pause, sim} = Sim.random(sim, 40)
            Sim.run(sim, pause)
          end)

        # Discovery goes on until all are linked with all, by whatever way.
        sim = sim |> whole() |> Sim.run(@quiet)
        assert Sim.connected?(sim)
        assert Enum.all?(Map.values(sim.delivered), &(&1 <= 1)), "seed #{seed}"

        {node, sim} = Sim.pick(sim, Sim.live(sim))
        {id, sim} = Sim.broadcast(sim, node)
        sim = Sim.run(sim, @quiet)
        assert Enum.uniq(Sim.times(sim, id)) == [1], "seed #{seed}"
        assert Enum.all?(Map.values(sim.delivered), &(&1 <= 1)), "seed #{seed}"
      end
    end

    test "half of them die while a message is under way: all that are linked get it" do
      for seed <- 1..30 do
        sim = seed |> Sim.new() |> Sim.graph(40, 12) |> Sim.run(100)
        {_id, sim} = Sim.broadcast(sim, 1)
        {id, sim} = Sim.broadcast(Sim.run(sim, @quiet), 1)
        sim = Sim.run(sim, 8)
        sim = Enum.reduce(21..40, sim, &Sim.kill(&2, &1))
        sim = Sim.run(sim, @quiet)
        if Sim.connected?(sim), do: assert(Enum.uniq(Sim.times(sim, id)) == [1], "seed #{seed}")
        assert Enum.all?(Map.values(sim.delivered), &(&1 <= 1))
      end
    end

    test "a stream of messages, one after the other, keeps to a tree: few wait for an announcement" do
      for seed <- 1..5, senders <- [1, 8] do
        sim = Enum.reduce(1..16, Sim.new(seed), &Sim.join(&2, &1, 1))

        sim =
          for(a <- 1..16, b <- 1..16, a < b, do: {a, b})
          |> Enum.reduce(sim, fn {a, b}, sim -> Sim.link(sim, a, b) end)

        {_, sim} = stream(Sim.run(sim, 100), senders, 1_500)
        {ids, sim} = stream(%{sim | sent: %{}}, senders, 500)
        # All but the last ones, which have not had the time.
        late = for id <- Enum.drop(ids, -50), Enum.any?(Sim.times(sim, id), &(&1 != 1)), do: id
        assert length(late) <= 5, "seed #{seed}, #{senders} senders: #{length(late)} are late"

        assert sim.sent[:gossip] <= 500 * 15 * 1.1,
               "seed #{seed}, #{senders} senders: #{inspect(sim.sent)}"
      end
    end

    defp stream(sim, senders, count) do
      Enum.map_reduce(1..count, sim, fn n, sim ->
        {id, sim} = Sim.broadcast(sim, rem(n, senders) + 1)
        {id, Sim.run(sim, 2)}
      end)
    end

    test "a full mesh costs a message no more than some links for each node" do
      sim = Enum.reduce(1..60, Sim.new(7), &Sim.join(&2, &1, 1))

      sim =
        for(a <- 1..60, b <- 1..60, a < b, do: {a, b})
        |> Enum.reduce(sim, fn {a, b}, sim -> Sim.link(sim, a, b) end)

      sim = Sim.run(sim, @quiet)
      {id, sim} = Sim.broadcast(%{sim | sent: %{}}, 1)
      sim = Sim.run(sim, @quiet)
      assert Enum.uniq(Sim.times(sim, id)) == [1]
      assert sim.sent[:gossip] <= 60 * 16 and sim.sent[:ihave] <= 60 * 16

      {id, sim} = Sim.broadcast(%{sim | sent: %{}}, 2)
      sim = Sim.run(sim, @quiet)
      assert Enum.uniq(Sim.times(sim, id)) == [1] and sim.sent[:gossip] == 59

      # Whoever had most links is gone: the next one comes soon, not after an announcement.
      centre = Enum.max_by(Sim.live(sim), &length(sim.nodes[&1].eager))
      sim = sim |> Sim.kill(centre) |> Sim.run(100)
      [sender | _] = Sim.live(sim)
      {id, sim} = Sim.broadcast(sim, sender)
      assert Enum.uniq(Sim.times(Sim.run(sim, 200), id)) == [1]
    end
  end

  defp strike(sim, 1, _new),
    do: if(map_size(sim.nodes) > 3, do: Sim.kill(sim, hd(Sim.live(sim))), else: sim)

  defp strike(sim, 2, new), do: Sim.join(sim, new, 3)

  defp strike(sim, fault, _new) when fault in [3, 4] and sim.edges != %{} do
    {{a, b}, sim} = Sim.pick(sim, Map.keys(sim.edges))
    Sim.cut(sim, a, b)
  end

  defp strike(sim, _fault, _new) do
    {a, sim} = Sim.pick(sim, Sim.live(sim))
    {b, sim} = Sim.pick(sim, Sim.live(sim))
    if a == b, do: sim, else: Sim.link(sim, a, b)
  end

  defp whole(sim) do
    nodes = Sim.live(sim)
    nodes |> Enum.zip(tl(nodes)) |> Enum.reduce(sim, fn {a, b}, sim -> Sim.link(sim, a, b) end)
  end
end
