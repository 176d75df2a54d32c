defmodule Caravan.LiveDashboard.Rows do
  @moduledoc false
  # What the page of LiveDashboard shows of the status of each topology: the rows of its tables, and its cards. Pure.

  alias Caravan.Status

  # The cells are narrow.
  @nbsp "\u00A0"

  @type statuses :: %{atom => Status.t()}

  @typedoc "What a table of LiveDashboard asks for: how to sort, what to look for, and how many rows it has room for."
  @type wanted :: %{
          sort_by: atom,
          sort_dir: :asc | :desc,
          search: String.t() | nil,
          limit: pos_integer | nil
        }

  @typedoc "A row has the text of each field, and in `keys` what to sort those by that are no mere text."
  @type row :: %{required(:keys) => map, optional(atom) => String.t()}

  @doc "For each topology a title, and three figures with their names."
  @spec cards(statuses) :: [{title :: String.t(), [{name :: String.t(), figure :: String.t()}]}]
  def cards(statuses), do: for({_name, status} <- Enum.sort(statuses), do: {title(status), figures(status)})

  @doc "A row for each peer, and how many there are besides those that don't fit."
  @spec peers(statuses, wanted) :: {[row], non_neg_integer}
  def peers(statuses, wanted) do
    rows =
      for {name, status} <- statuses, peer <- status.peers do
        %{
          topology: inspect(name),
          node: Atom.to_string(peer.node),
          state: state(peer),
          for: seconds(peer.state_age),
          attempts: Integer.to_string(peer.attempts),
          next_dial: seconds(peer.next_dial),
          error: peer.error || "",
          keys: %{for: peer.state_age, attempts: peer.attempts, next_dial: peer.next_dial || -1}
        }
      end

    choose(rows, wanted)
  end

  @doc "A row for each query. What the page's address has to look for is meant for the peers."
  @spec lookups(statuses, wanted) :: {[row], non_neg_integer}
  def lookups(statuses, wanted) do
    rows =
      for {name, status} <- statuses, query <- status.queries do
        %{
          topology: inspect(name),
          query: query.query,
          outcome: outcome(query),
          age: seconds(query.age),
          endpoints: text(query.endpoints),
          ttl: ttl(query),
          server: server(query),
          keys: %{age: query.age || -1, endpoints: query.endpoints || -1, ttl: query.ttl || -1}
        }
      end

    choose(rows, %{wanted | search: nil})
  end

  @doc "A row for each reason for which names are refused."
  @spec refused(statuses, wanted) :: {[row], non_neg_integer}
  def refused(statuses, wanted) do
    rows =
      for {name, status} <- statuses, refused <- status.refused do
        %{
          topology: inspect(name),
          reason: Atom.to_string(refused.reason),
          count: Integer.to_string(refused.count),
          example: refused.example,
          keys: %{count: refused.count}
        }
      end

    choose(rows, %{wanted | search: nil})
  end

  ## Cards

  defp title(%{responding: false} = status), do: "#{inspect(status.name)} is not responding"
  defp title(%{draining: true} = status), do: "#{inspect(status.name)} is draining"
  defp title(status), do: inspect(status.name)

  defp figures(%{responding: false}), do: for(name <- ["Members", "Connected", "Broadcasts"], do: {name, "unknown"})

  defp figures(status) do
    [
      {"Members", "#{status.members}#{spares(status)}"},
      {"Connected", "#{status.links}"},
      {"Broadcasts", broadcasts(status.broadcasts)}
    ]
  end

  defp spares(%{spares: 0}), do: ""
  defp spares(status), do: ", #{status.picks} of them picks"

  defp broadcasts(nil), do: "unknown"
  defp broadcasts(b), do: "#{b.sent} sent, #{b.received} received, #{b.lost} lost"

  ## Fields

  # Who is linked without being a pick is so by another node's choice.
  defp state(%{state: :connected, pick: false}), do: "connected, no pick"
  defp state(%{state: state}), do: Status.state(state)

  defp outcome(%{outcome: nil}), do: "not looked up yet"
  defp outcome(%{outcome: {:error, error}}), do: error.message
  defp outcome(%{incomplete: reason}) when is_binary(reason), do: "incomplete: #{reason}"
  defp outcome(%{unresolved: [_ | _] = hosts}), do: "no address for #{Enum.join(hosts, ", ")}"
  defp outcome(%{outcome: :ok}), do: "ok"

  defp server(%{server: nil}), do: ""
  defp server(query), do: "#{query.server} (#{query.transport})"

  # Only DNS has one.
  defp ttl(%{transport: transport, ttl: ttl}) when transport in [:udp, :tcp, :hosts], do: "#{ttl}#{@nbsp}s"
  defp ttl(_query), do: ""

  defp seconds(nil), do: ""
  defp seconds(ms), do: ms |> Status.seconds() |> String.replace(" ", @nbsp)

  defp text(nil), do: ""
  defp text(number), do: Integer.to_string(number)

  ## Which rows

  defp choose(rows, wanted) do
    found = Enum.filter(rows, &found?(&1, wanted.search))
    sorted = Enum.sort_by(found, &key(&1, wanted.sort_by), wanted.sort_dir)
    {if(wanted.limit, do: Enum.take(sorted, wanted.limit), else: sorted), length(found)}
  end

  defp found?(_row, nil), do: true

  defp found?(row, search) do
    search = String.downcase(search)
    Enum.any?(row, fn {_field, text} -> is_binary(text) and String.contains?(String.downcase(text), search) end)
  end

  # Rows that are alike there are in the order of their names.
  defp key(row, field),
    do: {Map.get(row.keys, field, row[field]), row.topology, row[:node] || row[:query] || row[:reason]}
end
