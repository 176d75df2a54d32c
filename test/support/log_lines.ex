defmodule Caravan.LogLines do
  @moduledoc "The log of a test's VM, kept there for the test to read: `start/0`, then `about/1`."

  @table __MODULE__

  def start do
    # Whoever calls may end; the table must not.
    parent = self()

    spawn(fn ->
      :ets.new(@table, [:named_table, :public, :ordered_set])
      send(parent, @table)
      Process.sleep(:infinity)
    end)

    receive do: (@table -> :ok)
    :ok = :logger.set_primary_config(:level, :all)
    :logger.add_handler(@table, __MODULE__, %{})
  end

  @doc "The lines that contain `text`, in their order."
  def about(text) do
    for {_, line} <- :ets.tab2list(@table), String.contains?(line, text), do: line
  end

  @doc false
  def log(event, _config) do
    line = :logger_formatter.format(event, %{single_line: true, template: [:msg]})
    :ets.insert(@table, {:erlang.unique_integer([:monotonic]), IO.chardata_to_string(line)})
  end
end
