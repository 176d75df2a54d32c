defmodule Caravan.Broadcast.PlumtreeTest do
  use ExUnit.Case, async: true
  alias Caravan.Broadcast.Plumtree
  alias Caravan.Broadcast.Plumtree.Missing

  @message {:message, "payload"}

  describe "one node" do
    test "a new link is eager, while there are few, and the other end is told" do
      {effects, tree} = Plumtree.up(Plumtree.new(:me), :a)
      assert effects == [{:send, [:a], {:graft, []}}]
      assert Plumtree.up(tree, :a) == {[], tree}
      tree = Enum.reduce(1..20, tree, &up/2)
      assert length(tree.eager) == 8 and length(tree.lazy) == 13
      assert {[{:send, [:b], {:ihave, []}}], _} = Plumtree.up(tree, :b)
    end

    test "an own message goes to the eager links, and is announced to the lazy ones in a batch" do
      tree = links([:a, :b, :c]) |> pruned([:c])
      {effects, tree} = Plumtree.broadcast(tree, 0, {:me, 1}, @message)
      assert effects == [{:send, [:a, :b], {:gossip, {:me, 1}, @message}}]
      {_, tree} = Plumtree.broadcast(tree, 10, {:me, 2}, @message)
      at = Plumtree.next_wakeup(tree)
      assert at > 10 and Plumtree.tick(tree, at - 1) == {[], tree}
      {effects, tree} = Plumtree.tick(tree, at)
      assert effects == [{:send, [:c], {:ihave, [{:me, 1}, {:me, 2}]}}]
      assert {[], _} = Plumtree.tick(tree, at + 1_000)
    end

    test "a message is delivered and goes on, but not back; the second one prunes" do
      tree = links([:a, :b, :c])
      {effects, tree} = gossip(tree, 0, :a, {:x, 1})
      assert effects == [{:send, [:b, :c], {:gossip, {:x, 1}, @message}}]
      {effects, tree} = gossip(tree, 0, :b, {:x, 1})
      assert effects == [{:send, [:b], :prune}]
      {effects, _tree} = gossip(tree, 0, :a, {:x, 2})
      assert effects == [{:send, [:c], {:gossip, {:x, 2}, @message}}]
    end

    test "what comes over a lazy link is delivered, and goes on when it has come over an eager one, too" do
      tree = links([:a, :b, :c]) |> pruned([:b])
      {effects, tree} = gossip(tree, 0, :b, {:x, 1})
      assert effects == []
      {effects, _tree} = gossip(tree, 5, :a, {:x, 1})
      assert effects == [{:send, [:b], :prune}, {:send, [:c], {:gossip, {:x, 1}, @message}}]

      # It comes over no other: the other end was right.
      {effects, tree} = Plumtree.tick(tree, Plumtree.next_wakeup(tree))

      assert {:send, [:b], {:graft, []}} in effects
      assert {:send, [:a, :c], {:gossip, {:x, 1}, @message}} in effects

      assert :b in tree.eager and tree.strays == %{}
    end

    test "where no link is eager, the one that a message comes over is" do
      tree = links([:a, :b]) |> pruned([:a, :b])
      {effects, tree} = gossip(tree, 0, :b, {:x, 1})
      assert effects == [{:send, [:b], {:graft, []}}]
      assert tree.eager == Enum.sort([:b])
    end

    test "one message prunes links, the others don't for a while, and a late one doesn't at all" do
      tree = links([:a, :b, :c, :d])
      {_, tree} = gossip(tree, 0, :a, {:x, 1})
      {_, tree} = gossip(tree, 1, :a, {:y, 1})
      assert {[{:send, [:b], :prune}], tree} = gossip(tree, 2, :b, {:x, 1})
      assert {[{:send, [:c], :prune}], tree} = gossip(tree, 3, :c, {:x, 1})
      assert {[], tree} = gossip(tree, 4, :d, {:y, 1})
      assert {[], tree} = gossip(tree, 1_000, :d, {:x, 1})
      {_, tree} = gossip(tree, 1_000, :a, {:x, 2})
      assert {[{:send, [:d], :prune}], _} = gossip(tree, 1_001, :d, {:x, 2})
    end

    test "what was announced is asked for when it doesn't come, at one after another, not for ever" do
      tree = links([:a, :b]) |> pruned([:a, :b])
      {[], tree} = Plumtree.ihave(tree, 0, :a, [{:x, 1}])
      {[], tree} = Plumtree.ihave(tree, 1, :b, [{:x, 1}])
      {asked, tree} = asked(tree, [])
      assert asked == [:a, :b, :a, :b, :a, :b, :a, :b]
      assert tree.missing == %Missing{lost: 1}
      assert %{received: 0, requested: 8, lost: 1, eager: 2, lazy: 0} = Plumtree.stats(tree)
      assert tree.eager == Enum.sort([:a, :b])
    end

    test "what comes in time isn't asked for, and what is there isn't either" do
      tree = links([:a, :b])
      {[], tree} = Plumtree.ihave(tree, 0, :b, [{:x, 1}])
      {_, tree} = gossip(tree, 5, :a, {:x, 1})
      {[], tree} = Plumtree.ihave(tree, 6, :b, [{:x, 1}])
      assert tree.missing == Missing.new()
      assert {[], _} = Plumtree.tick(tree, 10_000)
    end

    test "announcers of the same message don't pile up, nor do messages that many announce" do
      peers = for n <- 1..200, do: :"p#{n}"
      tree = for peer <- peers, reduce: links(peers), do: (tree -> elem(Plumtree.ihave(tree, 0, peer, [{:x, 1}]), 1))
      assert length(tree.missing.messages[{:x, 1}].announcers) == 8
      ids = fn peer -> for n <- 1..100, do: {peer, n} end
      tree = for peer <- peers, reduce: tree, do: (tree -> elem(Plumtree.ihave(tree, 0, peer, ids.(peer)), 1))
      assert map_size(tree.missing.messages) == 8_192 and :gb_sets.size(tree.missing.timers) == 8_192
    end

    test "a graft makes the link eager and sends what is kept" do
      tree = links([:a]) |> pruned([:a])
      {[], tree} = Plumtree.broadcast(tree, 0, {:me, 1}, @message)
      {effects, tree} = Plumtree.graft(tree, :a, [{:me, 1}, {:me, 2}])
      assert effects == [{:send, [:a], {:gossip, {:me, 1}, @message}}]
      assert tree.lazy == [] and :a in tree.eager
    end

    test "lazy links take the place of an eager one that is gone" do
      tree = links([:a, :b, :c, :d, :e]) |> pruned([:b, :c, :d, :e])
      {[{:send, mended, {:graft, []}}], tree} = Plumtree.down(tree, :a)
      assert length(mended) == 3 and tree.eager == Enum.sort(mended)
      assert [{_, lazy}] = tree.lazy
      # No need where a lazy one is gone.
      assert {[], _} = Plumtree.down(tree, lazy)
      refute Plumtree.link?(tree, :a)
    end

    test "who is gone isn't asked" do
      tree = links([:a, :b])
      {[], tree} = Plumtree.ihave(tree, 0, :a, [{:x, 1}, {:x, 2}])
      {[], tree} = Plumtree.ihave(tree, 0, :b, [{:x, 2}])
      {_, tree} = Plumtree.down(tree, :a)
      assert Map.keys(tree.missing.messages) == [{:x, 2}]
      assert {[{:send, [:b], {:graft, [{:x, 2}]}}], _} = Plumtree.tick(tree, 1_000)
    end

    test "what a busy link didn't take is announced to it, until it takes that" do
      tree = links([:a])
      {[{:send, [:a], gossip}], tree} = Plumtree.broadcast(tree, 0, {:me, 1}, @message)
      tree = Plumtree.unsent(tree, 0, :a, gossip)
      at = Plumtree.next_wakeup(tree)
      {[{:send, [:a], {:ihave, [{:me, 1}]} = ihave}], tree} = Plumtree.tick(tree, at)
      tree = Plumtree.unsent(tree, at, :a, ihave)
      later = Plumtree.next_wakeup(tree)
      assert later > at
      assert {[{:send, [:a], ^ihave}], _} = Plumtree.tick(tree, later)
      # By then nobody could have it any more.
      assert {[], _} = Plumtree.tick(tree, 1_000_000)
    end

    test "announcements fill no memory, and frames have a bounded number of ids" do
      tree = links([:a, :b]) |> pruned([:b])
      {[], tree} = Plumtree.ihave(tree, 0, :a, for(n <- 1..100_000, do: {:x, n}))
      assert map_size(tree.missing.messages) == 8_192
      {effects, _tree} = Plumtree.tick(tree, 1_000)
      assert length(effects) == 8
      for {:send, [:a], {:graft, ids}} <- effects, do: assert(length(ids) == Plumtree.most_ids())

      # They never come, and are forgotten.
      ticked = Enum.reduce(1..20, tree, &elem(Plumtree.tick(&2, &1 * 1_000), 1))
      assert ticked.missing == %Missing{lost: 8_192}
      assert ticked.memory == tree.memory

      tree = Enum.reduce(1..3_000, tree, &elem(Plumtree.broadcast(&2, 0, {:me, &1}, @message), 1))
      {effects, _tree} = Plumtree.tick(tree, 100)
      assert [1_024, 1_024, 952] = for({:send, [:b], {:ihave, ids}} <- effects, do: length(ids))
    end

    defp gossip(tree, now, from, id) do
      if Plumtree.seen?(tree, id),
        do: Plumtree.again(tree, now, from, id),
        else: Plumtree.first(tree, now, from, id, @message)
    end

    defp up(peer, tree), do: tree |> Plumtree.up(peer) |> elem(1)
    defp links(peers), do: Enum.reduce(peers, Plumtree.new(:me), &up/2)
    defp pruned(tree, peers), do: Enum.reduce(peers, tree, &elem(Plumtree.prune(&2, &1), 1))

    defp asked(tree, asked) do
      case Plumtree.next_wakeup(tree) do
        :infinity ->
          {Enum.reverse(asked), tree}

        at ->
          {[{:send, [peer], {:graft, [{:x, 1}]}}], tree} = Plumtree.tick(tree, at)
          asked(tree, [peer | asked])
      end
    end
  end

  # Many nodes at once: their links keep the order of what is sent, take a random time for it, and lose what is under way
  # when they are cut.
  defmodule Sim do
    alias Caravan.Broadcast.Plumtree

    defstruct [:rand, nodes: %{}, edges: %{}, queue: :gb_sets.new(), now: 0, seq: 0] ++
                [counters: %{}, delivered: %{}, sent: %{}, busy: 0.0]

    def new(seed), do: %__MODULE__{rand: :rand.seed_s(:exsss, seed)}

    def random(sim, n) do
      {value, rand} = :rand.uniform_s(n, sim.rand)
      {value, %{sim | rand: rand}}
    end

    def pick(sim, list) do
      {n, sim} = random(sim, length(list))
      {Enum.at(list, n - 1), sim}
    end

    @doc "A connected graph: a random tree, and more links until there are `degree / 2` for each node."
    def graph(sim, size, degree) do
      sim = Enum.reduce(1..size, sim, &join(&2, &1, 1))
      more = max(0, div(size * degree, 2) - size + 1)

      Enum.reduce(List.duplicate(nil, more), sim, fn _, sim ->
        {a, sim} = random(sim, size)
        {b, sim} = random(sim, size)
        if a == b, do: sim, else: link(sim, a, b)
      end)
    end

    def join(sim, node, links) do
      others = live(sim)
      sim = put_in(sim.nodes[node], Plumtree.new(node))

      Enum.reduce(1..links, sim, fn _, sim ->
        if others == [] do
          sim
        else
          {other, sim} = pick(sim, others)
          link(sim, node, other)
        end
      end)
    end

    def live(sim), do: Map.keys(sim.nodes)

    def link(sim, a, b) do
      if is_map_key(sim.edges, {a, b}) do
        sim
      else
        # A frame is lost with its link, also when there is a new one.
        edges = Map.merge(sim.edges, %{{a, b} => {sim.seq, sim.now}, {b, a} => {sim.seq, sim.now}})

        sim = %{sim | edges: edges, seq: sim.seq + 1}
        sim |> event(a, &Plumtree.up(&1, b)) |> event(b, &Plumtree.up(&1, a))
      end
    end

    def cut(sim, a, b) do
      sim = %{sim | edges: sim.edges |> Map.delete({a, b}) |> Map.delete({b, a})}
      sim |> event(a, &Plumtree.down(&1, b)) |> event(b, &Plumtree.down(&1, a))
    end

    def kill(sim, node) do
      peers = for {^node, peer} <- Map.keys(sim.edges), do: peer
      sim = %{sim | nodes: Map.delete(sim.nodes, node)}
      Enum.reduce(peers, sim, &cut(&2, node, &1))
    end

    def broadcast(sim, node) do
      n = Map.get(sim.counters, node, 0) + 1
      id = {node, n}
      sim = %{sim | counters: Map.put(sim.counters, node, n)}
      sim = %{sim | delivered: Map.update(sim.delivered, {id, node}, 1, &(&1 + 1))}
      {id, event(sim, node, &Plumtree.broadcast(&1, sim.now, id, {:message, ""}))}
    end

    @doc "Lets all happen that is to happen within `ms`."
    def run(sim, ms), do: run_until(sim, sim.now + ms)

    defp run_until(sim, until) do
      wakeups = for {node, tree} <- sim.nodes, do: {Plumtree.next_wakeup(tree), node}
      {wake_at, waker} = Enum.min(wakeups)

      arrival =
        if :gb_sets.is_empty(sim.queue),
          do: :infinity,
          else: elem(:gb_sets.smallest(sim.queue), 0)

      cond do
        min(wake_at, arrival) > until ->
          %{sim | now: until}

        wake_at < arrival ->
          sim |> at(wake_at) |> event(waker, &Plumtree.tick(&1, wake_at)) |> run_until(until)

        true ->
          sim |> at(arrival) |> arrive() |> run_until(until)
      end
    end

    defp at(sim, now), do: %{sim | now: max(now, sim.now)}

    defp arrive(sim) do
      {{_, _, {from, to, edge, frame}}, queue} = :gb_sets.take_smallest(sim.queue)
      sim = %{sim | queue: queue}

      case sim.edges do
        %{{^from, ^to} => {^edge, _}} -> hear(sim, from, to, frame)
        _ -> sim
      end
    end

    defp hear(sim, from, to, {:gossip, id, message}) do
      tree = sim.nodes[to]

      {times, {effects, tree}} =
        if Plumtree.seen?(tree, id),
          do: {0, Plumtree.again(tree, sim.now, from, id)},
          else: {1, Plumtree.first(tree, sim.now, from, id, message)}

      delivered = Map.update(sim.delivered, {id, to}, times, &(&1 + times))
      perform(put_in(%{sim | delivered: delivered}.nodes[to], tree), to, effects)
    end

    defp hear(sim, from, to, {:ihave, ids}),
      do: event(sim, to, &Plumtree.ihave(&1, sim.now, from, ids))

    defp hear(sim, from, to, {:graft, ids}), do: event(sim, to, &Plumtree.graft(&1, from, ids))
    defp hear(sim, from, to, :prune), do: event(sim, to, &Plumtree.prune(&1, from))

    defp event(sim, node, fun) do
      case sim.nodes do
        %{^node => tree} ->
          {effects, tree} = fun.(tree)
          perform(put_in(sim.nodes[node], tree), node, effects)

        _ ->
          sim
      end
    end

    defp perform(sim, node, effects) do
      for({:send, peers, frame} <- effects, peer <- peers, do: {peer, frame})
      |> Enum.reduce(sim, fn {peer, frame}, sim -> post(sim, node, peer, frame) end)
    end

    defp post(sim, from, to, frame) do
      {chance, rand} = :rand.uniform_s(sim.rand)
      sim = %{sim | rand: rand}

      cond do
        not is_map_key(sim.edges, {from, to}) -> sim
        chance < sim.busy -> update_in(sim.nodes[from], &Plumtree.unsent(&1, sim.now, to, frame))
        true -> send_off(sim, from, to, frame)
      end
    end

    defp send_off(sim, from, to, frame) do
      {delay, sim} = random(sim, 10)
      {edge, last} = sim.edges[{from, to}]
      at = max(last, sim.now + delay)
      word = if is_tuple(frame), do: elem(frame, 0), else: frame

      %{
        sim
        | queue: :gb_sets.add_element({at, sim.seq, {from, to, edge, frame}}, sim.queue),
          edges: Map.put(sim.edges, {from, to}, {edge, at}),
          sent: Map.update(sim.sent, word, 1, &(&1 + 1)),
          seq: sim.seq + 1
      }
    end

    def connected?(sim) do
      [first | _] = live = live(sim)
      reached = reach(sim, [first], MapSet.new([first]))
      MapSet.size(reached) == length(live)
    end

    defp reach(_sim, [], reached), do: reached

    defp reach(sim, [node | rest], reached) do
      next = for {^node, peer} <- Map.keys(sim.edges), peer not in reached, do: peer
      reach(sim, next ++ rest, MapSet.union(reached, MapSet.new(next)))
    end

    def times(sim, id), do: for(node <- live(sim), do: Map.get(sim.delivered, {id, node}, 0))
  end

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
