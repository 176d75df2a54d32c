defmodule Caravan.Telemetry do
  @events [
    {[:caravan, :lookup, :start], [:system_time], [:topology, :query], "a lookup started"},
    {[:caravan, :lookup, :stop], [:duration, :endpoints, :members, :ttl], [:topology, :query, :server, :transport],
     "a lookup succeeded"},
    {[:caravan, :lookup, :exception], [:duration], [:topology, :query, :error],
     "a lookup failed; `error` is a `Caravan.Error`"},
    {[:caravan, :member, :added], [:count], [:topology, :node],
     "a node became a member or, with `mesh: [links: n]`, a pick"},
    {[:caravan, :member, :expired], [:count], [:topology, :node], "a node is no longer a member"},
    {[:caravan, :member, :refused], [:count], [:topology, :query, :reason, :example],
     "an answer held `count` names that were refused, or have to wait, for this `reason`"},
    {[:caravan, :peer, :up], [:count], [:topology, :node], "a peer connected"},
    {[:caravan, :peer, :down], [:count], [:topology, :node, :reason], "a peer disconnected"},
    {[:caravan, :peer, :dial_failed], [:count], [:topology, :node, :stage, :reason],
     "a dial failed; `stage` is `:probe` if no node is there, otherwise `:dial`; `reason` is a sentence"},
    {[:caravan, :peer, :forgotten], [:count], [:topology, :node],
     "a peer that is no longer a member, or no longer a pick, is no longer dialed"}
  ]

  words = fn words -> Enum.map_join(words, ", ", &"`#{&1}`") end

  rows =
    Enum.map_join(@events, "\n", fn {event, measurements, metadata, doc} ->
      "| `#{inspect(event)}` | #{words.(measurements)} | #{words.(metadata)} | #{doc} |"
    end)

  @moduledoc """
  The events that Caravan emits through [`:telemetry`](https://hexdocs.pm/telemetry), if it is loaded.

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
    # Called through apply, since :telemetry is not a dependency.
    if function_exported?(:telemetry, :execute, 3),
      do: apply(:telemetry, :execute, [event, measurements, metadata])

    :ok
  end
end
