defmodule Caravan.Topology.Backoff do
  @moduledoc false
  # How long to wait before another try: 1 s x 1.6 for each failure, up to a ceiling, +-20 %. Pure.

  @first 1_000
  @growth 1.6
  @jitter 0.2

  # By then the delay is over every ceiling, and a float must not overflow.
  @most 16

  @spec delay(pos_integer, pos_integer, :rand.state()) :: {pos_integer, :rand.state()}
  def delay(failures, ceiling, rand) do
    ms = @first * :math.pow(@growth, min(failures, @most) - 1)
    spread(min(ms, ceiling), @jitter, rand)
  end

  @doc "`ms`, more or less by the share `jitter`."
  @spec spread(number, float, :rand.state()) :: {pos_integer, :rand.state()}
  def spread(ms, jitter, rand) do
    {r, rand} = :rand.uniform_s(rand)
    {max(1, round(ms * (1 - jitter + 2 * jitter * r))), rand}
  end
end
