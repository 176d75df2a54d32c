defmodule Caravan.Link.NodeServer do
  @moduledoc false
  # Exchanges this node's messages with others, see `Caravan.Link.Messages`: which nodes leave, and where nodes are.
  #
  # `global` connects each node to everything its peers are connected to, often before the node's own discovery has
  # found them. If only a topology's DNS servers know the hosts, such a connection fails, and OTP then drops healthy
  # links, to prevent overlapping partitions. But the node that mentioned the other knows where it is. So nodes ask each
  # other for hosts, in `Caravan.Link.Resolution`, and tell each other where they listen.

  use GenServer
  alias Caravan.{Native, Settings}
  alias Caravan.Link.{Drain, Messages, NodeName, Whereabouts}
  alias Caravan.Topology.Registry

  # How long a guessed address may take to answer.
  @trial_timeout 750

  # How soon to ask net_kernel again for the address of a new link, in ms.
  @again 50

  @spec start_link(term) :: GenServer.on_start()
  def start_link(_), do: GenServer.start_link(__MODULE__, [], name: Messages.process())

  @impl true
  def init([]) do
    # A lost node may be redialed within milliseconds, and must be known as lost by then.
    Process.flag(:priority, :high)
    :ok = :net_kernel.monitor_nodes(true, node_type: :visible)
    nodes = :erlang.nodes(:visible)
    Drain.greet(nodes)
    Enum.each(nodes, &Native.linked/1)

    # `trials`: by the reference of its probe, which guesses for a host have been and will be tried, and for whom.
    state = %{known: Whereabouts.new(), trials: %{}}
    {:ok, Enum.reduce(nodes, state, &up(&2, &1, :starting))}
  end

  @impl true
  # A node gets a nodeup for itself, too, when it gets its name.
  def handle_info({:nodeup, node, _info}, state) when node == node(), do: {:noreply, state}

  def handle_info({:nodeup, node, info}, state) when is_atom(node) and is_list(info) do
    Native.linked(node)
    Drain.greet([node])
    {:noreply, up(state, node, :listening)}
  end

  def handle_info({:nodedown, node, _info}, state),
    do: {:noreply, %{state | known: Whereabouts.down(state.known, node)}}

  def handle_info({:seen, node, ref, address, dialled?}, state),
    do: {:noreply, %{state | known: Whereabouts.seen(state.known, node, ref, address, dialled?)}}

  def handle_info({ref, result}, state) when is_map_key(state.trials, ref),
    do: {:noreply, tried(state, ref, result)}

  def handle_info({:overdue, ref}, state) when is_map_key(state.trials, ref),
    do: {:noreply, tried(state, ref, {:error, :overdue})}

  def handle_info(message, state), do: {:noreply, hear(Messages.read(message), state)}

  # Anyone in the cluster may call and cast, too, and must not crash this process.
  @impl true
  def handle_call(_no_question_of_ours, _from, state), do: {:noreply, state}

  @impl true
  def handle_cast(_no_message_of_ours, state), do: {:noreply, state}

  defp hear({word, node}, state) do
    Registry.cast_all({word, node})
    state
  end

  defp hear({:listening, node, addresses}, state),
    do: %{state | known: Whereabouts.said(state.known, node, addresses)}

  # Whatever it was told before, it hasn't received or has forgotten.
  defp hear({:starting, node, addresses}, state) do
    Drain.greet([node])
    spawn(fn -> say(node, :listening, remote(node)) end)
    hear({:listening, node, addresses}, state)
  end

  defp hear({:where, reply_to, host, family}, state) do
    case Native.address(host, family) do
      {:ok, address} -> reply(state, [reply_to], {:ok, address})
      _unknown -> hear({:linked, reply_to, host, family}, state)
    end
  end

  defp hear({:linked, reply_to, host, family}, state) do
    case Whereabouts.where(state.known, host, family, node(reply_to)) do
      {:try, node, guesses} -> guess(state, reply_to, node, guesses)
      known_or_not -> reply(state, [reply_to], known_or_not)
    end
  end

  defp hear(:ignored, state), do: state

  defp reply(state, waiting, reply) do
    Enum.each(waiting, &Messages.reply(&1, reply))
    state
  end

  ## Links

  # The details come from processes that may be busy.
  defp up(state, node, word) do
    ref = make_ref()
    server = self()

    spawn(fn ->
      with {address, port} = remote <- remote(node) do
        send(server, {:seen, node, ref, address, Native.dist_port(node) == {:ok, port}})
        say(node, word, remote)
      end
    end)

    %{state | known: Whereabouts.up(state.known, node, ref)}
  end

  # The VM tells of a link before net_kernel knows its address (dist_util.erl, connection/1). Until then the link is
  # pending there, for as long as net_kernel is busy, and shows no address or that of a link before it. Links that are
  # not made over IP have no such address.
  defp remote(node) do
    with {:ok, info} <- :net_kernel.node_info(node) do
      case Map.new(info) do
        %{state: :pending} ->
          Process.sleep(@again)
          remote(node)

        %{address: {:net_address, {address, port}, _host, _protocol, _family}}
        when is_tuple(address) ->
          {address, port}

        _not_over_ip ->
          nil
      end
    else
      {:error, _lost} -> nil
    end
  catch
    # Distribution has been stopped.
    :error, :badarg -> nil
  end

  defp say(node, word, {address, _port}) do
    with {:ok, here} <- listening(node, address), do: Messages.tell(node, word, [here])
  end

  defp say(_node, _word, nil), do: :ok

  # All addresses of this machine, unless configured; the one that the peer can reach is then that of its link.
  defp listening(node, peer) do
    case Settings.bound() do
      nil -> local(List.keyfind(:erlang.system_info(:dist_ctrl), node, 0), peer)
      address -> {:ok, address}
    end
  end

  defp local({_node, port}, _peer) when is_port(port) do
    with {:ok, {address, _port}} <- :inet.sockname(port), do: {:ok, address}
  end

  # The socket belongs to TLS, so this is the address that the system would use for such a link.
  defp local(_controller, peer), do: Native.local_address(:inet.ntoa(peer))

  ## Guesses

  # What the node said itself is passed on at once, since a set-up waits for it. If it turns out to be wrong, the next
  # one that asks gets a better answer. What was only seen is tried before it is passed on.
  defp guess(state, reply_to, node, guesses) do
    case Whereabouts.untried(guesses, state.known, node) do
      {:ok, said} -> state |> reply([reply_to], {:ok, said}) |> try_guesses([], node, guesses)
      :unknown -> try_guesses(state, [reply_to], node, guesses)
    end
  end

  # Who asks for a host that is being tried waits for the outcome.
  defp try_guesses(state, waiting, node, guesses) do
    case Enum.find(state.trials, fn {_, trial} ->
           {trial.node, trial.guesses} == {node, guesses}
         end) do
      {ref, _trial} ->
        update_in(state.trials[ref].waiting, &(waiting ++ &1))

      nil ->
        try_next(state, %{node: node, guesses: guesses, left: guesses, waiting: waiting})
    end
  end

  defp try_next(state, %{left: []} = trial),
    do: reply(state, trial.waiting, :unknown)

  defp try_next(state, %{left: [address | left]} = trial) do
    name = trial.node |> NodeName.base() |> NodeName.join(address) |> List.to_string()
    request = Native.request(&Native.probe(&1, name, @trial_timeout, :dial), @trial_timeout)
    trial = Map.merge(trial, %{request: request, address: address, left: left})
    put_in(state.trials[Native.reference(request)], trial)
  end

  defp tried(state, ref, result) do
    {trial, state} = pop_in(state.trials[ref])
    :ok = Native.finished(trial.request)

    case result do
      :ok ->
        state = %{state | known: Whereabouts.found(state.known, trial.node, trial.address)}
        reply(state, trial.waiting, {:ok, trial.address})

      {:error, _} ->
        try_next(state, trial)
    end
  end
end
