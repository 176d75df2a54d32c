defmodule Caravan.Telemetry do
  @events [
    {[:caravan, :lookup, :start], [:system_time], [:topology, :query], "a look-up was started"},
    {[:caravan, :lookup, :stop], [:duration, :endpoints, :members, :ttl],
     [:topology, :query, :server, :transport], "a look-up was answered"},
    {[:caravan, :lookup, :exception], [:duration], [:topology, :query, :error],
     "a look-up failed; `error` is a `Caravan.Error`"},
    {[:caravan, :member, :added], [:count], [:topology, :node], "a node name is a member now"},
    {[:caravan, :member, :expired], [:count], [:topology, :node], "it is one no longer"},
    {[:caravan, :member, :refused], [:count], [:topology, :query, :reason, :example],
     "names of an answer were refused; `count` of them for this `reason`"},
    {[:caravan, :peer, :up], [:count], [:topology, :node], "a peer is connected"},
    {[:caravan, :peer, :down], [:count], [:topology, :node, :reason],
     "the link to a peer is gone"},
    {[:caravan, :peer, :dial_failed], [:count], [:topology, :node, :stage, :reason],
     "a peer could not be dialled; `stage` is `:probe` where nobody is there, else `:dial`; `reason` is a sentence"},
    {[:caravan, :peer, :forgotten], [:count], [:topology, :node],
     "a peer that is no member any more is dialled no longer"}
  ]

  words = fn words -> Enum.map_join(words, ", ", &"`#{&1}`") end

  rows =
    Enum.map_join(@events, "\n", fn {event, measurements, metadata, doc} ->
      "| `#{inspect(event)}` | #{words.(measurements)} | #{words.(metadata)} | #{doc} |"
    end)

  @moduledoc """
  The events that Caravan emits through [`:telemetry`](https://hexdocs.pm/telemetry), if that is loaded.

  | event | measurements | metadata | when |
  |---|---|---|---|
  #{rows}

  `duration` and `system_time` are in native units (see `System.convert_time_unit/3`), `ttl` is in seconds.
  """

  @doc false
  def list, do: @events

  @doc "The events, for `:telemetry.attach_many/4`."
  @spec events() :: [[atom, ...]]
  def events, do: Enum.map(@events, &elem(&1, 0))

  @doc false
  @spec execute([atom, ...], map, map) :: :ok
  def execute(event, measurements, metadata) do
    # Called by apply, since :telemetry is no dependency.
    if function_exported?(:telemetry, :execute, 3),
      do: apply(:telemetry, :execute, [event, measurements, metadata])

    :ok
  end
end
