defmodule Caravan.Topology do
  @moduledoc false
  # Keeps one set of queries up to date: timer -> lookup -> members -> dials. Everything that waits for the network
  # does so elsewhere and answers by message. An event only changes the state; run_due/1 then does what is due and sets
  # the one timer for what comes next.
  #
  # net_kernel's messages tell whether a peer is up, or, with a custom `list_nodes`, that function at each lookup. No
  # custom function is called in this process.

  use GenServer

  alias Caravan.{Broadcast, Native, PubSub}
  alias Caravan.Link.Drain

  alias Caravan.Topology.{
    Calls,
    Config,
    Connector,
    Dialer,
    Log,
    Peers,
    PollSchedule,
    Queries,
    Registry,
    State,
    Transitions,
    Waiters
  }

  # How long to wait before looking for a missing registry again.
  @register_again 500
  # How long to wait before restarting the process for broadcasts.
  @broadcast_again 500

  @doc """
  Starts the topology of `spec`: `:topology`, its name; `:config`, its options; and optionally the functions to
  `:connect`, `:disconnect` and `:list_nodes` with, instead of Erlang's own.
  """
  def start_link(%{topology: name, config: config} = spec) do
    {config, connector} = {Config.new!(name, config), Connector.new(spec)}
    # The kernel has no say in links that aren't Erlang's own.
    if Connector.probes?(connector), do: :ok = Config.check_links!(name, config)
    :ok = Registry.started!()
    GenServer.start_link(__MODULE__, {name, config, connector}, name: Registry.via(name))
  end

  @doc "Raises if an option of the topology `name` is invalid."
  @spec check!(atom, term) :: :ok
  def check!(name, options) do
    Config.check_links!(name, Config.new!(name, options))
  end

  ## Inside: events

  @impl true
  def init({name, config, connector}) do
    # So that terminate/2 is called, and a crashing dial is just a failed dial.
    Process.flag(:trap_exit, true)
    Logger.metadata(topology: name)
    :ok = :net_kernel.monitor_nodes(true, [:nodedown_reason, node_type: :all])
    # Whoever has started a topology may broadcast at once.
    state = start_broadcast(State.new(name, config, connector, node(), now()))
    {:ok, state, {:continue, :start}}
  end

  @impl true
  def handle_continue(:start, state), do: {:noreply, run_due(state)}

  @impl true
  def handle_call(:config, _from, state), do: {:reply, state.config, state}
  def handle_call(:members, _from, state), do: {:reply, Peers.members(state.peers), state}
  def handle_call(:status, _from, state), do: {:reply, State.status(state, now()), state}

  def handle_call({:await, %{min: min}}, _from, %{name: name, config: %{links: n}} = state)
      when is_integer(n) and min > n do
    sentence =
      "option :min of await: expected at most #{n}, since topology #{inspect(name)} has mesh: [links: #{n}], got #{min}; " <>
        "further links are up to the nodes that pick this one"

    {:reply, {:refused, sentence}, state}
  end

  def handle_call({:await, options}, {pid, _} = from, state) do
    waiter = {from, Process.monitor(pid)}
    {:noreply, run_due(%{state | waiters: Waiters.add(state.waiters, now(), waiter, options)})}
  end

  def handle_call(:poll, _from, state) do
    now = now()
    {:reply, :ok, run_due(%{state | poll_at: now, peers: Peers.retry(state.peers, now)})}
  end

  # Nothing new starts while the node drains; this ends what is under way.
  def handle_call(:drain, _from, state) do
    peers = Peers.cancel_dials(state.peers, now())
    {:reply, :ok, run_due(%{state | dialer: Dialer.stop(state.dialer), peers: peers})}
  end

  @impl true
  def handle_cast({:leaving, node}, state),
    do: {:noreply, state |> Transitions.leaving(facts(state), node) |> apply_change() |> run_due()}

  def handle_cast({:staying, node}, state),
    do: {:noreply, state |> Transitions.staying(facts(state), node) |> apply_change() |> run_due()}

  @impl true
  def handle_info({:timeout, timer, :wake}, %{timer: timer} = state),
    do: {:noreply, run_due(%{state | timer: nil, wake_at: :infinity})}

  def handle_info({ref, result}, state) when is_reference(ref),
    do: {:noreply, run_due(handle(state, ref, result))}

  def handle_info({:DOWN, ref, :process, _pid, reason}, state),
    do: {:noreply, run_due(handle(state, ref, {:ended, reason}))}

  def handle_info({timer, ref}, state) when timer in [:slow, :overdue],
    do: {:noreply, run_due(handle(state, ref, timer))}

  def handle_info({event, node, info}, state) when event in [:nodeup, :nodedown] do
    change = Transitions.link(state, facts(state), event, node, info)
    {:noreply, change |> apply_change() |> run_due()}
  end

  def handle_info({:EXIT, pid, _reason}, %{broadcast: pid} = state) do
    Process.send_after(self(), :broadcast, @broadcast_again)
    {:noreply, %{state | broadcast: nil}}
  end

  # The exit of a dial, which its monitor reports as well, or of the registry, when it or Caravan's application is
  # restarted.
  def handle_info({:EXIT, _pid, _reason}, state) do
    if Registry.registered?(state.name), do: {:noreply, state}, else: {:noreply, register(state)}
  end

  def handle_info(:register, state), do: {:noreply, register(state)}

  def handle_info(:broadcast, state), do: {:noreply, state |> start_broadcast() |> run_due()}

  # Late answers, and a timer that fired before it was reset.
  def handle_info(_other, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, _state) do
    # The user's application, with its topologies, stops before Caravan's does.
    if match?({:stopping, _}, :init.get_status()), do: Drain.leave()
  end

  defp handle(state, ref, message) do
    with :unknown <- Queries.handle(state.queries, ref, message, now()),
         :unknown <- Dialer.handle(state.dialer, ref, message),
         :unknown <- Calls.handle(state.calls, ref, message) do
      # The exit of a waiting caller, or a late message.
      %{state | waiters: Waiters.drop(state.waiters, &match?({_, ^ref}, &1))}
    else
      {:pending, %Dialer{} = dialer} -> %{state | dialer: dialer}
      {:pending, %Calls{} = calls} -> %{state | calls: calls}
      outcome -> state |> transition(facts(state), outcome) |> apply_change()
    end
  end

  defp transition(state, facts, {:looked_up, outcome, queries}),
    do: Transitions.looked_up(%{state | queries: queries}, facts, outcome)

  defp transition(state, facts, {:admitted, report, queries}),
    do: Transitions.admitted(%{state | queries: queries}, facts, report)

  defp transition(state, facts, {:dialled, node, result, dialer}),
    do: Transitions.dialled(%{state | dialer: dialer}, facts, node, result)

  defp transition(state, facts, {:listed, result, asked, calls}),
    do: Transitions.listed(%{state | calls: calls}, facts, result, asked)

  defp transition(state, _facts, {:disconnected, node, result, calls}),
    do: Transitions.disconnected(%{state | calls: calls}, node, result)

  defp facts(state) do
    others_want? = &Queries.others_want?(state.queries, &1)
    %{now: now(), linked: State.linked(state), others_want?: others_want?}
  end

  defp apply_change({effects, state}), do: Enum.reduce(effects, state, &perform/2)

  defp perform({:log, event}, state) do
    :ok = Log.tell(state.name, event)
    state
  end

  defp perform({:linked, node}, state) do
    _ = Native.linked(node)
    %{state | untold: [node | state.untold]}
  end

  defp perform({:reach, heard}, state) do
    {report, queries} = Queries.reach(state.queries, heard)
    state = %{state | queries: queries}
    state |> Transitions.admitted(facts(state), report) |> apply_change()
  end

  defp perform({:disconnect, node}, state),
    do: %{state | calls: Calls.disconnect(state.calls, node)}

  defp perform(:list_nodes, state), do: %{state | calls: Calls.list(state.calls)}

  # Draining ends when the application is started again.
  defp register(state) do
    Registry.register(state.name)
  catch
    _kind, _not_there_yet ->
      Process.send_after(self(), :register, @register_again)
      state
  else
    _pid -> run_due(state)
  end

  defp start_broadcast(state) do
    {:ok, pid} = Broadcast.Server.start_link(state.name)
    %{state | broadcast: pid, untold: Peers.connected(state.peers)}
  end

  # It learns by itself who is down.
  defp tell_links(%{broadcast: pid, untold: untold} = state) when pid == nil or untold == [], do: state

  defp tell_links(state) do
    Broadcast.Server.connected(state.broadcast, state.untold)
    %{state | untold: []}
  end

  ## Inside: what is due

  defp run_due(state) do
    now = now()
    state = tell_links(state)

    if Drain.draining?(),
      do: state |> reply_waiters(now) |> sleep(now, :infinity),
      else: state |> poll(now) |> dial(now) |> reply_waiters(now) |> rest(now)
  end

  defp poll(%{poll_at: at} = state, now) when at > now, do: state

  defp poll(state, now) do
    state = state |> warn_of_pg2() |> sync_node_name(now) |> Transitions.reconcile() |> apply_change()
    queries = Queries.start(state.queries, &Log.tell(state.name, {:lookup_started, &1}))
    {delay, schedule} = PollSchedule.next(state.schedule, Peers.count(state.peers) > 0)
    %{state | queries: queries, schedule: schedule, poll_at: now + delay, polled_at: now}
  end

  # It may be started later than the topology.
  defp warn_of_pg2(%{config: %{links: links}, pg2?: false} = state) when links != nil do
    pubsub = PubSub.pg2()
    if pubsub, do: Log.tell(state.name, {:pg2, pubsub})
    %{state | pg2?: pubsub != nil}
  end

  defp warn_of_pg2(state), do: state

  # This node's name is part of every lookup. It may come late (mix test), change or go (net_kernel:stop).
  defp sync_node_name(%{queries: %{self: self}} = state, _now) when self == node(), do: state

  defp sync_node_name(state, now) do
    if node() == :nonode@nohost, do: Log.tell(state.name, :alone)
    long_names? = if Connector.probes?(state.connector), do: :net_kernel.longnames() == true
    {note, queries} = Queries.reset(state.queries, node(), long_names?)
    if note, do: Log.tell(state.name, {:ill_named, node(), note})
    State.reset(%{state | queries: queries, dialer: Dialer.stop(state.dialer)}, node(), now)
  end

  defp dial(state, now) do
    {nodes, peers} = Peers.due(state.peers, now, free_slots(state))
    start = &Dialer.start(&2, &1, Peers.redial?(peers, &1), Peers.refuser(peers, now, &1))
    %{state | peers: peers, dialer: Enum.reduce(nodes, state.dialer, start)}
  end

  # How many peers may be dialed now.
  defp free_slots(state),
    do: if(Transitions.unlisted?(state), do: 0, else: Dialer.free_slots(state.dialer))

  defp reply_waiters(state, now) do
    {served, late, waiters} = Waiters.take(state.waiters, now, Peers.count(state.peers), state.peers.changed_at)

    Enum.each(served, &reply(&1, {:ok, Peers.connected(state.peers)}))
    Enum.each(late, &reply(&1, {:error, :timeout, State.status(state, now)}))
    %{state | waiters: waiters}
  end

  defp reply({from, monitor}, answer) do
    Process.demonitor(monitor, [:flush])
    GenServer.reply(from, answer)
  end

  defp rest(state, now) do
    # Due peers wait for a slot, and a message will free one.
    if free_slots(state) == 0,
      do: sleep(state, now, state.poll_at),
      else: sleep(state, now, min(state.poll_at, Peers.next_wakeup(state.peers)))
  end

  defp sleep(state, now, until) do
    waiters = Waiters.next_wakeup(state.waiters, Peers.count(state.peers), state.peers.changed_at)
    # Any integer is less than the atom :infinity.
    set_timer(state, min(until, waiters), now)
  end

  defp set_timer(%{wake_at: at} = state, at, _now), do: state

  defp set_timer(state, at, now) do
    _ = if state.timer, do: Process.cancel_timer(state.timer)
    timer = if at != :infinity, do: :erlang.start_timer(max(0, at - now), self(), :wake)
    %{state | timer: timer, wake_at: at}
  end

  defp now, do: System.monotonic_time(:millisecond)
end
