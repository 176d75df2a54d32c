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
      nodes = Enum.flat_map(faults, &nodes_of/1)
      assert nodes == Enum.uniq(nodes)
      assert Enum.all?(nodes, &(&1 in 1..plan.nodes))
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

  test "names tell the nodes apart" do
    for naming <- [:host, :address] do
      plan = Plan.new(1, 40, naming: naming)
      for n <- 1..40, do: assert(Plan.named(plan, "[#{Plan.name(plan, n)}]") == [n])
    end
  end

  defp kind({:records, kind, count}), do: {kind, count}
  defp kind(fault), do: elem(fault, 0)

  defp nodes_of({:dns, _}), do: []
  defp nodes_of({:records, _, _}), do: []
  defp nodes_of(fault), do: tl(Tuple.to_list(fault))
end
