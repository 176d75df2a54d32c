defmodule Caravan.Discovery do
  @moduledoc false
  # The look-ups of a topology: what was asked, what came of it. The set of members itself is a resource
  # of the native library, made for one own name and gone with the struct that holds it.

  alias Caravan.{Error, Native, Options}

  # The native library answers within the time-out; should it ever not, this is how long to wait on.
  @grace 1_000

  @enforce_keys [:options, :probes?]
  defstruct [
    :options,
    :probes?,
    :self,
    :membership,
    # What new names are probed under, and how many wait for that or for links.
    :proving,
    waiting: 0,
    queries: %{},
    pending: %{},
    late: %{}
  ]

  @type t :: %__MODULE__{
          options: Options.topology(),
          probes?: boolean,
          proving: reference | nil,
          waiting: non_neg_integer,
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
  failed. `newly_refused`: reasons for refusing names that were not known already. `newly_cut?`: the answer was
  cut, and had not been for a while. `alias`: what the answer calls this node, if that is not its name and wasn't known
  already.
  """
  @type outcome :: %{
          query: String.t(),
          result: {:ok, report :: map} | {:error, Error.t()},
          duration: integer,
          turned?: boolean,
          newly_refused: [atom],
          newly_cut?: boolean,
          alias: String.t() | nil
        }

  @doc "`probes?`: a node listens where its name says, so that a new name can be probed."
  @spec new(Options.topology(), boolean) :: t
  def new(options, probes?) do
    queries =
      for {query, index} <- Enum.with_index(options.query), into: %{} do
        {index,
         %{
           query: query,
           outcome: nil,
           at: nil,
           report: nil,
           refused: %{},
           cut_at: nil,
           itself: nil
         }}
      end

    %__MODULE__{options: options, probes?: probes?, queries: queries}
  end

  @doc "Raises if the native library finds fault with the options of the topology `name`."
  @spec check!(atom, Options.topology()) :: :ok
  def check!(name, options) do
    with {:error, {kind, sentence}} <- membership(options, true, :"name-1024@localhost", nil) do
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
        else: membership(discovery.options, discovery.probes?, node, long_names?)

    queries = Map.new(discovery.queries, fn {index, q} -> {index, %{q | itself: nil}} end)
    located = %{discovery | self: node, membership: membership, queries: queries}
    {note, Map.merge(located, %{pending: %{}, late: %{}, proving: nil, waiting: 0})}
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

    with {:error, _} = error <- Native.poll(discovery.membership, index, ref, self, atoms()),
         do: send(self(), {ref, error})

    timer = Process.send_after(self(), {:overdue, ref}, discovery.options.timeout + @grace)
    pending = {index, System.monotonic_time(), timer}
    %{discovery | pending: Map.put(discovery.pending, ref, pending)}
  end

  # How many there are, and how many the VM may have: new names are not to fill its table.
  defp atoms, do: {:erlang.system_info(:atom_count), :erlang.system_info(:atom_limit)}

  # Names that wait for a probe get it, and what comes of that is told before the next look-up.
  defp prove(%{proving: nil, probes?: true} = discovery, waiting) when waiting > 0 do
    ref = make_ref()
    # Where there is no place for it now, the next look-up begins it.
    begun? = Native.prove(discovery.membership, ref, atoms()) == :ok
    %{discovery | proving: if(begun?, do: ref), waiting: waiting}
  end

  defp prove(discovery, waiting), do: %{discovery | waiting: waiting}

  @doc "Do names wait until those that were trusted before them are linked?"
  @spec waits_for_links?(t) :: boolean
  def waits_for_links?(discovery), do: discovery.waiting > 0 and not discovery.probes?

  @doc "Does another topology of this node stand behind `node`?"
  @spec others_want?(t, node) :: boolean
  def others_want?(discovery, node), do: Native.others_want(discovery.membership, node)

  @doc "Takes the message `{ref, result}`, if it belongs to a look-up or to probes. `now` is in ms."
  @spec answer(t, reference, term, integer) ::
          {:looked_up, outcome, t} | {:admitted, map, t} | :unknown
  def answer(%{proving: ref} = discovery, ref, result, _now) do
    discovery = %{discovery | proving: nil}

    case result do
      {:ok, report} -> {:admitted, report, prove(discovery, report.waiting)}
      {:error, _} -> {:admitted, %{added: [], expired: []}, discovery}
    end
  end

  def answer(discovery, ref, result, now) do
    case Map.pop(discovery.pending, ref) do
      {nil, _} ->
        late(discovery, ref, result, now)

      {{index, started, _timer}, pending} when result == :overdue ->
        late = Map.put(discovery.late, ref, {index, started})
        looked_up(%{discovery | pending: pending, late: late}, index, started, result, now)

      {{index, started, timer}, pending} ->
        _ = Process.cancel_timer(timer)
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
    keep = discovery.options.expire_after
    refused = refused(query.refused, result, now, keep)
    cut? = match?({:ok, %{cut: true}}, result)

    itself = itself(query.itself, result, discovery.self, now)

    outcome = %{
      query: query.query,
      result: result,
      duration: System.monotonic_time() - started,
      turned?: turned?(query.outcome, result),
      newly_refused: Map.keys(refused) -- Map.keys(query.refused),
      # An answer of nearly the size that fits is cut one time and whole the next.
      newly_cut?: cut? and (query.cut_at == nil or now - query.cut_at >= keep),
      alias: if(itself && itself.alias != (query.itself || %{alias: nil}).alias, do: itself.alias)
    }

    cut_at = if cut?, do: now, else: query.cut_at
    query = %{record(query, result) | at: now, refused: refused, cut_at: cut_at, itself: itself}
    discovery = %{discovery | queries: %{discovery.queries | index => query}}

    case result do
      {:ok, report} -> {:looked_up, outcome, prove(discovery, report.waiting)}
      {:error, _} -> {:looked_up, outcome, discovery}
    end
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

  defp membership(options, probes?, node, long_names) do
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
      probes: probes?,
      allow: options.allow
    }

    Native.membership_new(spec)
  end

  defp result({:ok, report}, _query, _options), do: {:ok, report}
  defp result({:error, error}, query, _options), do: {:error, Error.new(error, query)}

  defp result(:overdue, query, options) do
    sentence = Error.overdue(query, options.timeout, @grace)
    {:error, Error.new({:internal, sentence}, query)}
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
