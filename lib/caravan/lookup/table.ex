defmodule Caravan.Lookup.Table do
  @moduledoc false
  # The outcome of a lookup as readable text: the table of `mix caravan.lookup` and `Caravan.report/2`.

  alias Caravan.{Error, Lookup}

  @head ~w(HOST PORT PRIORITY WEIGHT ADDRESSES)

  @doc "Renders the result of `Caravan.lookup/2`; `:ok` if the answer is complete."
  @spec render(String.t() | charlist, {:ok, Lookup.t()} | {:error, Error.t()}) ::
          {:ok | :error, String.t()}
  def render(query, {:ok, lookup}), do: {:ok, text(query, lookup)}

  def render(query, {:error, %{details: %{partial: part}} = error}),
    do: {:error, text(query, part, [error.message])}

  def render(_query, {:error, error}), do: {:error, error.message}

  @spec text(String.t() | charlist, Lookup.t(), missing :: [String.t()]) :: String.t()
  def text(query, lookup, missing \\ []) do
    count = length(lookup.endpoints)
    ms = Float.round(lookup.elapsed / 1000, 1)

    summary =
      "#{count} #{if count == 1, do: "endpoint", else: "endpoints"} for #{query} from " <>
        "#{lookup.server} (#{lookup.transport}) in #{ms} ms, TTL #{lookup.ttl} s"

    rows = table([@head | Enum.map(lookup.endpoints, &row/1)])
    notes = Enum.map(lookup.refused, &refused/1) ++ Enum.map(missing, &"incomplete: #{&1}")
    Enum.join([summary, "" | rows] ++ notes, "\n")
  end

  defp row(endpoint) do
    [
      endpoint.host || "-",
      to_string(endpoint.port || "-"),
      to_string(endpoint.priority),
      to_string(endpoint.weight),
      addresses(endpoint.addresses)
    ]
  end

  defp addresses([]), do: "does not resolve"
  defp addresses(addresses), do: Enum.map_join(addresses, " ", &:inet.ntoa/1)

  defp refused(refused),
    do: "refused: #{refused.count} (#{refused.reason}), such as #{inspect(refused.example)}"

  defp table(rows) do
    widths =
      rows
      |> Enum.zip_with(fn column -> column |> Enum.map(&String.length/1) |> Enum.max() end)

    Enum.map(rows, fn row ->
      row
      |> Enum.zip_with(widths, &String.pad_trailing/2)
      |> Enum.join("  ")
      |> String.trim_trailing()
    end)
  end
end
