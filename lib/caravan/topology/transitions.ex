defmodule Caravan.Topology.Transitions do
  @moduledoc false
  # What look-ups, dials and links change in the peers of a topology, given and answered as its state.

  alias Caravan.Native
  alias Caravan.Topology.{Calls, Connector, Log, Peers, Queries}

  # After a peer went down a look-up at once, but no more than one in this time.
  @look_again 1_000

  @doc "What a look-up has found, who is missing from it, and whom to disconnect for that."
  def looked_up(state, outcome) do
    Log.looked_up(state.name, outcome)

    case outcome.result do
      {:ok, report} ->
        state
        |> admitted(report)
        |> joined(nodes(report.returned))
        |> each(nodes(report.moved), &Peers.move(&1, now(), &2))
        |> each(nodes(report.withdrawn), &Peers.withdraw/2)
        |> disconnect_round()

      {:error, _} ->
        state
    end
  end

  @doc "Who is a member now, and who no longer. The native library bounds how many names are ever added."
  def admitted(state, report) do
    added = Enum.map(report.added, &String.to_atom/1)
    Enum.each(added, &Log.member(state.name, &1, :added))
    expired = nodes(report.expired)
    Enum.each(expired, &Log.member(state.name, &1, :expired))
    state |> joined(added) |> each(expired, &Peers.expire/2)
  end

  defp joined(state, []), do: state

  defp joined(state, nodes) do
    linked = linked(state)
    each(state, nodes, &Peers.add(&1, now(), &2, &2 in linked))
  end

  defp nodes(names), do: Enum.map(names, &String.to_existing_atom/1)

  # Only where the option asks for it, only when every query was answered, once in a poll interval.
  defp disconnect_round(%{config: %{withdraw_after: ms}} = state) when ms != nil do
    now = now()

    with true <- now >= state.disconnect_at and Queries.complete?(state.queries),
         others_want? = &Queries.others_want?(state.queries, &1),
         {[_ | _] = nodes, peers} <- Peers.to_disconnect(state.peers, others_want?) do
      for {node, true} <- nodes, do: Log.disconnecting(state.name, node, ms)

      calls =
        Enum.reduce(nodes, state.calls, fn {node, _}, all -> Calls.disconnect(all, node) end)

      disconnect_at = now + state.config.poll_interval
      %{state | peers: peers, calls: calls, disconnect_at: disconnect_at}
    else
      _ -> state
    end
  end

  defp disconnect_round(state), do: state

  @doc "The end of a disconnect, which is tried again while its peer is linked."
  def disconnected(state, node, {:error, reason}) do
    # Told the first time.
    if state.peers.withdrawn[node] == 1, do: Log.not_disconnected(state.name, node, reason)
    state
  end

  def disconnected(state, _node, {:ok, _}), do: reconcile(state)

  @doc "The end of a dial."
  def dialled(state, node, :ok) do
    cond do
      # Its link, and what came over that, may have been heard of first.
      not Peers.dialling?(state.peers, node) ->
        state

      Connector.polls?(state.connector) or node in linked(state) ->
        up(state, node)

      true ->
        dialled(state, node, {:error, :dial, "the link was lost as soon as it was made", nil})
    end
  end

  def dialled(state, node, {:error, stage, reason, refuser}),
    do: change(state, node, &Peers.dial_failed(&1, now(), node, stage, reason, refuser))

  def dialled(state, node, :same), do: change(state, node, &Peers.same(&1, now(), node))
  def dialled(state, node, :self), do: change(state, node, &Peers.self(&1, now(), node))

  @doc "A message of net_kernel's."
  # Erlang's links need not be those that a `list_nodes` of its own means, but are a reason to ask that.
  def link(state, event, node, info) do
    reason = info[:nodedown_reason]

    cond do
      Connector.polls?(state.connector) -> reconcile(state)
      event == :nodeup -> up(state, node)
      is_atom(reason) -> down(state, node, "#{reason}")
      true -> down(state, node, inspect(reason))
    end
  end

  @doc "Asks `list_nodes` who is connected, where that isn't Erlang's own."
  def reconcile(state) do
    if Connector.polls?(state.connector),
      do: %{state | calls: Calls.list(state.calls)},
      else: state
  end

  @doc "What `list_nodes` has answered, when asked at the time `asked`. Where it failed the peers stay as they are."
  def listed(state, {:ok, nodes}, asked) do
    {ups, downs} = Peers.reconcile(state.peers, nodes, asked)
    state = Enum.reduce(ups, %{state | lists?: true, listed: MapSet.new(nodes)}, &up(&2, &1))
    Enum.reduce(downs, state, &down(&2, &1, "it is not among the connected nodes any more"))
  end

  def listed(state, {:error, reason}, _asked) do
    if state.lists?, do: Log.unlisted(state.name, reason)
    %{state | lists?: false, listed: state.listed || MapSet.new()}
  end

  @doc "Is it still unknown who is linked already, so that nobody is to be dialled yet?"
  def unlisted?(state), do: state.listed == nil and Connector.polls?(state.connector)

  # Whom the last listing didn't have the next one will find.
  defp linked(state) do
    if Connector.polls?(state.connector),
      do: state.listed || MapSet.new(),
      else: MapSet.new(Connector.list!(state.connector))
  end

  @doc "The node says that it is going away."
  def left(state, node) do
    # The word came over a link, whether `list_nodes` has told of that or not.
    linked = if Connector.polls?(state.connector), do: up(state, node), else: state
    change(linked, node, &Peers.left(&1, now(), node))
  end

  defp up(state, node), do: change(state, node, &Peers.up(&1, now(), node))
  defp down(state, node, reason), do: change(state, node, &Peers.down(&1, now(), node, reason))

  defp each(state, nodes, change),
    do: Enum.reduce(nodes, state, fn node, state -> change(state, node, &change.(&1, node)) end)

  @doc """
  The one place where peers change: what happened is told, and a lost peer is looked for, as are the names that waited
  for a link.
  """
  def change(state, node, change) do
    {events, peers} = change.(state.peers)
    Enum.each(events, &Log.peer(state.name, node, &1))
    up? = :up in events
    if up?, do: Native.linked(node)
    lost? = Enum.any?(events, &match?({:down, _, true}, &1))
    look? = lost? or (up? and Queries.waits_for_links?(state.queries))
    soon = if look?, do: state.polled_at + @look_again, else: state.poll_at
    %{state | peers: peers, poll_at: min(state.poll_at, soon)}
  end

  defp now, do: System.monotonic_time(:millisecond)
end
