defmodule Caravan.Telemetry.MetricsTest do
  # With the real telemetry_metrics where TELEMETRY_METRICS_EBIN names it. Not async: others don't have the package.
  use ExUnit.Case, async: false
  alias Caravan.{Error, Telemetry}

  @ebin System.get_env("TELEMETRY_METRICS_EBIN")

  defp with_package do
    if @ebin, do: Code.prepend_path(@ebin), else: Code.compile_file("../../support/telemetry_metrics.exs", __DIR__)
    Code.ensure_loaded!(Elixir.Telemetry.Metrics)

    on_exit(fn ->
      if @ebin, do: Code.delete_path(@ebin)
      :code.purge(Elixir.Telemetry.Metrics)
      :code.delete(Elixir.Telemetry.Metrics)
      :code.purge(Elixir.Telemetry.Metrics)
    end)

    Telemetry.metrics()
  end

  test "without the package the error says what to add" do
    error = assert_raise Error, fn -> Telemetry.metrics() end
    assert error.kind == :not_loaded
    assert error.message =~ ~s(add {:telemetry_metrics, "~> 1.0"} to the dependencies in mix.exs)
  end

  test "each event has a metric, and each metric measures what its event has" do
    metrics = with_package()
    assert Enum.uniq(Enum.map(metrics, & &1.event_name)) == Telemetry.events()

    documented =
      Map.new(Telemetry.list(), fn {event, measurements, metadata, _} -> {event, {measurements, metadata}} end)

    for metric <- metrics do
      {measurements, metadata} = documented[metric.event_name]
      values = Map.new(measurements, &{&1, 2})
      assert measured(metric.measurement, values) > 0, inspect(metric)

      # The tags are made of what the event carries.
      tagged = metric.tag_values.(Map.new(metadata, &{&1, if(&1 == :error, do: %Error{kind: :timeout, message: ""})}))
      assert [_ | _] = metric.tags
      for tag <- metric.tags, do: assert(is_map_key(tagged, tag), inspect(metric))
      assert [] == [:node, :error, :example] -- [:node, :error, :example] -- metric.tags
      assert is_binary(metric.description)
    end
  end

  test "durations are in milliseconds, and what failed tells its kind" do
    metrics = with_package()
    assert %{} = duration = Enum.find(metrics, &(&1.event_name == [:caravan, :lookup, :stop]))
    native = System.convert_time_unit(7, :millisecond, :native)
    if @ebin, do: assert({duration.unit, duration.measurement.(%{duration: native})} == {:millisecond, 7.0})
    if !@ebin, do: assert(duration.unit == {:native, :millisecond})

    failed = Enum.find(metrics, &(&1.event_name == [:caravan, :lookup, :exception]))
    assert %{kind: :nxdomain} = failed.tag_values.(%{error: %Error{kind: :nxdomain, message: ""}})
  end

  test "the documentation has a row for each" do
    {:docs_v1, _, _, _, _, _, docs} = Code.fetch_docs(Telemetry)
    assert {_, _, _, %{"en" => doc}, _} = List.keyfind(docs, {:function, :metrics, 0}, 0)

    for metric <- with_package() do
      kind = if @ebin, do: metric.__struct__ |> Module.split() |> List.last() |> Macro.underscore(), else: metric.kind
      assert doc =~ ~r/^\| `#{Enum.join(metric.event_name, ".")}\.\w+` \| `#{kind}` \|/m
    end
  end

  defp measured(measurement, values) when is_function(measurement), do: measurement.(values)
  defp measured(measurement, values), do: Map.fetch!(values, measurement)
end
