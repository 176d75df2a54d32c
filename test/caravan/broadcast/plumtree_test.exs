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
end
