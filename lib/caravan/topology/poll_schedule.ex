defmodule Caravan.Topology.PollSchedule do
  @moduledoc false
  # When to look up next. Pure: the seed is an argument, so that nodes started together don't poll in step.

  alias Caravan.Topology.Retry

  @quick 500
  @growth 1.5
  @jitter 0.1

  # `quick` is the current short interval, nil once the cluster has formed.
  defstruct [:interval, :quick, :rand]

  @type t :: %__MODULE__{interval: pos_integer, quick: number | nil, rand: :rand.state()}

  @spec new(pos_integer, term) :: t
  def new(interval, seed) do
    %__MODULE__{
      interval: interval,
      quick: @quick,
      rand: :rand.seed_s(:exsss, :erlang.phash2(seed))
    }
  end

  @doc "How many ms to wait after a lookup; `formed?` once a peer is or was up."
  @spec next(t, boolean) :: {pos_integer, t}
  def next(%{quick: quick, interval: interval} = schedule, formed?)
      when formed? or quick == nil or quick >= interval,
      do: spread(interval, %{schedule | quick: nil})

  def next(schedule, _formed?),
    do: spread(schedule.quick, %{schedule | quick: schedule.quick * @growth})

  defp spread(ms, schedule) do
    {ms, rand} = Retry.spread(ms, @jitter, schedule.rand)
    {ms, %{schedule | rand: rand}}
  end
end
