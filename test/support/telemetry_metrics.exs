# Stands in for the package telemetry_metrics, of whose functions Caravan calls these.
defmodule Telemetry.Metrics do
  @moduledoc false

  for kind <- [:counter, :sum, :last_value, :summary, :distribution] do
    def unquote(kind)(name, options) do
      {event, [measurement]} = name |> String.split(".") |> Enum.map(&String.to_atom/1) |> Enum.split(-1)

      %{
        kind: unquote(kind),
        event_name: event,
        measurement: options[:measurement] || measurement,
        tags: options[:tags],
        tag_values: options[:tag_values] || (& &1),
        unit: options[:unit] || :unit,
        description: options[:description]
      }
    end
  end
end
