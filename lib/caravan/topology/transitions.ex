defmodule Caravan.Topology.Transitions do
  @moduledoc false
  # How lookups, dials and links change a topology. Pure: the time, the linked nodes and what other topologies want come
  # in as facts; what to do goes out as effects, in order, with the new state.

  alias Caravan.Topology.{Connector, Dialer, Log, Peers, Queries, State}
  alias Caravan.Topology.Queries.Query

  # After a peer goes down, look up at once, but no more than once in this time.
  @look_again 1_000

  @type state :: State.t()

  @type facts :: %{now: integer, linked: Enumerable.t(), others_want?: (node -> boolean)}

  # A full mesh of more members than this costs more than it is worth while `global` keeps it.
  @crowd 60

  @typedoc """
  `:list_nodes`: call `list_nodes`; `{:linked, node}`: tell the native library of a link, and the process for broadcasts;
  `{:reach, heard}`: have it pick again; whom it admits then comes back in by `admitted/3`.
  """
  @type effect ::
          {:log, Log.event()}
          | {:linked, node}
          | {:reach, [{node, Queries.reach()}]}
          | {:disconnect, node}
          | :list_nodes

  @type change :: {[effect], state}

  @doc "A lookup has ended: who joins, who is missing, and whom to disconnect for that."
  @spec looked_up(state, facts, Query.outcome()) :: change
  def looked_up(state, facts, %{result: {:ok, report}} = outcome) do
    start(state)
    |> also([{:log, {:looked_up, outcome}}])
    |> members_changed(facts, report)
    |> joined(facts, nodes(report.returned))
    |> each(nodes(report.moved), &Peers.move(&1, facts.now, &2))
    |> each(nodes(report.withdrawn), &Peers.withdraw/2)
    |> disconnect_round(facts)
    |> crowded(report)
    |> done()
  end

  def looked_up(state, _facts, %{result: {:error, _}} = outcome),
    do: {[{:log, {:looked_up, outcome}}], state}

  @doc "Who has become a member, and who no longer is one. The native library bounds how many names are ever added."
  @spec admitted(state, facts, Queries.admission()) :: change
  def admitted(state, facts, report),
    do: state |> start() |> members_changed(facts, report) |> done()

  defp members_changed({_, %{peers: peers}} = change, facts, report) do
    added = Enum.map(report.added, &String.to_atom/1)
    expired = nodes(report.expired)

    change
    |> also(for node <- added, do: {:log, {:member, node, :added}})
    |> also(for node <- expired, do: {:log, {:member, node, :expired}})
    |> each(nodes(report.linked), &Peers.link(&1, facts.now, &2))
    |> joined(facts, added)
    |> each(expired, &Peers.expire/2)
    |> each(nodes(report.spared), &Peers.spare/2)
    |> meet(if report.joined, do: strangers(facts.linked, peers), else: [])
  end

  # If only some members are to be linked, the library doesn't name the others. Some may be linked already.
  defp meet(change, []), do: change
  defp meet(change, nodes), do: also(change, [{:reach, for(node <- nodes, do: {node, :linked})}])

  defp strangers(nodes, peers), do: Enum.reject(nodes, &Peers.member?(peers, &1))

  defp crowded({_, %{connect_all?: true, crowded?: false} = state} = change, %{members: members})
       when members > @crowd and state.config.links == nil do
    {effects, state} = also(change, [{:log, {:crowded, members}}])
    {effects, %{state | crowded?: true}}
  end

  defp crowded(change, _report), do: change

  defp joined(change, _facts, []), do: change

  defp joined(change, facts, nodes) do
    linked = MapSet.new(facts.linked)
    each(change, nodes, &Peers.add(&1, facts.now, &2, &2 in linked))
  end

  defp nodes(names), do: Enum.map(names, &String.to_existing_atom/1)

  # Only if the option asks for it, only if every query was answered, once per poll interval.
  defp disconnect_round({_, %{config: %{withdraw_after: ms}} = state} = change, facts)
       when ms != nil do
    with true <- facts.now >= state.disconnect_at and Queries.complete?(state.queries),
         {[_ | _] = nodes, peers} <- Peers.to_disconnect(state.peers, facts.others_want?) do
      told = for {node, true} <- nodes, do: {:log, {:disconnecting, node, ms}}
      disconnects = for {node, _first?} <- nodes, do: {:disconnect, node}
      disconnect_at = facts.now + state.config.poll_interval
      {effects, _state} = change |> also(told) |> also(disconnects)
      {effects, %{state | peers: peers, disconnect_at: disconnect_at}}
    else
      _ -> change
    end
  end

  defp disconnect_round(change, _facts), do: change

  @doc "A disconnect has ended; it is retried while the peer is still linked."
  @spec disconnected(state, node, {:ok, term} | {:error, String.t()}) :: change
  def disconnected(state, node, {:error, reason}) do
    # Logged the first time only.
    if state.peers.withdrawn[node] == 1,
      do: {[{:log, {:not_disconnected, node, reason}}], state},
      else: {[], state}
  end

  def disconnected(state, _node, {:ok, _}), do: reconcile(state)

  @doc "A dial has ended."
  @spec dialled(state, facts, node, Dialer.result()) :: change
  def dialled(state, facts, node, :ok) do
    cond do
      # The link, and what came over it, may have been reported first.
      not Peers.dialling?(state.peers, node) ->
        {[], state}

      Connector.polls?(state.connector) or node in facts.linked ->
        state |> start() |> up(facts, node) |> done()

      true ->
        lost = {:error, :dial, "the connection dropped immediately", nil}
        dialled(state, facts, node, lost)
    end
  end

  def dialled(state, facts, node, result),
    do: state |> start() |> peer(node, &dial_ended(&1, facts.now, node, result)) |> done()

  defp dial_ended(peers, now, node, {:error, stage, reason, refuser}),
    do: Peers.dial_failed(peers, now, node, stage, reason, refuser)

  defp dial_ended(peers, now, node, :same), do: Peers.same(peers, now, node)
  defp dial_ended(peers, now, node, :self), do: Peers.self(peers, now, node)

  @doc "A nodeup or nodedown message from net_kernel."
  # Erlang's links need not be those of a custom `list_nodes`, but they are a reason to call it.
  @spec link(state, facts, :nodeup | :nodedown, node, keyword | map) :: change
  def link(state, facts, event, node, info) do
    reason = info[:nodedown_reason]

    cond do
      Connector.polls?(state.connector) -> {[:list_nodes | again(state, event, node)], state}
      event == :nodeup -> state |> start() |> up(facts, node) |> done()
      is_atom(reason) -> state |> start() |> down(facts, node, "#{reason}") |> done()
      true -> state |> start() |> down(facts, node, inspect(reason)) |> done()
    end
  end

  # A link that breaks and comes back between two listings is a new one for whoever had it down.
  defp again(%{peers: %{connected: connected}}, :nodeup, node),
    do: if(MapSet.member?(connected, node), do: [{:linked, node}], else: [])

  defp again(_state, :nodedown, _node), do: []

  @doc "Calls a custom `list_nodes` to learn who is connected."
  @spec reconcile(state) :: change
  def reconcile(state),
    do: {if(Connector.polls?(state.connector), do: [:list_nodes], else: []), state}

  @doc "The result of `list_nodes`, called at the time `asked`. If it failed, the peers are kept."
  @spec listed(state, facts, {:ok, [node]} | {:error, String.t()}, integer) :: change
  def listed(state, facts, {:ok, nodes}, asked) do
    {ups, downs} = Peers.reconcile(state.peers, nodes, asked)
    gone = "no longer connected"

    start(%{state | lists?: true, listed: MapSet.new(nodes)})
    |> each(ups, &Peers.up(&1, facts.now, &2))
    |> each(downs, &Peers.down(&1, facts.now, &2, gone))
    |> meet(if state.config.links, do: strangers(nodes, state.peers), else: [])
    |> done()
  end

  def listed(state, _facts, {:error, reason}, _asked) do
    told = if state.lists?, do: [{:log, {:unlisted, reason}}], else: []
    {told, %{state | lists?: false, listed: state.listed || MapSet.new()}}
  end

  @doc "Is it still unknown who is linked, so that nobody may be dialed yet?"
  @spec unlisted?(state) :: boolean
  def unlisted?(state), do: state.listed == nil and Connector.polls?(state.connector)

  @doc "The node says that it leaves."
  @spec leaving(state, facts, node) :: change
  def leaving(state, facts, node) do
    # The message came over a link, whether or not `list_nodes` has shown it.
    change = start(state)
    change = if Connector.polls?(state.connector), do: up(change, facts, node), else: change
    change |> peer(node, &Peers.left(&1, facts.now, node)) |> done()
  end

  @doc "The node says that it stays after all."
  @spec staying(state, facts, node) :: change
  def staying(state, facts, node),
    do: state |> start() |> peer(node, &Peers.stayed(&1, facts.now, node)) |> done()

  defp up({_, state} = change, facts, node) do
    change
    |> meet(if state.config.links, do: strangers([node], state.peers), else: [])
    |> peer(node, &Peers.up(&1, facts.now, node))
  end

  defp down(change, facts, node, reason),
    do: peer(change, node, &Peers.down(&1, facts.now, node, reason))

  defp each(change, nodes, fun),
    do: Enum.reduce(nodes, change, fn node, change -> peer(change, node, &fun.(&1, node)) end)

  # The one place where peers change: it logs what happened, and schedules a lookup after a loss, or if names have
  # waited for a link.
  defp peer({effects, state}, node, fun) do
    {events, peers} = fun.(state.peers)
    told = Enum.map(events, &{:log, {:peer, node, &1}})
    up? = :up in events
    lost? = Enum.any?(events, &match?({:down, _, true}, &1))
    look? = lost? or (up? and Queries.waits_for_links?(state.queries))
    soon = if look?, do: state.polled_at + @look_again, else: state.poll_at
    state = %{state | peers: peers, poll_at: min(state.poll_at, soon)}
    linked = if up?, do: [{:linked, node}], else: []
    heard = if state.config.links, do: for(event <- events, what = heard(event), do: {node, what}), else: []
    reach = if heard == [], do: [], else: [{:reach, heard}]
    also({effects, state}, told ++ linked ++ reach)
  end

  defp heard(:up), do: :linked
  defp heard({:down, _reason, _wanted?}), do: :unlinked
  defp heard({:dial_failed, _stage, _reason, _first?}), do: :out_of_reach
  defp heard(event) when event in [:leaving, :self], do: :out_of_reach
  defp heard(:forgotten), do: nil

  # Internally, the newest effect comes first.
  defp start(state), do: {[], state}
  defp also({effects, state}, more), do: {Enum.reverse(more, effects), state}
  defp done({effects, state}), do: {Enum.reverse(effects), state}
end
