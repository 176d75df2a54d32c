defmodule Caravan.Topology.Peering do
  @moduledoc false
  # What look-ups, dials and links change in the peers of a topology, given and answered as its state.

  alias Caravan.{Discovery, Events, Links, Peers}

  # After a peer went down a look-up at once, but no more than one in this time.
  @look_again 1_000

  @doc "What a look-up has found, who is missing from it, and whom to disconnect for that."
  def looked_up(state, outcome) do
    Events.looked_up(state.name, outcome)

    case outcome.result do
      {:ok, report} -> state |> joined(report) |> parted(report) |> disconnect_round()
      {:error, _} -> state
    end
  end

  # The native library admitted the added names, and bounds how many there can ever be.
  defp joined(state, report) do
    added = Enum.map(report.added, &String.to_atom/1)
    Enum.each(added, &Events.member(state.name, &1, :added))
    joined = added ++ nodes(report.returned)
    linked = if joined == [], do: [], else: linked(state)

    state
    |> each(joined, &Peers.add(&1, now(), &2, &2 in linked))
    |> each(nodes(report.moved), &Peers.move(&1, now(), &2))
  end

  defp parted(state, report) do
    expired = nodes(report.expired)
    Enum.each(expired, &Events.member(state.name, &1, :expired))

    state
    |> each(expired, &Peers.expire/2)
    |> each(nodes(report.withdrawn), &Peers.withdraw/2)
  end

  defp nodes(names), do: Enum.map(names, &String.to_existing_atom/1)

  # Only where the option asks for it, only when every query was answered, once in a poll interval.
  defp disconnect_round(%{options: %{disconnect: [after: ms]}} = state) do
    now = now()

    with true <- now >= state.disconnect_at and Discovery.complete?(state.discovery),
         {[_ | _] = nodes, peers} <- Peers.to_disconnect(state.peers) do
      for {node, true} <- nodes, do: Events.disconnecting(state.name, node, ms)
      links = state.links
      # The function may raise or hang for one of them.
      for {node, _} <- nodes, do: spawn(fn -> Links.disconnect(links, node) end)
      %{state | peers: peers, disconnect_at: now + state.options.poll_interval}
    else
      _ -> state
    end
  end

  defp disconnect_round(state), do: state

  @doc "The end of a dial."
  def dialled(state, node, :ok) do
    cond do
      # Its link, and what came over that, may have been heard of first.
      not Peers.dialling?(state.peers, node) ->
        state

      Links.polls?(state.links) or node in linked(state) ->
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
      Links.polls?(state.links) -> reconcile(state)
      event == :nodeup -> up(state, node)
      is_atom(reason) -> down(state, node, "#{reason}")
      true -> down(state, node, inspect(reason))
    end
  end

  @doc "Asks `list_nodes` who is connected, where that isn't Erlang's own."
  def reconcile(state) do
    with true <- Links.polls?(state.links),
         {:ok, nodes} <- Links.list(state.links) do
      {ups, downs} = Peers.reconcile(state.peers, nodes)
      state = Enum.reduce(ups, %{state | lists?: true}, &up(&2, &1))
      Enum.reduce(downs, state, &down(&2, &1, "it is not among the connected nodes any more"))
    else
      false ->
        state

      {:error, reason} ->
        if state.lists?, do: Events.unlisted(state.name, reason)
        %{state | lists?: false}
    end
  end

  # Where that can't be told now, the next reconciliation will find them.
  defp linked(state) do
    case Links.list(state.links) do
      {:ok, nodes} -> MapSet.new(nodes)
      {:error, _reason} -> MapSet.new()
    end
  end

  defp up(state, node), do: change(state, node, &Peers.up(&1, now(), node))
  defp down(state, node, reason), do: change(state, node, &Peers.down(&1, now(), node, reason))

  defp each(state, nodes, change),
    do: Enum.reduce(nodes, state, fn node, state -> change(state, node, &change.(&1, node)) end)

  @doc "The one place where peers change: what happened is told, and a lost peer is looked for."
  def change(state, node, change) do
    {events, peers} = change.(state.peers)
    Enum.each(events, &Events.peer(state.name, node, &1))
    lost? = Enum.any?(events, &match?({:down, _, true}, &1))
    soon = if lost?, do: state.polled_at + @look_again, else: state.poll_at
    %{state | peers: peers, poll_at: min(state.poll_at, soon)}
  end

  defp now, do: System.monotonic_time(:millisecond)
end
