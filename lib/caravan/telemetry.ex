defmodule Caravan.Telemetry do
  alias Caravan.Error

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

  # What Telemetry.Metrics calls each; its name is made of that of the event and of what is measured. Node names are no
  # tags, since each deployment may bring new ones, and reporters keep their values forever; nor are sentences.
  #
  # A counter ignores the value of its measurement, but the event must have it.
  @metrics [
    {:counter, "caravan.lookup.start.count", [:topology, :query], "lookups started", measurement: :system_time},
    {:distribution, "caravan.lookup.stop.duration", [:topology, :query], "how long lookups took that succeeded",
     unit: {:native, :millisecond}, reporter_options: [buckets: [1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000]]},
    {:last_value, "caravan.lookup.stop.endpoints", [:topology, :query], "endpoints in the last answer", []},
    {:last_value, "caravan.lookup.stop.members", [:topology, :query], "members after the last answer", []},
    {:last_value, "caravan.lookup.stop.ttl", [:topology, :query], "TTL of the last answer", unit: :second},
    {:counter, "caravan.lookup.exception.count", [:topology, :query, :kind],
     "lookups that failed; `kind` is that of the `Caravan.Error`",
     measurement: :duration, tag_values: &__MODULE__.with_kind/1},
    {:counter, "caravan.member.added.count", [:topology], "nodes that became members, or picks", []},
    {:counter, "caravan.member.expired.count", [:topology], "nodes that ceased to be members", []},
    {:sum, "caravan.member.refused.count", [:topology, :query, :reason], "names in answers that were refused", []},
    {:counter, "caravan.peer.up.count", [:topology], "peers that connected", []},
    {:counter, "caravan.peer.down.count", [:topology], "peers that disconnected", []},
    {:counter, "caravan.peer.dial_failed.count", [:topology, :stage], "dials that failed", []},
    {:counter, "caravan.peer.forgotten.count", [:topology], "peers that are no longer dialed", []}
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

  metric_rows =
    Enum.map_join(@metrics, "\n", fn {kind, name, tags, doc, _options} ->
      "| `#{name}` | `#{kind}` | #{words.(tags)} | #{doc} |"
    end)

  @doc false
  def list, do: @events

  @doc "The events, for `:telemetry.attach_many/4`."
  @spec events() :: [[atom, ...]]
  def events, do: Enum.map(@events, &elem(&1, 0))

  @doc """
  The metrics of these events, for the reporters of
  [`Telemetry.Metrics`](https://hexdocs.pm/telemetry_metrics), LiveDashboard's charts among them:

      def metrics do
        [summary("phoenix.endpoint.stop.duration", unit: {:native, :millisecond})] ++ Caravan.Telemetry.metrics()
      end

  | metric | kind | tags | of |
  |---|---|---|---|
  #{metric_rows}

  No metric has a node as a tag: names may change with each deployment, and reporters keep the values of all tags.

  Caravan is compiled without `telemetry_metrics`. Raises `Caravan.Error` where it is missing.
  """
  @spec metrics() :: [struct, ...]
  def metrics do
    Error.need_package!("Caravan.Telemetry.metrics/0", Telemetry.Metrics, {:telemetry_metrics, "~> 1.0"})

    # Called through apply, since it is not a dependency.
    for {kind, name, tags, doc, options} <- @metrics,
        do: apply(Telemetry.Metrics, kind, [name, [tags: tags, description: doc] ++ options])
  end

  @doc false
  @spec with_kind(map) :: map
  def with_kind(metadata), do: Map.put(metadata, :kind, metadata.error.kind)

  @doc false
  @spec execute([atom, ...], map, map) :: :ok
  def execute(event, measurements, metadata) do
    # Called through apply, since :telemetry is not a dependency.
    if function_exported?(:telemetry, :execute, 3),
      do: apply(:telemetry, :execute, [event, measurements, metadata])

    :ok
  end
end
