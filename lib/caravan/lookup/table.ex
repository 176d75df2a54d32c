defmodule Caravan.Lookup.Table do
  @moduledoc false
  # A look-up for people: the table of `mix caravan.lookup` and `Caravan.report/2`.

  alias Caravan.{Error, Lookup}

  @head ~w(HOST PORT PRIORITY WEIGHT ADDRESSES)

  @spec lookup(term, term) :: {:ok | :error, String.t()}
  def lookup(query, options) do
    case Caravan.lookup(query, options) do
      {:ok, lookup} ->
        {:ok, text(query, lookup)}

      {:error, %{details: %{partial: part}} = error} ->
        {:error, text(query, part, [error.message])}

      {:error, error} ->
        {:error, error.message}
    end
  rescue
    error in Error -> {:error, error.message}
  end

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
