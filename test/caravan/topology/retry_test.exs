defmodule Caravan.Topology.RetryTest do
  use ExUnit.Case, async: true
  alias Caravan.Topology.Retry

  setup do
    %{rand: :rand.seed_s(:exsss, 7)}
  end

  test "grows by 1.6 from a second to the ceiling, give or take a fifth", %{rand: rand} do
    for {failures, ms} <- [
          {1, 1_000},
          {2, 1_600},
          {3, 2_560},
          {9, 42_950},
          {10, 60_000},
          {5_000, 60_000}
        ] do
      {delay, _} = Retry.backoff(failures, 60_000, rand)
      assert_in_delta delay, ms, ms * 0.2 + 1
    end

    {delay, _} = Retry.backoff(8, 5_000, rand)
    assert delay in 4_000..6_000
  end

  test "the jitter fills its range", %{rand: rand} do
    {delays, _} = Enum.map_reduce(1..1_000, rand, fn _, rand -> Retry.spread(1_000, 0.2, rand) end)

    assert Enum.min(delays) in 800..810
    assert Enum.max(delays) in 1_190..1_200
  end
end
