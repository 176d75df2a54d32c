defmodule Caravan.Topology.Queries do
  @moduledoc false
  # The lookups of a topology and their outcomes. The membership itself is a resource of the native library, made for
  # one name of this node and freed with the struct that holds it.

  alias Caravan.{Error, Native}
  alias Caravan.Topology.Config
  alias Caravan.Topology.Queries.Query

  @enforce_keys [:config, :probes?]
  defstruct [
    :config,
    :probes?,
    :self,
    :membership,
    # The reference of the probes of new names, and how many names wait for a probe or for links.
    :probing,
    waiting: 0,
    # How many there are. If the topology picks, only some of them are peers.
    members: 0,
    by_index: %{},
    pending: %{},
    late: %{}
  ]

  @type t :: %__MODULE__{
          config: Config.t(),
          probes?: boolean,
          probing: reference | nil,
          waiting: non_neg_integer,
          members: non_neg_integer,
          self: node | nil,
          membership: term,
          by_index: %{non_neg_integer => Query.t()},
          pending: %{reference => {non_neg_integer, integer, Native.request()}},
          # Overdue lookups. A late answer still changes the membership, and its changes are reported only once. The
          # native library bounds how many there are.
          late: %{reference => {non_neg_integer, integer}}
        }

  @typedoc "Why peers with the same options can't find this node; `Caravan.Topology.Log` has the sentences."
  @type note :: {:by_host, nil} | {:capitals, host :: String.t()} | {:other_name, String.t()}

  @doc "`probes?`: a node listens where its name says, so that a new name can be probed."
  @spec new(Config.t(), boolean) :: t
  def new(config, probes?) do
    by_index =
      for {query, index} <- Enum.with_index(config.queries),
          into: %{},
          do: {index, %Query{query: query}}

    %__MODULE__{config: config, probes?: probes?, by_index: by_index}
  end

  @doc """
  Starts over as `node`, with an empty membership. Also returns how the options conflict with that name. `long_names?`
  is `nil` if links are not Erlang's own, since other links need not follow its rules for names and ports.
  """
  @spec reset(t, node, long_names? :: boolean | nil) :: {note | nil, t}
  def reset(queries, node, long_names?) do
    identity = %{own: node, long_names: long_names?, probes: queries.probes?}

    {:ok, membership, note} =
      if node == :nonode@nohost,
        do: {:ok, nil, nil},
        else: Config.membership(queries.config, identity)

    by_index = Map.new(queries.by_index, fn {index, q} -> {index, %{q | itself: nil}} end)
    fresh = %{queries | pending: %{}, late: %{}, probing: nil, waiting: 0, members: 0}
    {note, %{fresh | self: node, membership: membership, by_index: by_index}}
  end

  @doc "Starts a lookup of every query that has none under way. Answers go to the calling process."
  @spec start(t, (query :: String.t() -> any)) :: t
  def start(%{membership: nil} = queries, _started), do: queries

  def start(queries, started) do
    busy = MapSet.new(queries.pending, fn {_, {index, _, _}} -> index end)

    for {index, %{query: query}} <- queries.by_index, index not in busy, reduce: queries do
      queries ->
        started.(query)
        ask(queries, index)
    end
  end

  defp ask(queries, index) do
    self = Atom.to_string(queries.self)
    poll = &Native.poll(queries.membership, index, &1, self, atoms())
    request = Native.request(poll, queries.config.timeout)
    pending = {index, System.monotonic_time(), request}
    %{queries | pending: Map.put(queries.pending, Native.reference(request), pending)}
  end

  # How many atoms there are, and how many the VM allows: new names must not fill its table.
  defp atoms, do: {:erlang.system_info(:atom_count), :erlang.system_info(:atom_limit)}

  @typedoc "Whom the library admits between lookups: `linked` are peers only while they are linked."
  @type admission :: %{
          added: [String.t()],
          expired: [String.t()],
          spared: [String.t()],
          linked: [String.t()],
          joined: boolean
        }

  @nobody %{added: [], expired: [], spared: [], linked: [], joined: false}

  @typedoc "What a topology's picks depend on."
  @type reach :: :linked | :unlinked | :out_of_reach

  @doc "Tells the library, which picks whom to link, what has become of nodes; returns whom it admits in response."
  @spec reach(t, [{node, reach}]) :: {admission, t}
  def reach(%{membership: nil} = queries, _heard), do: {@nobody, queries}

  def reach(queries, heard) do
    report = Native.reach(queries.membership, heard, atoms())
    {report, reported(queries, report)}
  end

  # What every report tells: how many members there are, and how many names wait.
  defp reported(queries, report), do: probe(%{queries | members: report.members}, report.waiting)

  # Names that wait for a probe get it now, and the outcome comes before the next lookup.
  defp probe(%{probing: nil, probes?: true} = queries, waiting) when waiting > 0 do
    ref = make_ref()
    # If there is no capacity for it now, the next lookup starts it.
    begun? = Native.probe_candidates(queries.membership, ref, atoms()) == :ok
    %{queries | probing: if(begun?, do: ref), waiting: waiting}
  end

  defp probe(queries, waiting), do: %{queries | waiting: waiting}

  @doc "Do names wait until those admitted on trust before them are linked?"
  @spec waits_for_links?(t) :: boolean
  def waits_for_links?(queries), do: queries.waiting > 0 and not queries.probes?

  @doc "Is `node` a member of another topology on this node?"
  @spec others_want?(t, node) :: boolean
  def others_want?(queries, node), do: Native.others_want(queries.membership, node)

  @doc "Handles the message `{ref, result}`, if it belongs to a lookup or to probes. `now` is in ms."
  @spec handle(t, reference, term, integer) ::
          {:looked_up, Query.outcome(), t} | {:admitted, admission, t} | :unknown
  def handle(%{probing: ref} = queries, ref, result, _now) do
    queries = %{queries | probing: nil}

    case result do
      {:ok, report} -> {:admitted, report, reported(queries, report)}
      {:error, _} -> {:admitted, @nobody, queries}
    end
  end

  def handle(queries, ref, result, now) do
    case Map.pop(queries.pending, ref) do
      {nil, _} ->
        late(queries, ref, result, now)

      {{index, started, _request}, pending} when result == :overdue ->
        late = Map.put(queries.late, ref, {index, started})
        looked_up(%{queries | pending: pending, late: late}, index, started, result, now)

      {{index, started, request}, pending} ->
        :ok = Native.finished(request)
        looked_up(%{queries | pending: pending}, index, started, result, now)
    end
  end

  defp late(queries, ref, result, now) do
    case Map.pop(queries.late, ref) do
      {{index, started}, late} ->
        looked_up(%{queries | late: late}, index, started, result, now)

      {nil, _} ->
        :unknown
    end
  end

  defp looked_up(queries, index, started, result, now) do
    query = queries.by_index[index]
    result = result(result, query.query, queries.config)
    duration = System.monotonic_time() - started
    keep = queries.config.expire_after
    {outcome, query} = Query.ended(query, result, queries.self, now, duration, keep)
    queries = %{queries | by_index: %{queries.by_index | index => query}}

    case result do
      {:ok, report} -> {:looked_up, outcome, reported(queries, report)}
      {:error, _} -> {:looked_up, outcome, queries}
    end
  end

  @doc "Did the last lookup of every query succeed, and is none under way?"
  @spec complete?(t) :: boolean
  def complete?(queries) do
    queries.pending == %{} and Enum.all?(queries.by_index, fn {_, q} -> q.outcome == :ok end)
  end

  @doc "The part of `Caravan.Status` that concerns lookups."
  @spec status(t, integer) :: %{
          queries: [Caravan.Status.query()],
          refused: [Caravan.Lookup.refused()]
        }
  def status(queries, now) do
    listed = for {_, query} <- Enum.sort_by(queries.by_index, &elem(&1, 0)), do: query
    refused = for query <- listed, {_, refused} <- query.refused, do: Map.delete(refused, :at)
    %{queries: Enum.map(listed, &Query.status(&1, now)), refused: refused}
  end

  @doc "This node, as `Caravan.Status` lists it among the peers, if an answer leads to it."
  @spec itself(t, integer) :: [Caravan.Status.peer()]
  def itself(queries, now) do
    case for {_, %{itself: %{} = itself}} <- queries.by_index, do: itself do
      [] ->
        []

      found ->
        peer = %{
          node: queries.self,
          state: :self,
          pick: false,
          attempts: 0,
          error: nil,
          next_dial: nil
        }

        alias = Enum.find_value(found, & &1.alias)
        since = found |> Enum.map(& &1.since) |> Enum.min()
        error = alias && "DNS lists this node as #{alias}"
        [Map.merge(peer, %{state_age: now - since, error: error})]
    end
  end

  defp result({:ok, report}, _query, _config), do: {:ok, report}
  defp result({:error, error}, query, _config), do: {:error, Error.new(error, query)}

  defp result(:overdue, query, config), do: {:error, Error.overdue(query, config.timeout)}
end
