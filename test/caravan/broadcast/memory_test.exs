defmodule Caravan.Broadcast.MemoryTest do
  use ExUnit.Case, async: true
  alias Caravan.Broadcast.Memory

  defp put(memory, now, ids, size \\ 10) do
    payload = :binary.copy("x", size)
    Enum.reduce(ids, memory, &Memory.put(&2, now, &1, {:message, payload}))
  end

  defp ids(origin, counters), do: for(n <- counters, do: {origin, n})

  test "what was put has been seen and can be had" do
    memory = put(Memory.new(), 0, [{:a, 3}])
    assert Memory.seen?(memory, {:a, 3})
    assert Memory.first(memory, {:a, 3}) == 0
    assert {:ok, {:message, "xxxxxxxxxx"}} = Memory.fetch(memory, {:a, 3})

    for id <- [{:a, 2}, {:a, 4}, {:b, 3}] do
      refute Memory.seen?(memory, id)
      assert Memory.fetch(memory, id) == :error
    end
  end

  test "messages go by age, what has been seen stays so" do
    memory = put(Memory.new(), 0, [{:a, 1}])
    turns = turns(memory, [])
    {kept, gone} = Enum.split_while(turns, fn {_at, memory} -> Memory.fetch(memory, {:a, 1}) != :error end)
    assert [{8_000, _}] = kept
    assert [{16_000, first} | _] = gone
    assert Memory.first(first, {:a, 1}) == 0
    {at, last} = List.last(turns)
    assert at in 90_000..200_000 and {last.ids, last.older} == {%{}, %{}}
    for {_at, memory} <- turns, do: assert(Memory.seen?(memory, {:a, 1}))
    # All at once, if nobody had the time before.
    assert Memory.expire(memory, 1_000_000) == last
  end

  defp turns(memory, turns) do
    case Memory.next_expiry(memory) do
      :infinity ->
        Enum.reverse(turns)

      at ->
        assert Memory.expire(memory, at - 1) == memory
        memory = Memory.expire(memory, at)
        turns(memory, [{at, memory} | turns])
    end
  end

  test "a stream of messages is forgotten by the generation, and needs no timer of its own" do
    memory = Enum.reduce(1..2_000, Memory.new(), &(&2 |> Memory.expire(10 * &1) |> put(10 * &1, [{:a, &1}])))
    assert Memory.next_expiry(memory) == 24_010
    assert {:ok, _} = Memory.fetch(memory, {:a, 1_200})
    assert Memory.fetch(memory, {:a, 700}) == :error
    assert Memory.first(memory, {:a, 1}) == 10
  end

  test "no message comes twice because it was forgotten, whatever the order" do
    memory = Memory.new() |> put(0, ids(:a, [5, 3, 4])) |> Memory.expire(1_000_000)
    for n <- 1..5, do: assert(Memory.seen?(memory, {:a, n}))
    refute Memory.seen?(memory, {:a, 6})
    refute Memory.seen?(memory, {:b, 1})
  end

  test "messages are bounded by their bytes and number, ids and origins by number" do
    memory = put(Memory.new(), 0, ids(:a, 1..40), 1_048_576)
    assert memory.bytes <= 8 * 1_048_576 and (map_size(memory.young) + map_size(memory.old)) in 8..16
    assert {:ok, _} = Memory.fetch(memory, {:a, 40})

    memory = put(Memory.new(), 0, ids(:a, 1..200_000))
    assert (map_size(memory.young) + map_size(memory.old)) in 2_048..4_096
    assert (map_size(memory.ids) + map_size(memory.older)) in 32_768..(65_536 + 4_096)
    for n <- [1, 100_000, 200_000], do: assert(Memory.seen?(memory, {:a, n}))
    refute Memory.seen?(memory, {:a, 200_001})

    memory = put(Memory.new(), 0, for(n <- 1..200_000, do: {n, 1}))
    assert map_size(memory.floors) == 4_096
  end
end
