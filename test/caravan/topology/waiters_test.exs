defmodule Caravan.Topology.WaitersTest do
  use ExUnit.Case, async: true
  alias Caravan.Topology.Waiters

  defp waiting(options) do
    Waiters.add(
      Waiters.new(),
      0,
      :me,
      Map.merge(%{min: 2, stable_for: 0, timeout: 1_000}, options)
    )
  end

  test "served when there are enough" do
    waiters = waiting(%{})
    assert {[], [], waiters} = Waiters.take(waiters, 10, 1, 0)
    assert Waiters.next_wakeup(waiters, 1, 0) == 1_000
    assert {[:me], [], waiters} = Waiters.take(waiters, 20, 2, 20)
    assert Waiters.next_wakeup(waiters, 2, 20) == :infinity
  end

  test "served when there have been enough for long enough" do
    waiters = waiting(%{stable_for: 300})
    assert {[], [], waiters} = Waiters.take(waiters, 100, 2, 100)
    assert Waiters.next_wakeup(waiters, 2, 100) == 400
    # A change starts the wait anew.
    assert {[], [], waiters} = Waiters.take(waiters, 400, 3, 350)
    assert Waiters.next_wakeup(waiters, 3, 350) == 650
    assert {[:me], [], _} = Waiters.take(waiters, 650, 3, 350)
  end

  test "a set that was stable before the wait began counts" do
    assert {[:me], [], _} = Waiters.take(waiting(%{stable_for: 300}), 0, 2, -300)
  end

  test "late when the time is up, but served at the last moment" do
    assert {[], [:me], %{list: []}} = Waiters.take(waiting(%{}), 1_000, 1, 0)
    assert {[:me], [], _} = Waiters.take(waiting(%{}), 1_000, 2, 0)
  end

  test "each on its own terms" do
    waiters =
      waiting(%{})
      |> Waiters.add(0, :none, %{min: 0, stable_for: 0, timeout: 0})
      |> Waiters.add(0, :many, %{min: 9, stable_for: 0, timeout: 50})

    assert {[:none], [], waiters} = Waiters.take(waiters, 0, 0, 0)
    assert Waiters.next_wakeup(waiters, 0, 0) == 50
    assert {[:me], [:many], _} = Waiters.take(waiters, 50, 2, 0)
  end
end
