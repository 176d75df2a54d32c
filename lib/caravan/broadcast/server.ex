defmodule Caravan.Broadcast.Server do
  @moduledoc false
  # Spreads the broadcasts of one topology: what `Caravan.Broadcast.Plumtree` decides, over Erlang's links. Linked to the
  # topology's process, which starts it and tells it who is connected.
  #
  # It never waits: a link that is busy or gone refuses a frame at once. Whoever isn't linked is not dialled, and where
  # nobody is registered by the name, as on a node that doesn't run the topology, a frame vanishes.
  #
  # A link counts until it is down, whatever the topology says of its peer: a node that drains goes on to get messages.
  # And it counts, too, when the other end uses it, whose discovery may be ahead.

  use GenServer
  alias Caravan.Broadcast.{Frames, Plumtree, Subscribers}

  # How long the last owner of the name may take to end, in ms.
  @name_free 100
  # Others may have been given the name.
  @register_again 500

  @typedoc "Erlang's links, unless a test stands in for them: how to send, and who is linked."
  @type links :: %{
          send: ({atom, node}, tuple, list -> :ok | :noconnect | :nosuspend),
          nodes: (:connected | :visible -> [node])
        }

  @doc "Starts the process for a topology. It ends with the caller, however that ends."
  @spec start_link(term, links) :: GenServer.on_start()
  def start_link(topology, links \\ %{send: &:erlang.send/3, nodes: &:erlang.nodes/1}),
    do: GenServer.start_link(__MODULE__, {topology, self(), links})

  @doc "Says which peers have come up."
  @spec connected(pid, [node]) :: :ok
  def connected(server, nodes), do: GenServer.cast(server, {:connected, nodes})

  @doc "Sends a message to the other nodes. Exits as `GenServer.call/3` does."
  @spec broadcast(GenServer.server(), Plumtree.message(), timeout) :: :ok
  def broadcast(server, message, timeout),
    do: GenServer.call(server, {:broadcast, message}, timeout)

  @doc "Asks what came of it so far; the answer is for `:gen_server.receive_response/2`."
  @spec ask_stats(atom) :: :gen_server.request_id()
  def ask_stats(server), do: :gen_server.send_request(server, :stats)

  @impl true
  def init({topology, owner, links}) do
    # The owner's death for no fault ends nobody who is linked.
    monitor = Process.monitor(owner)
    Process.flag(:message_queue_data, :off_heap)
    :ok = :net_kernel.monitor_nodes(true, node_type: :all)

    state = %{
      topology: topology,
      name: Frames.process(topology),
      links: links,
      owner: monitor,
      tree: Plumtree.new(node()),
      counter: 0,
      timer: nil,
      wake_at: :infinity
    }

    :ok = await_end(state.name)
    {:ok, register(state)}
  end

  # A topology that is started again may be there before the last one's process for broadcasts is gone.
  defp await_end(name) do
    monitor = Process.monitor(name)

    receive do
      {:DOWN, ^monitor, :process, _last, _reason} -> :ok
    after
      @name_free ->
        Process.demonitor(monitor, [:flush])
        :ok
    end
  end

  defp register(state) do
    Process.register(self(), state.name)
    hello(state)
  rescue
    ArgumentError ->
      Process.send_after(self(), :register, @register_again)
      state
  end

  @impl true
  def handle_call({:broadcast, {channel, payload} = message}, _from, state)
      when is_atom(channel) and is_binary(payload) do
    counter = state.counter + 1
    change = Plumtree.broadcast(state.tree, now(), {self(), counter}, message)
    {:reply, :ok, rest(apply_change(%{state | counter: counter}, change))}
  end

  def handle_call(:stats, _from, state), do: {:reply, Map.put(Plumtree.stats(state.tree), :sent, state.counter), state}

  # Anyone in the cluster may call and cast, too, and would end this by that.
  def handle_call(_no_question_of_ours, _from, state), do: {:noreply, state}

  @impl true
  def handle_cast({:connected, nodes}, state) when length(nodes) >= 0 do
    # Some may be gone by now.
    linked = MapSet.new(state.links.nodes.(:connected))
    {:noreply, nodes |> Enum.filter(&(&1 in linked)) |> Enum.reduce(state, &up(&2, &1)) |> rest()}
  end

  def handle_cast(_no_message_of_ours, state), do: {:noreply, state}

  @impl true
  def handle_info({:nodedown, node, _info}, state), do: {:noreply, state |> down(node) |> rest()}
  def handle_info({:nodeup, _node, _info}, state), do: {:noreply, state}

  def handle_info({:timeout, timer, :wake}, %{timer: timer} = state) do
    state = %{state | timer: nil, wake_at: :infinity}
    state = state |> apply_change(Plumtree.tick(state.tree, now())) |> rest()

    # A process that has little to do collects no garbage, and payloads that it has forgotten are as much as it may keep.
    if Plumtree.keeps_messages?(state.tree), do: {:noreply, state}, else: {:noreply, state, :hibernate}
  end

  def handle_info({:DOWN, owner, :process, _pid, _reason}, %{owner: owner} = state),
    do: {:stop, :normal, state}

  def handle_info(:register, state), do: {:noreply, register(state)}

  def handle_info(frame, state) do
    case Frames.read(frame, state.topology) do
      {from, frame} when node(from) != node() ->
        {:noreply, state |> hear(node(from), frame, linked?(state, node(from))) |> rest()}

      _ignored_or_of_this_node ->
        {:noreply, state}
    end
  end

  ## Links

  # Nodes that were linked before this process began have told nobody of it, and may have had it as a link in an earlier
  # life. A hidden node is told nothing: it may be a C node, which takes that for an answer to a question of its own.
  defp hello(state) do
    encoded = Frames.encode(:hello, state.topology, self())
    Enum.reduce(state.links.nodes.(:visible), state, &post(&2, &1, encoded, :hello))
  end

  defp linked?(state, node),
    do: Plumtree.link?(state.tree, node) or node in state.links.nodes.(:connected)

  defp up(state, node), do: apply_change(state, Plumtree.up(state.tree, node))
  defp down(state, node), do: apply_change(state, Plumtree.down(state.tree, node))

  ## Frames

  # Nobody speaks for a node that isn't there.
  defp hear(state, _from, _frame, false), do: state
  defp hear(state, from, :hello, true), do: state |> down(from) |> up(from)
  defp hear(state, from, frame, true), do: state |> up(from) |> hear(from, frame)

  defp hear(state, from, {:gossip, id, {channel, payload} = message}) do
    if Plumtree.seen?(state.tree, id),
      do: apply_change(state, Plumtree.again(state.tree, now(), from, id)),
      else: first(state, from, id, channel, payload, message)
  end

  defp hear(state, from, {:ihave, ids}),
    do: apply_change(state, Plumtree.ihave(state.tree, now(), from, ids))

  defp hear(state, from, {:graft, ids}),
    do: apply_change(state, Plumtree.graft(state.tree, from, ids))

  defp hear(state, from, :prune), do: apply_change(state, Plumtree.prune(state.tree, from))

  # Nobody else begins messages of this process.
  defp first(state, _from, {origin, _counter}, _channel, _payload, _message) when origin == self(), do: state

  # It is read before it goes anywhere, so that nothing malformed does.
  defp first(state, from, {origin, _} = id, channel, payload, message) do
    case Frames.message(payload) do
      {:ok, term} ->
        state = apply_change(state, Plumtree.first(state.tree, now(), from, id, message))
        Subscribers.deliver({state.topology, channel}, {:caravan, state.topology, node(origin), term})
        state

      :error ->
        state
    end
  end

  defp apply_change(state, {[], tree}), do: %{state | tree: tree}
  defp apply_change(state, {effects, tree}), do: perform(effects, %{state | tree: tree})

  defp perform([], state), do: state

  defp perform([{:send, nodes, frame} | effects], state) do
    encoded = Frames.encode(frame, state.topology, self())
    perform(effects, post_all(state, nodes, encoded, frame))
  end

  defp post_all(state, [], _encoded, _frame), do: state

  defp post_all(state, [node | nodes], encoded, frame),
    do: state |> post(node, encoded, frame) |> post_all(nodes, encoded, frame)

  defp post(state, node, encoded, frame) do
    case state.links.send.({state.name, node}, encoded, [:noconnect, :nosuspend]) do
      :ok -> state
      :nosuspend -> %{state | tree: Plumtree.unsent(state.tree, now(), node, frame)}
      :noconnect -> down(state, node)
    end
  end

  ## Time

  defp rest(state) do
    case Plumtree.next_wakeup(state.tree) do
      at when at == state.wake_at -> state
      at -> set_timer(state, at)
    end
  end

  defp set_timer(state, at) do
    _ = if state.timer, do: Process.cancel_timer(state.timer)
    timer = if at != :infinity, do: :erlang.start_timer(max(0, at - now()), self(), :wake)
    %{state | timer: timer, wake_at: at}
  end

  defp now, do: :erlang.monotonic_time(:millisecond)
end
