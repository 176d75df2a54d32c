defmodule Caravan.Chaos.PlanTest do
  use ExUnit.Case, async: true
  alias Caravan.Chaos.{Plan, Timeline}

  @rounds 1..57

  test "the seed and the number of nodes decide everything" do
    rounds = fn seed, nodes ->
      plan = Plan.new(seed, nodes)
      {plan, Enum.map(@rounds, &Plan.round(plan, &1))}
    end

    assert rounds.(7, 8) == rounds.(7, 8)
    assert rounds.(7, 8) != rounds.(8, 8)
    assert rounds.(7, 8) != rounds.(7, 9)
  end

  test "a round is the same however many came before it" do
    plan = Plan.new(3, 5)
    last = Plan.round(plan, 20)
    _ = Enum.map(1..19, &Plan.round(plan, &1))
    assert Plan.round(plan, 20) == last
  end

  test "every fault comes before any comes again" do
    plan = Plan.new(11, 8)
    steps = Enum.flat_map(1..19, &Plan.round(plan, &1))
    dns = for %{fault: {:dns, command}} <- steps, do: command
    assert length(dns) == 19 and Enum.uniq(dns) == dns

    kinds = MapSet.new(steps, &kind(&1.fault))

    for kind <-
          [:kill, :crash, :reborn, :pause, :cut, :part, :misdirect] ++
            [silent: 2, silent: 8, silent: 50, refusing: 2, refusing: 8, refusing: 50],
        do: assert(kind in kinds)
  end

  test "no node has two faults at a time, and one fault at a time makes links fall silent" do
    for seed <- 1..30, nodes <- [3, 4, 8], plan = Plan.new(seed, nodes), k <- @rounds do
      faults = for step <- Plan.round(plan, k), do: step.fault
      {others, faults} = Enum.split_with(faults, &(elem(&1, 0) in [:join, :leave]))
      nodes = Enum.flat_map(faults, &nodes_of/1)
      assert nodes == Enum.uniq(nodes)
      assert Enum.all?(nodes, &(&1 in 1..plan.nodes))
      joining = Enum.flat_map(others, &nodes_of/1)
      assert joining == Enum.uniq(joining)
      assert Enum.all?(joining, &(&1 in (plan.nodes + 1)..99))
      assert Enum.count(faults, &(elem(&1, 0) in [:pause, :cut, :part, :reborn])) <= 1
    end
  end

  test "silence is over before any node minds, or lasts until all do" do
    for seed <- 1..30, plan = Plan.new(seed, 5), k <- @rounds, step <- Plan.round(plan, k) do
      if elem(step.fault, 0) in [:pause, :cut, :part, :reborn] do
        tick = plan.ticktime * 1_000
        # TCP may take as long again.
        assert 2 * step.lasts < 0.75 * tick or step.lasts > 1.25 * tick
      end

      assert is_binary(Timeline.fault(step.fault))
    end
  end

  describe "a node joins" do
    defp joins(seed) do
      plan = Plan.new(seed, 8)

      for k <- @rounds, steps = Plan.round(plan, k), %{fault: {:join, n}} = join <- steps do
        [pause] = for %{fault: {:pause, _}} = pause <- steps, do: pause
        {k, n, join, pause}
      end
    end

    test "wherever one is paused, and only then" do
      for seed <- 1..10, plan = Plan.new(seed, 8), k <- @rounds do
        kinds = for %{fault: fault} <- Plan.round(plan, k), do: elem(fault, 0)
        assert :join in kinds == :pause in kinds
      end
    end

    test "while it is paused, in some rounds within a second of its return and in others before that" do
      left =
        for seed <- 1..10, {_, _, join, pause} <- joins(seed) do
          left = pause.at + pause.lasts - join.at
          assert left in 0..pause.lasts
          {left <= 1_000, pause.lasts > 1_000}
        end

      assert {true, true} in left and {false, true} in left and {true, false} in left
    end

    test "that nobody has seen, and that leaves with the next round" do
      joins = joins(5)
      numbers = for {_, n, _, _} <- joins, do: n
      assert numbers == Enum.uniq(numbers)
      plan = Plan.new(5, 8)

      for {k, n, _, _} <- joins do
        assert [%{at: 0}] = for(%{fault: {:leave, ^n}} = step <- Plan.round(plan, k + 1), do: step)
      end

      left = for k <- 1..58, %{fault: {:leave, n}} <- Plan.round(plan, k), do: n
      assert left == numbers
    end
  end

  test "a part is killed at once in each round, and no single node besides" do
    plan = Plan.new(1, 32, restart: 25)

    for k <- @rounds do
      faults = for step <- Plan.round(plan, k), do: step.fault
      assert [numbers] = for({:kills, numbers} <- faults, do: numbers)
      assert length(Enum.uniq(numbers)) == 8
      struck = Enum.flat_map(faults, &Plan.struck/1)
      assert struck == numbers
      for {:misdirect, n} <- faults, do: refute(n in numbers)
    end
  end

  # So that a run that found something can be run again.
  test "a seed means what it has always meant" do
    plan = Plan.new(197_163, 8)

    told = fn k ->
      for %{id: {_, i}} = step when i < 5 <- Plan.round(plan, k),
          do: {step.fault, step.at, step.lasts}
    end

    assert told.(1) == [
             {{:dns, "malformed id"}, 459, 2_496},
             {{:records, :silent, 8}, 2_290, 3_694},
             {{:pause, 5}, 2_489, 12_088},
             {{:kill, 8}, 2_602, 2_834}
           ]

    assert told.(10) == [
             {{:part, 8, 4}, 475, 1_349},
             {{:crash, 7}, 845, 345},
             {{:records, :silent, 50}, 959, 4_434},
             {{:dns, "subset 3"}, 1_849, 7_344}
           ]
  end

  test "names tell the nodes apart" do
    for naming <- [:host, :address] do
      plan = Plan.new(1, 40, naming: naming)

      for n <- 1..99 do
        assert Plan.named(plan, "[#{Plan.name(plan, n)}]") == [n]
        assert Plan.number(plan, Plan.name(plan, n)) == n
      end

      assert Plan.number(plan, "app-4370@elsewhere") == nil
    end
  end

  defp kind({:records, kind, count}), do: {kind, count}
  defp kind(fault), do: elem(fault, 0)

  defp nodes_of({:dns, _}), do: []
  defp nodes_of({:records, _, _}), do: []
  defp nodes_of({:kills, numbers}), do: numbers
  defp nodes_of(fault), do: tl(Tuple.to_list(fault))
end
