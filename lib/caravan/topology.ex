defmodule Caravan.Topology do
  @moduledoc false
  # One set of queries kept true: timer -> look-up -> members -> dials. Everything that waits for the
  # network does so elsewhere and answers by message. An event only changes the state; settle/1 then does
  # what has become due and sets the one timer for what comes next.
  #
  # Whether a peer is up is decided by the messages of net_kernel, or, where `list_nodes` is not
  # Erlang's own, by that function at each look-up. No function that was given is called in this process.

  use GenServer

  alias Caravan.{
    Dials,
    Discovery,
    Draining,
    Events,
    Links,
    Options,
    Pace,
    Peers,
    Status,
    Topologies,
    Waiters
  }

  alias Caravan.Topology.{Calls, Peering}

  # How long to wait for the registry, when it is not there.
  @enlist_again 500

  @enforce_keys [:name, :options, :links]
  defstruct [
    :name,
    :options,
    :links,
    :discovery,
    :peers,
    :dials,
    :calls,
    :pace,
    # When to look up next, when that was last done, when withdrawn peers may next be disconnected.
    :poll_at,
    :polled_at,
    :disconnect_at,
    # The timer and what it is set to.
    :timer,
    wake_at: :infinity,
    waiters: Waiters.new(),
    # Whom `list_nodes` named last, and whether it worked when it was last called.
    listed: nil,
    lists?: true
  ]

  @doc """
  Starts the topology of `spec`: `:topology`, its name; `:config`, its options; and, if they are not
  Erlang's own, the functions to `:connect`, `:disconnect` and `:list_nodes` with.
  """
  def start_link(%{topology: name, config: config} = spec) do
    state = %__MODULE__{name: name, options: options!(name, config), links: Links.new(spec)}
    :ok = Topologies.started!()
    GenServer.start_link(__MODULE__, state, name: Topologies.via(name))
  end

  @doc "Checks the options of the topology `name`, those that only the native library can judge included."
  def options!(name, config) do
    options = Options.topology!(name, config)
    :ok = Discovery.check!(name, options)
    options
  end

  ## Inside: events

  @impl true
  def init(state) do
    # So that terminate/2 is called, and a dial that crashes is but a failed dial.
    Process.flag(:trap_exit, true)
    Logger.metadata(topology: state.name)
    :ok = :net_kernel.monitor_nodes(true, [:nodedown_reason, node_type: :all])
    now = now()

    state = %{
      state
      | discovery: Discovery.new(state.options, Links.probes?(state.links)),
        calls: Calls.new(state.links),
        dials: Dials.new(state.links, state.options.dial_concurrency),
        poll_at: now,
        polled_at: now,
        disconnect_at: now
    }

    {:ok, afresh(state, now), {:continue, :start}}
  end

  @impl true
  def handle_continue(:start, state), do: {:noreply, settle(state)}

  @impl true
  def handle_call(:members, _from, state), do: {:reply, Peers.members(state.peers), state}
  def handle_call(:status, _from, state), do: {:reply, status_of(state), state}

  def handle_call({:await, options}, {pid, _} = from, state) do
    waiter = {from, Process.monitor(pid)}
    {:noreply, settle(%{state | waiters: Waiters.add(state.waiters, now(), waiter, options)})}
  end

  def handle_call(:poll, _from, state) do
    now = now()
    {:reply, :ok, settle(%{state | poll_at: now, peers: Peers.retry(state.peers, now)})}
  end

  # No more is begun while the node drains; this ends what is under way.
  def handle_call(:drain, _from, state) do
    peers = Peers.halt(state.peers, now())
    {:reply, :ok, settle(%{state | dials: Dials.stop(state.dials), peers: peers})}
  end

  @impl true
  def handle_cast({:leaving, node}, state),
    do: {:noreply, settle(Peering.left(state, node))}

  def handle_cast({:staying, node}, state),
    do: {:noreply, settle(Peering.change(state, node, &Peers.stayed(&1, now(), node)))}

  @impl true
  def handle_info({:timeout, timer, :wake}, %{timer: timer} = state),
    do: {:noreply, settle(%{state | timer: nil, wake_at: :infinity})}

  def handle_info({ref, result}, state) when is_reference(ref),
    do: {:noreply, settle(answer(state, ref, result))}

  def handle_info({:DOWN, ref, :process, _pid, reason}, state),
    do: {:noreply, settle(answer(state, ref, {:ended, reason}))}

  def handle_info({timer, ref}, state) when timer in [:slow, :overdue],
    do: {:noreply, settle(answer(state, ref, timer))}

  def handle_info({event, node, info}, state) when event in [:nodeup, :nodedown],
    do: {:noreply, settle(Peering.link(state, event, node, info))}

  # The end of a dial, which its monitor tells as well, or of the registry, when Caravan's application or that alone
  # is started again.
  def handle_info({:EXIT, _pid, _reason}, state) do
    if Topologies.enlisted?(state.name), do: {:noreply, state}, else: {:noreply, enlist(state)}
  end

  def handle_info(:enlist, state), do: {:noreply, enlist(state)}

  # Late answers, and a timer that ran out before it was set anew.
  def handle_info(_other, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, _state) do
    # The application's own tree, with its topologies, ends before Caravan's application does.
    if match?({:stopping, _}, :init.get_status()), do: Draining.leave()
  end

  defp answer(state, ref, result) do
    with :unknown <- Discovery.answer(state.discovery, ref, result, now()),
         :unknown <- Dials.answer(state.dials, ref, result),
         :unknown <- Calls.answer(state.calls, ref, result) do
      # The end of one who waits, or late.
      %{state | waiters: Waiters.drop(state.waiters, &match?({_, ^ref}, &1))}
    else
      {:looked_up, outcome, discovery} ->
        Peering.looked_up(%{state | discovery: discovery}, outcome)

      {:admitted, report, discovery} ->
        Peering.admitted(%{state | discovery: discovery}, report)

      {:dialled, node, result, dials} ->
        Peering.dialled(%{state | dials: dials}, node, result)

      {:listed, result, asked, calls} ->
        Peering.listed(%{state | calls: calls}, result, asked)

      {:disconnected, node, result, calls} ->
        Peering.disconnected(%{state | calls: calls}, node, result)

      {:pending, %Dials{} = dials} ->
        %{state | dials: dials}

      {:pending, %Calls{} = calls} ->
        %{state | calls: calls}
    end
  end

  # Draining is over when the application has been started again.
  defp enlist(state) do
    Topologies.enlist(state.name)
  catch
    _kind, _not_there_yet ->
      Process.send_after(self(), :enlist, @enlist_again)
      state
  else
    _pid -> settle(state)
  end

  ## Inside: what is due

  defp settle(state) do
    now = now()

    if Draining.draining?(),
      do: state |> serve(now) |> sleep(now, :infinity),
      else: state |> poll(now) |> dial(now) |> serve(now) |> rest(now)
  end

  defp poll(%{poll_at: at} = state, now) when at > now, do: state

  defp poll(state, now) do
    state = state |> locate(now) |> Peering.reconcile()
    discovery = Discovery.start(state.discovery, &Events.lookup_started(state.name, &1))
    {delay, pace} = Pace.next(state.pace, Peers.count(state.peers) > 0)
    %{state | discovery: discovery, pace: pace, poll_at: now + delay, polled_at: now}
  end

  # The own name is part of every look-up. It may come late (mix test), change or go (net_kernel:stop).
  defp locate(%{discovery: %{self: self}} = state, _now) when self == node(), do: state

  defp locate(state, now) do
    if node() == :nonode@nohost, do: Events.alone(state.name)
    long_names? = if Links.probes?(state.links), do: :net_kernel.longnames() == true
    {note, discovery} = Discovery.locate(state.discovery, node(), long_names?)
    if note, do: Events.ill_named(state.name, node(), note)
    afresh(%{state | discovery: discovery, dials: Dials.stop(state.dials)}, now)
  end

  # The node's name is the seed, so that nodes started together spread out.
  defp afresh(state, now) do
    seed = {node(), state.name}

    %{
      state
      | peers: Peers.new(now, seed),
        pace: Pace.new(state.options.poll_interval, seed)
    }
  end

  defp dial(state, now) do
    {nodes, peers} = Peers.due(state.peers, now, places(state))
    start = &Dials.start(&2, &1, Peers.missed?(peers, &1), Peers.refuser(peers, now, &1))
    %{state | peers: peers, dials: Enum.reduce(nodes, state.dials, start)}
  end

  # How many may be dialled now.
  defp places(state), do: if(Peering.unlisted?(state), do: 0, else: Dials.free(state.dials))

  defp serve(state, now) do
    {served, late, waiters} =
      Waiters.take(state.waiters, now, Peers.count(state.peers), state.peers.changed_at)

    Enum.each(served, &reply(&1, {:ok, Peers.connected(state.peers)}))
    Enum.each(late, &reply(&1, {:error, :timeout, status_of(state)}))
    %{state | waiters: waiters}
  end

  defp reply({from, monitor}, answer) do
    Process.demonitor(monitor, [:flush])
    GenServer.reply(from, answer)
  end

  defp rest(state, now) do
    # What is due waits for a place, and a place comes with a message.
    if places(state) == 0,
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
    _ = state.timer && Process.cancel_timer(state.timer)
    timer = if at != :infinity, do: :erlang.start_timer(max(0, at - now), self(), :wake)
    %{state | timer: timer, wake_at: at}
  end

  defp status_of(state) do
    now = now()

    struct!(
      Status,
      Map.merge(Discovery.status(state.discovery, now), %{
        name: state.name,
        members: length(Peers.members(state.peers)),
        peers: Discovery.itself(state.discovery, now) ++ Peers.list(state.peers, now),
        draining: Draining.draining?()
      })
    )
  end

  defp now, do: System.monotonic_time(:millisecond)
end
