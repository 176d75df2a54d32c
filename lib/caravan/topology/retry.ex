defmodule Caravan.Topology.Retry do
  @moduledoc false
  # How long to wait before the next try, in ms. Pure.

  # Exponential back-off: 1 s x 1.6 for each failure, up to a ceiling, +-20 %.
  @first 1_000
  @growth 1.6
  @jitter 0.2

  # By then the delay is over every ceiling, and a float must not overflow.
  @max_exponent 16

  @backoff_max 60_000

  # A refused handshake puts a line into the other node's log, and seldom mends itself.
  @refused_max 600_000

  # Meanwhile the node there is asked now and then whether it is still the one that refused: nobody logs that.
  @refused_check 30_000

  # A probe costs no process and nobody's attention, so a peer that failed only its probe is asked
  # more often, as long as there are few of those: one every 50 ms in all.
  @probe_max 5_000
  @probe_share 50

  # A link that held this long was a good one; its loss is no reason to wait.
  @stable_after 10_000

  # "At once" after a loss is a moment later, for what comes along with it: other losses, since a node that was
  # suspended or cut off loses all its links, and what OTP makes of them. The jitter spreads the two ends of a link.
  @pause 250
  @pause_jitter 0.4

  # How long a peer that said good-bye is left alone after its link is gone.
  @leave 60_000

  @doc "After so many handshakes in a row that were refused."
  @spec refused(pos_integer, :rand.state()) :: {pos_integer, :rand.state()}
  def refused(refusals, rand), do: backoff(refusals, @refused_max, rand)

  @doc "How long to wait before the node is asked whether it is another one now."
  @spec refused_check :: pos_integer
  def refused_check, do: @refused_check

  @doc "After so many other failures in a row, the last at this stage, while so many peers are `waiting`."
  @spec failed(:probe | :dial, pos_integer, non_neg_integer, :rand.state()) ::
          {pos_integer, :rand.state()}
  def failed(:dial, attempts, _waiting, rand), do: backoff(attempts, @backoff_max, rand)

  def failed(:probe, attempts, waiting, rand) do
    ceiling = (@probe_share * waiting) |> max(@probe_max) |> min(@backoff_max)
    backoff(attempts, ceiling, rand)
  end

  @doc "The young links lost in a row, when one of this age was lost and `flaps` before it."
  @spec flaps(integer, non_neg_integer) :: non_neg_integer
  def flaps(age, _flaps) when age >= @stable_after, do: 0
  def flaps(_age, flaps), do: flaps + 1

  @doc "After a loss: at once after a good link, and once more after a young one; then it backs off."
  @spec lost(non_neg_integer, :rand.state()) :: {:idle | :backing_off, pos_integer, :rand.state()}
  def lost(flaps, rand) when flaps > 1 do
    {ms, rand} = backoff(flaps - 1, @backoff_max, rand)
    {:backing_off, ms, rand}
  end

  def lost(_flaps, rand) do
    {ms, rand} = spread(@pause, @pause_jitter, rand)
    {:idle, ms, rand}
  end

  @doc "After the link to a peer that said good-bye is gone."
  @spec left :: pos_integer
  def left, do: @leave

  @doc "The delay after so many failures in a row, with this ceiling."
  @spec backoff(pos_integer, pos_integer, :rand.state()) :: {pos_integer, :rand.state()}
  def backoff(failures, ceiling, rand) do
    ms = @first * :math.pow(@growth, min(failures, @max_exponent) - 1)
    spread(min(ms, ceiling), @jitter, rand)
  end

  @doc "`ms`, more or less by the share `jitter`."
  @spec spread(number, float, :rand.state()) :: {pos_integer, :rand.state()}
  def spread(ms, jitter, rand) do
    {r, rand} = :rand.uniform_s(rand)
    {max(1, round(ms * (1 - jitter + 2 * jitter * r))), rand}
  end
end
