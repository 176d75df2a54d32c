defmodule Caravan.Discovery do
  @moduledoc false
  # The look-ups of a topology: what was asked, what came of it. The set of members itself is a resource
  # of the native library, made for one own name and gone with the struct that holds it.

  alias Caravan.{Error, Native, Options}

  # The native library answers within the time-out; should it ever not, this is how long to wait on.
  @grace 1_000

  @enforce_keys [:options]
  defstruct [:options, :self, :membership, queries: %{}, pending: %{}, late: %{}]

  @type t :: %__MODULE__{
          options: Options.topology(),
          self: node | nil,
          membership: term,
          queries: %{non_neg_integer => map},
          pending: %{reference => {non_neg_integer, integer, reference}},
          # Overdue ones. Their changes are made in the membership and are told only once. The native library
          # bounds how many there are.
          late: %{reference => {non_neg_integer, integer}}
        }

  @typedoc "Why peers with these options don't find this node as it finds them; `Caravan.Events` has the sentences."
  @type note :: {:by_host, nil} | {:capitals, host :: String.t()} | {:other_name, String.t()}

  @typedoc """
  What came of one look-up. `turned?`: the query failed for the first time, or was answered after it
  failed. `newly_refused`: reasons for refusing names that were not known already. `alias`: what the answer calls this
  node, if that is not its name and wasn't known already.
  """
  @type outcome :: %{
          query: String.t(),
          result: {:ok, report :: map} | {:error, Error.t()},
          duration: integer,
          turned?: boolean,
          newly_refused: [atom],
          alias: String.t() | nil
        }

  @spec new(Options.topology()) :: t
  def new(options) do
    queries =
      for {query, index} <- Enum.with_index(options.query), into: %{} do
        {index, %{query: query, outcome: nil, at: nil, report: nil, refused: %{}, itself: nil}}
      end

    %__MODULE__{options: options, queries: queries}
  end

  @doc "Raises if the native library finds fault with the options of the topology `name`."
  @spec check!(atom, Options.topology()) :: :ok
  def check!(name, options) do
    with {:error, {kind, sentence}} <- membership(options, :"name-1024@localhost", nil) do
      raise Error.new({kind, "topology #{inspect(name)}: #{sentence}"})
    else
      {:ok, _, _} -> :ok
    end
  end

  @doc """
  Looks on behalf of `node`, with an empty set of members. Answers, too, with what of the options doesn't suit its name.
  `long_names?` is `nil` where links are not Erlang's own, for which names and ports need not be as these want them.
  """
  @spec locate(t, node, long_names? :: boolean | nil) :: {note | nil, t}
  def locate(discovery, node, long_names?) do
    {:ok, membership, note} =
      if node == :nonode@nohost,
        do: {:ok, nil, nil},
        else: membership(discovery.options, node, long_names?)

    queries = Map.new(discovery.queries, fn {index, q} -> {index, %{q | itself: nil}} end)
    located = %{discovery | self: node, membership: membership, queries: queries}
    {note, %{located | pending: %{}, late: %{}}}
  end

  @doc "Starts a look-up of every query that has none under way. Answers go to the calling process."
  @spec start(t, (query :: String.t() -> any)) :: t
  def start(%{membership: nil} = discovery, _started), do: discovery

  def start(discovery, started) do
    busy = MapSet.new(discovery.pending, fn {_, {index, _, _}} -> index end)

    for {index, %{query: query}} <- discovery.queries, index not in busy, reduce: discovery do
      discovery ->
        started.(query)
        ask(discovery, index)
    end
  end

  defp ask(discovery, index) do
    ref = make_ref()
    self = Atom.to_string(discovery.self)

    with {:error, _} = error <- Native.poll(discovery.membership, index, ref, self),
         do: send(self(), {ref, error})

    timer = Process.send_after(self(), {:overdue, ref}, discovery.options.timeout + @grace)
    pending = {index, System.monotonic_time(), timer}
    %{discovery | pending: Map.put(discovery.pending, ref, pending)}
  end

  @doc "Takes the message `{ref, result}`, if it belongs to a look-up. `now` is in ms."
  @spec answer(t, reference, term, integer) :: {:looked_up, outcome, t} | :unknown
  def answer(discovery, ref, result, now) do
    case Map.pop(discovery.pending, ref) do
      {nil, _} ->
        late(discovery, ref, result, now)

      {{index, started, _timer}, pending} when result == :overdue ->
        late = Map.put(discovery.late, ref, {index, started})
        looked_up(%{discovery | pending: pending, late: late}, index, started, result, now)

      {{index, started, timer}, pending} ->
        Process.cancel_timer(timer)
        looked_up(%{discovery | pending: pending}, index, started, result, now)
    end
  end

  defp late(discovery, ref, result, now) do
    case Map.pop(discovery.late, ref) do
      {{index, started}, late} ->
        looked_up(%{discovery | late: late}, index, started, result, now)

      {nil, _} ->
        :unknown
    end
  end

  defp looked_up(discovery, index, started, result, now) do
    query = discovery.queries[index]
    result = result(result, query.query, discovery.options)
    refused = refused(query.refused, result, now, discovery.options.expire_after)

    itself = itself(query.itself, result, discovery.self, now)

    outcome = %{
      query: query.query,
      result: result,
      duration: System.monotonic_time() - started,
      turned?: turned?(query.outcome, result),
      newly_refused: Map.keys(refused) -- Map.keys(query.refused),
      alias: if(itself && itself.alias != (query.itself || %{alias: nil}).alias, do: itself.alias)
    }

    query = %{record(query, result) | at: now, refused: refused, itself: itself}
    queries = %{discovery.queries | index => query}
    {:looked_up, outcome, %{discovery | queries: queries}}
  end

  @doc "Was every query answered when it was last asked, and is none being asked?"
  @spec complete?(t) :: boolean
  def complete?(discovery) do
    discovery.pending == %{} and Enum.all?(discovery.queries, fn {_, q} -> q.outcome == :ok end)
  end

  @doc "The part of `Caravan.Status` that concerns look-ups."
  @spec status(t, integer) :: %{
          queries: [Caravan.Status.query()],
          refused: [Caravan.Lookup.refused()]
        }
  def status(discovery, now) do
    queries = for {_, query} <- Enum.sort(discovery.queries), do: query
    refused = for query <- queries, {_, refused} <- query.refused, do: Map.delete(refused, :at)
    %{queries: Enum.map(queries, &query_status(&1, now)), refused: refused}
  end

  @doc "This node, as `Caravan.Status` lists it among the peers, if an answer leads to it."
  @spec itself(t, integer) :: [Caravan.Status.peer()]
  def itself(discovery, now) do
    case for {_, %{itself: %{} = itself}} <- discovery.queries, do: itself do
      [] ->
        []

      found ->
        peer = %{node: discovery.self, state: :self, attempts: 0, error: nil, next_dial: nil}
        alias = Enum.find_value(found, & &1.alias)
        since = found |> Enum.map(& &1.since) |> Enum.min()
        error = alias && "DNS calls this node #{alias}"
        [Map.merge(peer, %{for: now - since, error: error})]
    end
  end

  defp query_status(query, now) do
    found =
      Map.take(query.report || %{}, [
        :ttl,
        :server,
        :transport,
        :endpoints,
        :unresolved,
        :incomplete
      ])

    Map.merge(
      %{
        query: query.query,
        outcome: query.outcome,
        age: query.at && now - query.at,
        ttl: nil,
        server: nil,
        transport: nil,
        endpoints: nil,
        unresolved: [],
        incomplete: nil
      },
      found
    )
  end

  defp membership(options, node, long_names) do
    spec = %{
      queries: options.query,
      type: options.type,
      nameservers: options.nameservers,
      transport: options.transport,
      timeout: options.timeout,
      own: Atom.to_string(node),
      long_names: long_names,
      bound: Native.bound(),
      sname: options.node_sname,
      template: options.node_name,
      expire_after: options.expire_after,
      withdraw_after: if(options.disconnect, do: options.disconnect[:after]),
      max_members: options.max_members,
      allow: options.allow
    }

    Native.membership_new(spec)
  end

  defp result({:ok, report}, _query, _options), do: {:ok, report}
  defp result({:error, error}, query, _options), do: {:error, Error.new(error, query)}

  defp result(:overdue, query, options) do
    message =
      "the look-up of #{query} gave no answer for #{options.timeout + @grace} ms, although the deadline is " <>
        "#{options.timeout} ms; this is a fault in Caravan, please report it"

    {:error, Error.new({:timeout, message}, query)}
  end

  defp record(query, {:ok, report}), do: %{query | outcome: :ok, report: report}
  defp record(query, {:error, _} = error), do: %{query | outcome: error}

  defp turned?({:error, _}, {:error, _}), do: false
  defp turned?(_, {:error, _}), do: true
  defp turned?({:error, _}, {:ok, _}), do: true
  defp turned?(_, {:ok, _}), do: false

  defp itself(known, {:error, _}, _self, _now), do: known
  defp itself(_known, {:ok, %{itself: []}}, _self, _now), do: nil

  defp itself(known, {:ok, %{itself: names}}, self, now) do
    alias = Enum.find(names, &(&1 != Atom.to_string(self)))
    Map.merge(known || %{since: now}, %{alias: alias})
  end

  # Answers may be random subsets, so a refusal is over only when it was not seen for a while.
  defp refused(known, {:error, _}, _now, _keep), do: known

  defp refused(known, {:ok, report}, now, keep) do
    seen = Map.new(report.refused, &{&1.reason, Map.put(&1, :at, now)})

    known
    |> Map.filter(fn {_, refused} -> now - refused.at < keep end)
    |> Map.merge(seen)
  end
end
