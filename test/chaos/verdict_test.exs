defmodule Caravan.Chaos.VerdictTest do
  use ExUnit.Case, async: true
  alias Caravan.Chaos.{Mesh, Plan, Timeline, Verdict}

  @max_members 10
  @pop "in order to prevent overlapping partitions"

  # Three nodes that formed at 100, from when on the lists below go on.
  @formed for(n <- 1..3, do: {0, n, :hello}) ++
            for(a <- 1..3, b <- 1..3, a != b, do: {100, a, {:up, b}})

  defp plan(changes \\ []),
    do: struct!(Plan.new(1, 3, ticktime: 4, naming: :address), [{:expire_after, 60_000} | changes])

  defp kinds(events, plan \\ plan()) do
    verdict = Verdict.judge(plan, @formed ++ events, @max_members)
    assert Enum.all?(Timeline.verdict(verdict, 0), &is_binary/1)
    for {kind, _, _} <- verdict.violations, do: kind
  end

  defp name(n), do: Plan.name(plan(), n)
  defp lost(at, a, b), do: {at, a, {:down, b, :connection_closed}}

  defp partition(at, a, b),
    do: {at, a, {:log, :warning, "'global' at node '#{name(a)}' requested disconnect from node '#{name(b)}' #{@pop}"}}

  # A round in which node 3 is cut off from 1,000 to 9,000, and its links end and come back.
  defp cut(more, back \\ 9_500) do
    losses =
      for {a, b} <- [{1, 3}, {2, 3}, {3, 1}, {3, 2}],
          do: {6_000, a, {:down, b, :net_tick_timeout}}

    ups = for {a, b} <- [{1, 3}, {2, 3}, {3, 1}, {3, 2}], do: {back, a, {:up, b}}

    [{1_000, :lab, {:begin, {1, 1}, {:cut, 3}}}, {9_000, :lab, {:end, {1, 1}}}] ++
      losses ++ ups ++ more ++ [{25_000, :lab, :over}]
  end

  test "a round without harm" do
    assert kinds(cut([])) == []
    verdict = Verdict.judge(plan(), @formed ++ cut([]), @max_members)

    assert %{rounds: 1, faults: 1, excused_losses: 4, slowest: 500, foreseen_partitions: 0} = verdict.figures
  end

  test "the order in which events come in doesn't matter" do
    assert kinds(Enum.reverse(cut([]))) == []
  end

  test "what all broadcast in quiet reaches all, once" do
    got = for from <- 1..3, to <- 1..3, do: {20_100, to, {:got, from, 7}}
    sent = {20_000, :lab, {:broadcast, 7, [1, 2, 3]}}
    assert kinds(cut([sent | got])) == []
    assert kinds(cut([sent | tl(got)])) == [:broadcast]
    assert kinds(cut([sent, hd(got) | got])) == [:broadcast]
    # Another one doesn't count for it, and nobody else need get it.
    assert kinds(cut([sent, {20_100, 1, {:got, 1, 6}} | tl(got)])) == [:broadcast]
    assert kinds(cut([{20_000, :lab, {:broadcast, 7, [1, 2]}} | got])) == []
    assert Verdict.judge(plan(), @formed ++ cut([sent | got]), @max_members).figures.broadcasts == 3
  end

  describe "a lost link" do
    test "between healthy nodes" do
      assert :lost_link in kinds(cut([lost(7_000, 1, 2), {7_010, 1, {:up, 2}}]))
    end

    test "without any fault, and during a fault that strikes no node" do
      assert :lost_link in kinds([lost(500, 1, 2), {510, 1, {:up, 2}}])
      dns = [{400, :lab, {:begin, {1, 1}, {:dns, "empty"}}}, {900, :lab, {:end, {1, 1}}}]
      assert :lost_link in kinds(dns ++ [lost(500, 1, 2), {510, 1, {:up, 2}}])
    end

    test "to the struck node, before the fault and after its aftermath" do
      assert :lost_link in kinds(cut([lost(900, 1, 3), {950, 1, {:up, 3}}]))
      after_ = 9_000 + Plan.aftermath(plan())
      assert kinds(cut([lost(after_, 1, 3), {after_ + 10, 1, {:up, 3}}])) == []
      assert :lost_link in kinds(cut([lost(after_ + 1, 1, 3), {after_ + 10, 1, {:up, 3}}]))
    end

    test "to the ends of a cut link is excused, between others it is not" do
      part = [{1_000, :lab, {:begin, {1, 1}, {:part, 1, 2}}}, {2_000, :lab, {:end, {1, 1}}}]
      assert kinds(part ++ [lost(1_500, 1, 3), {1_600, 1, {:up, 3}}]) == []
      other = {0, 4, :hello}
      assert kinds(part ++ [other, lost(1_500, 3, 4)], plan(nodes: 4)) == [:lost_link]
    end
  end

  describe "the mesh" do
    test "whole in time, whole too late, never whole" do
      assert kinds(cut([], 19_000)) == []
      assert kinds(cut([], 19_001)) == [:late_mesh]
      assert kinds(cut([], 26_000)) == [:late_mesh]
    end

    test "falls apart again in the aftermath" do
      again = [lost(9_600, 3, 1), {20_000, 3, {:up, 1}}]
      assert kinds(cut(again)) == [:late_mesh]
    end

    test "one direction is not a link" do
      assert kinds(cut([lost(9_600, 3, 1)])) == [:late_mesh]
    end

    test "a killed node has to come back, and to be linked anew" do
      kill = [{1_000, :lab, {:begin, {1, 1}, {:kill, 3}}}, {1_001, 3, {:ended, :killed}}]
      back = [{3_000, 3, :hello}, {3_001, :lab, {:end, {1, 1}}}]
      ups = for a <- 1..2, {a, b} <- [{a, 3}, {3, a}], do: {3_500, a, {:up, b}}
      over = [{9_000, :lab, :over}]
      assert kinds(kill ++ back ++ ups ++ over) == []
      assert kinds(kill ++ back ++ over) == [:late_mesh]
      assert kinds(kill ++ over) == [:late_mesh]
    end

    test "several killed at once have to be back, all of them" do
      kills = [{1_000, :lab, {:begin, {1, 1}, {:kills, [2, 3]}}}]
      deaths = for n <- [2, 3], do: {1_001, n, {:ended, :killed}}
      back = for n <- [2, 3], do: {3_000, n, :hello}
      ups = for a <- 1..3, b <- 1..3, a != b and {a, b} != {1, 1}, do: {3_500, a, {:up, b}}
      over = [{3_001, :lab, {:end, {1, 1}}}, {9_000, :lab, :over}]
      assert kinds(kills ++ deaths ++ back ++ ups ++ over) == []
      missing = {3_500, 2, {:up, 3}}
      assert kinds(kills ++ deaths ++ back ++ (ups -- [missing]) ++ over) == [:late_mesh]
      others = [{0, 4, :hello}, {0, 5, :hello}]
      lost = kills ++ deaths ++ others ++ [lost(1_100, 4, 5), lost(1_100, 4, 2)]
      assert kinds(lost, plan(nodes: 5)) == [:lost_link]
    end

    test "nobody is no mesh" do
      refute Mesh.whole?(Mesh.new())
    end
  end

  describe "the mesh of nodes that pick" do
    # Node 3 is cut off and loses its links; what it has again then is up to the test. Nodes 1 and 2 stay linked.
    defp picked(links, ups) do
      back = for {a, b} <- ups, do: {9_500, a, {:up, b}}
      kinds(Enum.reject(cut([]), &match?({9_500, _, {:up, _}}, &1)) ++ back, plan(links: links))
    end

    test "need not link all, but a path leads everywhere" do
      assert picked(1, [{1, 3}, {3, 1}]) == []
      assert picked(1, []) == [:late_mesh]
    end

    test "has links that both ends see" do
      assert picked(1, [{3, 1}]) == [:late_mesh]
      assert picked(1, [{1, 3}]) == [:late_mesh]
      assert picked(1, [{1, 3}, {3, 2}]) == [:late_mesh]
    end

    test "has as many links for each as it picks, if there are so many nodes" do
      assert picked(2, [{1, 3}, {3, 1}]) == [:late_mesh]
      assert picked(2, [{1, 3}, {3, 1}, {2, 3}, {3, 2}]) == []
      assert picked(4, [{1, 3}, {3, 1}, {2, 3}, {3, 2}]) == []
    end

    test "is whole in time" do
      assert kinds(cut([], 19_000), plan(links: 2)) == []
      assert kinds(cut([], 19_001), plan(links: 2)) == [:late_mesh]
    end

    test "may not fall into halves that are whole by themselves" do
      pairs = [{1, 2}, {2, 1}, {3, 4}, {4, 3}]
      mesh = Enum.reduce(1..4, Mesh.new(1), &Mesh.change(&2, &1, :hello))
      mesh = Enum.reduce(pairs, mesh, fn {a, b}, mesh -> Mesh.change(mesh, a, {:up, b}) end)
      refute Mesh.whole?(mesh)
      assert Mesh.missing(mesh) == "no path 1-3, no path 1-4"
      joined = Enum.reduce([{2, 3}, {3, 2}], mesh, fn {a, b}, mesh -> Mesh.change(mesh, a, {:up, b}) end)
      assert Mesh.whole?(joined)
    end
  end

  describe "a node that joins while another one is paused" do
    # Node 3 is paused, node 4 joins; it leaves later.
    defp joined(more, ups \\ [1, 2, 3]) do
      links = for a <- ups, {a, b} <- [{a, 4}, {4, a}], do: {6_500, a, {:up, b}}

      [
        {1_000, :lab, {:begin, {1, 3}, {:pause, 3}}},
        {5_000, :lab, {:begin, {1, 5}, {:join, 4}}},
        {5_010, 4, :hello},
        {5_100, :lab, {:end, {1, 5}}},
        {6_000, :lab, {:end, {1, 3}}}
      ] ++ links ++ more ++ [{25_000, :lab, :over}]
    end

    defp left do
      losses = for a <- 1..3, do: {26_001, a, {:down, 4, :connection_closed}}

      [{26_000, :lab, {:begin, {2, 6}, {:leave, 4}}}, {26_000, 4, {:ended, :killed}}] ++
        losses ++ [{26_100, :lab, {:end, {2, 6}}}, {27_000, :lab, :over}]
    end

    test "is linked with all, until it leaves" do
      assert kinds(joined([])) == []
      assert kinds(joined(left())) == []
    end

    test "is missed where it isn't linked with the one that was paused" do
      assert kinds(joined([], [1, 2])) == [:late_mesh]
    end

    test "is healthy: neither it nor another one may be cut" do
      assert kinds(joined([lost(7_000, 1, 4), {7_010, 1, {:up, 4}}])) == [:lost_link]
      assert kinds(joined([lost(7_000, 1, 2), {7_010, 1, {:up, 2}}])) == [:lost_link]
      assert kinds(joined([partition(7_000, 1, 4)])) == [:partitions]
      assert kinds(joined([partition(7_000, 4, 2)])) == [:partitions]
      assert kinds(joined([{7_000, 4, {:ended, 1}}, {7_000, 4, :hello}])) |> Enum.member?(:death)
    end

    test "may be cut as long as the paused one is the other end" do
      assert kinds(joined([lost(7_000, 3, 4), {7_010, 3, {:up, 4}}])) == []
      late = 6_000 + Plan.aftermath(plan()) + 1
      assert kinds(joined([lost(late, 3, 4), {late, 3, {:up, 4}}])) == [:lost_link]
    end
  end

  test "OTP prevents overlapping partitions, of healthy nodes or of one at fault" do
    assert kinds(cut([partition(6_100, 1, 3)])) == []
    assert kinds(cut([partition(6_100, 3, 2)])) == []
    assert kinds(cut([partition(6_100, 1, 2)])) == [:partitions]
    assert kinds([partition(300, 1, 3)]) == [:partitions]
  end

  describe "growth" do
    defp gauges(growth) do
      for {{atoms, bytes}, i} <- Enum.with_index([{0, 0}, {0, 0}, growth]),
          do: {1_000 + i, 1, {:gauge, 20_000 + atoms, 50_000_000 + bytes}}
    end

    test "of atoms" do
      assert kinds(gauges({2 * @max_members + 2_000, 0})) == []
      assert kinds(gauges({2 * @max_members + 2_001, 0})) == [:atoms]
    end

    test "of memory" do
      assert kinds(gauges({0, 64 * 1024 * 1024})) == []
      assert kinds(gauges({0, 64 * 1024 * 1024 + 1})) == [:bytes]
    end

    test "counts in each life by itself" do
      assert kinds(gauges({2_000, 0}) ++ [{1_010, 1, :hello}] ++ [{1_020, 1, {:gauge, 90_000, 0}}]) == []
    end
  end

  test "a node ends by itself" do
    assert :death in kinds([{500, 1, {:ended, 1}}])
  end

  test "Caravan crashes, other than by the fault that kills it" do
    assert kinds([{500, 1, {:log, :error, "GenServer Caravan.Topology terminating"}}]) == [:crash]

    assert kinds([{500, 1, {:log, :error, "Child Caravan.Topology terminated, reason: killed"}}]) ==
             []
  end

  describe "a line in the log" do
    defp line(at, text), do: {at, 1, {:log, :warning, "[caravan chaos] " <> text}}

    defp failed(at, reason),
      do:
        line(
          at,
          "can't connect to x@10.66.0.1: #{reason}. Retrying; further failures are not logged"
        )

    test "is said again, for another reason too" do
      assert kinds([failed(500, "a"), failed(600, "b")]) == [:repeated]
      query = "no answer. Known peers are kept. Retrying; further failures are not logged"
      assert kinds([line(500, query), line(600, query)]) == [:repeated]
    end

    test "is said once for each change" do
      up = line(550, "x@10.66.0.1 is connected")
      assert kinds([failed(500, "a"), up, failed(600, "a")]) == []

      assert kinds([
               failed(500, "a"),
               {550, :lab, {:begin, {1, 1}, {:crash, 1}}},
               failed(600, "a")
             ]) == []
    end

    test "may be said again where members expire and come back" do
      assert kinds([failed(500, "a"), failed(600, "b")], plan(expire_after: 3_000)) == []
    end
  end

  test "a packet goes where :allow forbids it" do
    assert kinds([{500, :lab, {:forbidden, 0}}]) == []
    assert kinds([{500, :lab, {:forbidden, 1}}]) == [:forbidden]
  end
end
