defmodule Caravan.Topology.PollScheduleTest do
  use ExUnit.Case, async: true
  alias Caravan.Topology.PollSchedule

  defp delays(pace, formed) do
    {delays, _} = Enum.map_reduce(formed, pace, &PollSchedule.next(&2, &1))
    delays
  end

  test "quick and growing until a peer is up" do
    assert [a, b, c] = delays(PollSchedule.new(5_000, :seed), [false, false, false])
    assert a in 450..550
    assert b in 675..825
    assert c in 1_012..1_238
  end

  test "the interval, give or take a tenth, once a peer is or was up" do
    [_, second | more] = delays(PollSchedule.new(5_000, :seed), [false, true | List.duplicate(false, 500)])

    for delay <- [second | more], do: assert(delay in 4_500..5_500)
    assert Enum.max(more) - Enum.min(more) > 900
  end

  test "the growth ends at the interval" do
    delays = delays(PollSchedule.new(5_000, :seed), List.duplicate(false, 20))
    assert Enum.all?(delays, &(&1 <= 5_500))
    assert Enum.all?(Enum.drop(delays, 6), &(&1 in 4_500..5_500))
  end

  test "an interval below the quick one is kept" do
    for delay <- delays(PollSchedule.new(100, :seed), [false, false, true]),
        do: assert(delay in 90..110)
  end

  test "nodes differ, a node doesn't" do
    formed = List.duplicate(true, 10)

    assert delays(PollSchedule.new(5_000, :a@h), formed) ==
             delays(PollSchedule.new(5_000, :a@h), formed)

    assert delays(PollSchedule.new(5_000, :a@h), formed) !=
             delays(PollSchedule.new(5_000, :b@h), formed)
  end
end
