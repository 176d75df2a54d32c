defmodule Caravan.Broadcast.MemoryTest do
  use ExUnit.Case, async: true
  alias Caravan.Broadcast.Memory

  defp put(memory, now, ids, size \\ 10) do
    payload = :binary.copy("x", size)
    Enum.reduce(ids, memory, &Memory.put(&2, now, &1, {:message, payload}, :peer))
  end

  defp ids(origin, counters), do: for(n <- counters, do: {origin, n})

  test "what was put has been seen and can be had" do
    memory = put(Memory.new(), 0, [{:a, 3}])
    assert Memory.seen?(memory, {:a, 3})
    assert Memory.first(memory, {:a, 3}) == {0, :peer}
    assert {:ok, {:message, "xxxxxxxxxx"}} = Memory.fetch(memory, {:a, 3})

    for id <- [{:a, 2}, {:a, 4}, {:b, 3}] do
      refute Memory.seen?(memory, id)
      assert Memory.fetch(memory, id) == :error
    end
  end

  test "payloads go by age, what has been seen stays so" do
    memory = put(Memory.new(), 0, [{:a, 1}])
    at = Memory.next_expiry(memory)
    assert {:ok, _} = memory |> Memory.expire(at - 1) |> Memory.fetch({:a, 1})
    memory = Memory.expire(memory, at)
    assert Memory.fetch(memory, {:a, 1}) == :error and memory.bytes == 0
    assert Memory.seen?(memory, {:a, 1})
    later = Memory.next_expiry(memory)
    memory = Memory.expire(memory, later)
    assert later > at and memory.ids == %{} and Memory.next_expiry(memory) == :infinity
    assert Memory.seen?(memory, {:a, 1})
  end

  test "no message comes twice because it was forgotten, whatever the order" do
    memory = Memory.new() |> put(0, ids(:a, [5, 3, 4])) |> Memory.expire(1_000_000)
    for n <- 1..5, do: assert(Memory.seen?(memory, {:a, n}))
    refute Memory.seen?(memory, {:a, 6})
    refute Memory.seen?(memory, {:b, 1})
  end

  test "payloads are bounded by their bytes and number, ids and origins by number" do
    memory = put(Memory.new(), 0, ids(:a, 1..40), 1_048_576)
    assert memory.bytes <= 16 * 1_048_576 and map_size(memory.payloads) == 16
    assert {:ok, _} = Memory.fetch(memory, {:a, 40})

    memory = put(Memory.new(), 0, ids(:a, 1..70_000))
    assert map_size(memory.payloads) == 4_096 and map_size(memory.ids) == 65_536
    assert :queue.len(memory.payload_queue) == 4_096 and :queue.len(memory.id_queue) == 65_536
    assert Memory.seen?(memory, {:a, 1})

    memory = put(Memory.new(), 0, for(n <- 1..80_000, do: {n, 1}))
    assert map_size(memory.floors) in 2_048..4_096
    # The newest of those that were forgotten.
    assert Memory.seen?(memory, {80_000 - 65_536, 1})
  end
end
