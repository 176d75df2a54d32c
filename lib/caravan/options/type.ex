defmodule Caravan.Options.Type do
  @moduledoc false
  # The types of options: how values are checked and normalized, and how messages describe them.

  alias Caravan.Native

  # Erlang's timers end at 2^32 - 1 ms.
  @max_ms 2_147_483_647
  @max_queries 64
  # Those of the option max_members.
  @max_nodes 500_000

  @type t :: atom | {:one_of, [atom]} | {:integer, integer, integer}

  @spec cast(t, term) :: {:ok, term} | :error
  def cast({:one_of, words}, value), do: ok_if(value in words, value)

  def cast({:integer, min, max}, value),
    do: ok_if(is_integer(value) and value >= min and value <= max, value)

  def cast(:ms, value), do: cast({:integer, 1, @max_ms}, value)
  def cast(:duration, value), do: cast({:integer, 0, @max_ms}, value)
  def cast(:count, value), do: ok_if(is_integer(value) and value >= 0, value)
  def cast(:atom, value), do: ok_if(is_atom(value), value)

  # What can't be written in Latin-1 is no cookie for OTP either.
  def cast(:cookie, value),
    do: ok_if(is_atom(value) and Enum.all?(Atom.to_charlist(value), &(&1 < 256)), value)

  def cast(:node, nil), do: {:ok, nil}
  def cast(:node, value) when is_atom(value), do: {:ok, Atom.to_string(value)}
  def cast(:node, value), do: cast(:name, value)

  def cast(:topologies, value), do: ok_if(Keyword.keyword?(value), value)

  def cast(:string, value),
    do: ok_if(is_binary(value) and value != "" and String.printable?(value), value)

  def cast(:name, [char | _] = value) when is_integer(char) do
    if not List.improper?(value) and List.ascii_printable?(value),
      do: {:ok, List.to_string(value)},
      else: :error
  end

  def cast(:name, value), do: cast(:string, value)
  def cast(:strings, values), do: all(values, &cast(:string, &1))

  # A charlist is a list, too, so a single name is tried first.
  def cast(:queries, value) do
    with :error <- cast(:name, value),
         {:ok, [_ | _] = queries} <- all(value, &cast(:name, &1)) do
      ok_if(length(queries) <= @max_queries, queries)
    else
      {:ok, []} -> :error
      {:ok, query} -> {:ok, [query]}
      :error -> :error
    end
  end

  def cast(:unread, value), do: {:ok, value}

  def cast(:nodes, value) do
    with {:ok, [_ | _] = nodes} <- all(value, &node_name/1) do
      ok_if(length(nodes) <= @max_nodes, nodes)
    else
      _none -> :error
    end
  end

  def cast(:nameservers, :system), do: {:ok, :system}

  def cast(:nameservers, values),
    do: if(values == [], do: :error, else: all(values, &nameserver/1))

  def cast(:disconnect, false), do: {:ok, false}

  def cast(:disconnect, [after: ms] = value),
    do: with({:ok, _} <- cast(:ms, ms), do: {:ok, value})

  def cast(:disconnect, _value), do: :error

  def cast(:mesh, :full), do: {:ok, :full}

  def cast(:mesh, [links: n] = value),
    do: with({:ok, _} <- cast({:integer, 2, 64}, n), do: {:ok, value})

  def cast(:mesh, _value), do: :error

  @doc "A description of valid values, to follow \"expected\"."
  @spec expected(t) :: String.t()
  def expected({:one_of, words}), do: "one of #{Enum.map_join(words, ", ", &inspect/1)}"
  def expected({:integer, min, max}), do: "an integer from #{min} to #{max}"
  def expected(:ms), do: "a positive integer (milliseconds, at most 24 days)"
  def expected(:duration), do: "a non-negative integer (milliseconds, at most 24 days)"
  def expected(:count), do: "a non-negative integer"
  def expected(:atom), do: "an atom"
  def expected(:cookie), do: "an atom of Latin-1 characters"
  def expected(:node), do: "a node name (atom or string)"

  def expected(:topologies),
    do: ~s(a keyword list of topologies, such as [name: [query: "app.example"]])

  def expected(:string), do: "a non-empty string"
  def expected(:strings), do: "a list of non-empty strings"
  def expected(:name), do: "a non-empty string or charlist"

  def expected(:queries),
    do: "a name or a list of 1 to #{@max_queries} names (strings or charlists)"

  def expected(:nodes),
    do: ~s(a list of node names (atoms or strings\), such as [:"my_app-3434@host1.example.org"])

  def expected(:nameservers),
    do: ~s(:system or a list of addresses with an optional port, such as ["127.0.0.1:8600", "[::1]:53"])

  def expected(:disconnect), do: "false or [after: ms]"
  def expected(:mesh), do: ":full or [links: n] with n from 2 to 64"

  defp ok_if(true, value), do: {:ok, value}
  defp ok_if(false, _value), do: :error

  defp all(values, cast) do
    casts =
      if is_list(values) and not List.improper?(values),
        do: Enum.map(values, cast),
        else: [:error]

    if :error in casts, do: :error, else: {:ok, casts |> Keyword.values() |> Enum.uniq()}
  end

  # The library checks them, and knows the port of each.
  defp node_name(value) when is_atom(value) and value not in [nil, true, false],
    do: cast(:string, Atom.to_string(value))

  defp node_name(value) when is_binary(value), do: cast(:string, value)
  defp node_name(_value), do: :error

  # The library writes it in one way, the port always with it.
  defp nameserver(value) do
    with {:ok, text} <- cast(:string, value),
         {:error, _sentence} <- Native.nameserver(text),
         do: :error
  end
end
