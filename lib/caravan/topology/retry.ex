defmodule Caravan.Topology.Retry do
  @moduledoc false
  # How long to wait before the next attempt, in ms. Pure.

  # Exponential back-off: 1 s x 1.6 for each failure, up to a ceiling, +-20 %.
  @first 1_000
  @growth 1.6
  @jitter 0.2

  # By then the delay exceeds every ceiling, and the float must not overflow.
  @max_exponent 16

  @backoff_max 60_000

  # A rejected handshake leaves a line in the other node's log, and rarely resolves itself. If the node will log the next
  # one, too, it is spared that for this long at least.
  @refused_max 600_000

  # Meanwhile the node there is asked now and then whether it is still the same one; nobody logs that.
  @refused_check 30_000

  # A probe costs no process and no log line, so a peer that only failed its probe is probed more often while there are
  # few of those: one every 50 ms in total.
  @probe_max 5_000
  @probe_share 50

  # A link that lasted this long was a good one; its loss is no reason to wait.
  @stable_after 10_000

  # "At once" after a loss is a moment later, to let the rest arrive: a node that was suspended or cut off loses all its
  # links, and OTP reacts to each. The jitter keeps the two ends of a link apart.
  @pause 250
  @pause_jitter 0.4

  # How long a peer that left is not redialed after its link is gone.
  @leave 60_000

  @doc "The delay after so many rejected handshakes in a row, by whoever it was that listens there."
  @spec refused(pos_integer, :rand.state()) :: {pos_integer, :rand.state()}
  def refused(refusals, rand), do: backoff(refusals, @refused_max, rand)

  @doc "The delay after a rejection that won't change as long as the same node is there."
  @spec settled(:rand.state()) :: {pos_integer, :rand.state()}
  def settled(rand), do: spread(@refused_max * (1 + @jitter), @jitter / (1 + @jitter), rand)

  @doc "The delay before asking whether another node is there now."
  @spec refused_check :: pos_integer
  def refused_check, do: @refused_check

  @doc "The delay after so many other failures in a row, the last at this stage, while `waiting` peers wait."
  @spec failed(:probe | :dial, pos_integer, non_neg_integer, :rand.state()) ::
          {pos_integer, :rand.state()}
  def failed(:dial, attempts, _waiting, rand), do: backoff(attempts, @backoff_max, rand)

  def failed(:probe, attempts, waiting, rand) do
    ceiling = (@probe_share * waiting) |> max(@probe_max) |> min(@backoff_max)
    backoff(attempts, ceiling, rand)
  end

  @doc "How many young links were lost in a row, given the age of the one just lost and the `flaps` before it."
  @spec flaps(integer, non_neg_integer) :: non_neg_integer
  def flaps(age, _flaps) when age >= @stable_after, do: 0
  def flaps(_age, flaps), do: flaps + 1

  @doc "After a loss: redial at once after a good link, and once after a young one; then back off."
  @spec lost(non_neg_integer, :rand.state()) :: {:idle | :backing_off, pos_integer, :rand.state()}
  def lost(flaps, rand) when flaps > 1 do
    {ms, rand} = backoff(flaps - 1, @backoff_max, rand)
    {:backing_off, ms, rand}
  end

  def lost(_flaps, rand) do
    {ms, rand} = spread(@pause, @pause_jitter, rand)
    {:idle, ms, rand}
  end

  @doc "The delay after the link to a peer that left is gone."
  @spec left :: pos_integer
  def left, do: @leave

  @doc "The delay after so many failures in a row, with this ceiling."
  @spec backoff(pos_integer, pos_integer, :rand.state()) :: {pos_integer, :rand.state()}
  def backoff(failures, ceiling, rand) do
    ms = @first * :math.pow(@growth, min(failures, @max_exponent) - 1)
    spread(min(ms, ceiling), @jitter, rand)
  end

  @doc "`ms` plus or minus the fraction `jitter`."
  @spec spread(number, float, :rand.state()) :: {pos_integer, :rand.state()}
  def spread(ms, jitter, rand) do
    {r, rand} = :rand.uniform_s(rand)
    {max(1, round(ms * (1 - jitter + 2 * jitter * r))), rand}
  end
end
