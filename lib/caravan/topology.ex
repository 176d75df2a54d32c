defmodule Caravan.Topology do
  @moduledoc false
  # One set of queries kept true: timer -> look-up -> members -> dials. Everything that waits for the
  # network does so elsewhere and answers by message. An event only changes the state; settle/1 then does
  # what has become due and sets the one timer for what comes next.
  #
  # Whether a peer is up is decided by the messages of net_kernel, or, where `list_nodes` is not
  # Erlang's own, by that function at each look-up.

  use GenServer

  alias Caravan.{
    Dials,
    Discovery,
    Events,
    Farewell,
    Links,
    Options,
    Pace,
    Peers,
    Status,
    Topologies,
    Waiters
  }

  # After a peer went down a look-up at once, but no more than one in this time.
  @look_again 1_000

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
    :pace,
    # When to look up next, when that was last done, when withdrawn peers may next be disconnected.
    :poll_at,
    :polled_at,
    :disconnect_at,
    # The timer and what it is set to.
    :timer,
    wake_at: :infinity,
    waiters: Waiters.new(),
    # Did `list_nodes` work when it was last called?
    lists?: true,
    draining?: false
  ]

  @doc """
  Starts the topology of `spec`: `:topology`, its name; `:config`, its options; and, if they are not
  Erlang's own, the functions to `:connect`, `:disconnect` and `:list_nodes` with.
  """
  def start_link(%{topology: name, config: config} = spec) do
    state = %__MODULE__{name: name, options: options!(name, config), links: Links.new(spec)}
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
      | discovery: Discovery.new(state.options),
        dials: Dials.new(state.links, state.options.dial_concurrency),
        poll_at: now,
        polled_at: now,
        disconnect_at: now,
        draining?: Farewell.draining?()
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

  def handle_call(:poll, _from, state), do: {:reply, :ok, settle(%{state | poll_at: now()})}

  def handle_call(:drain, _from, state) do
    peers = Peers.halt(state.peers, now())

    {:reply, :ok,
     settle(%{state | draining?: true, dials: Dials.stop(state.dials), peers: peers})}
  end

  @impl true
  def handle_cast({:leaving, node}, state),
    do: {:noreply, settle(change(state, node, &Peers.left(&1, now(), node)))}

  def handle_cast({:staying, node}, state),
    do: {:noreply, settle(change(state, node, &Peers.stayed(&1, now(), node)))}

  @impl true
  def handle_info({:timeout, timer, :wake}, %{timer: timer} = state),
    do: {:noreply, settle(%{state | timer: nil, wake_at: :infinity})}

  def handle_info({ref, result}, state) when is_reference(ref),
    do: {:noreply, settle(answer(state, ref, result))}

  def handle_info({:DOWN, ref, :process, _pid, reason}, state),
    do: {:noreply, settle(answer(state, ref, {:ended, reason}))}

  def handle_info({:overdue, ref}, state), do: {:noreply, settle(answer(state, ref, :overdue))}

  def handle_info({event, node, info}, state) when event in [:nodeup, :nodedown],
    do: {:noreply, settle(link(state, event, node, info))}

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
    if match?({:stopping, _}, :init.get_status()), do: Farewell.leave()
  catch
    # That one has ended before, and said good-bye then.
    :exit, _ -> :ok
  end

  defp answer(state, ref, result) do
    with :unknown <- Discovery.answer(state.discovery, ref, result, now()),
         :unknown <- Dials.answer(state.dials, ref, result) do
      # The end of one who waits, or late.
      %{state | waiters: Waiters.drop(state.waiters, &match?({_, ^ref}, &1))}
    else
      {:looked_up, outcome, discovery} -> looked_up(%{state | discovery: discovery}, outcome)
      {:dialled, node, result, dials} -> dialled(%{state | dials: dials}, node, result)
      {:pending, dials} -> %{state | dials: dials}
    end
  end

  defp looked_up(state, outcome) do
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

  defp dialled(state, node, :ok) do
    cond do
      # Its link, and what came over that, may have been heard of first.
      not Peers.dialling?(state.peers, node) -> state
      Links.polls?(state.links) or node in linked(state) -> up(state, node)
      true -> dialled(state, node, {:error, :dial, "the link was lost as soon as it was made"})
    end
  end

  defp dialled(state, node, {:error, stage, reason}),
    do: change(state, node, &Peers.dial_failed(&1, now(), node, stage, reason))

  # Erlang's links need not be those that a `list_nodes` of its own means, but are a reason to ask that.
  defp link(state, event, node, info) do
    reason = info[:nodedown_reason]

    cond do
      Links.polls?(state.links) -> reconcile(state)
      event == :nodeup -> up(state, node)
      is_atom(reason) -> down(state, node, "#{reason}")
      true -> down(state, node, inspect(reason))
    end
  end

  defp up(state, node), do: change(state, node, &Peers.up(&1, now(), node))
  defp down(state, node, reason), do: change(state, node, &Peers.down(&1, now(), node, reason))

  defp each(state, nodes, change),
    do: Enum.reduce(nodes, state, fn node, state -> change(state, node, &change.(&1, node)) end)

  # The one place where peers change: what happened is told, and a lost peer is looked for.
  defp change(state, node, change) do
    {events, peers} = change.(state.peers)
    Enum.each(events, &Events.peer(state.name, node, &1))
    lost? = Enum.any?(events, &match?({:down, _, true}, &1))
    soon = if lost?, do: state.polled_at + @look_again, else: state.poll_at
    %{state | peers: peers, poll_at: min(state.poll_at, soon)}
  end

  # Draining is over when the application has been started again.
  defp enlist(state) do
    {Farewell.draining?(), Topologies.enlist(state.name)}
  catch
    _kind, _not_there_yet ->
      Process.send_after(self(), :enlist, @enlist_again)
      state
  else
    {draining?, _pid} -> settle(%{state | draining?: draining?})
  end

  ## Inside: what is due

  defp settle(state) do
    now = now()
    state |> poll(now) |> dial(now) |> serve(now) |> sleep(now)
  end

  defp poll(%{poll_at: at, draining?: draining?} = state, now) when at > now or draining?,
    do: state

  defp poll(state, now) do
    state = state |> locate(now) |> reconcile()
    discovery = Discovery.start(state.discovery, &Events.lookup_started(state.name, &1))
    {delay, pace} = Pace.next(state.pace, Peers.count(state.peers) > 0)
    %{state | discovery: discovery, pace: pace, poll_at: now + delay, polled_at: now}
  end

  # The own name is part of every look-up. It may come late (mix test), change or go (net_kernel:stop).
  defp locate(%{discovery: %{self: self}} = state, _now) when self == node(), do: state

  defp locate(state, now) do
    if node() == :nonode@nohost, do: Events.alone(state.name)
    discovery = Discovery.locate(state.discovery, node())
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

  defp reconcile(state) do
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

  defp dial(%{draining?: true} = state, _now), do: state

  defp dial(state, now) do
    {nodes, peers} = Peers.due(state.peers, now, Dials.free(state.dials))
    start = &Dials.start(&2, &1, Peers.missed?(peers, &1))
    %{state | peers: peers, dials: Enum.reduce(nodes, state.dials, start)}
  end

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

  defp sleep(state, now) do
    waiters = Waiters.next_wakeup(state.waiters, Peers.count(state.peers), state.peers.changed_at)

    # Any integer is less than the atom :infinity.
    at =
      cond do
        state.draining? -> waiters
        # What is due waits for a place, and a place comes with a message.
        Dials.free(state.dials) == 0 -> min(state.poll_at, waiters)
        true -> state.poll_at |> min(Peers.next_wakeup(state.peers)) |> min(waiters)
      end

    set_timer(state, at, now)
  end

  defp set_timer(%{wake_at: at} = state, at, _now), do: state

  defp set_timer(state, at, now) do
    if state.timer, do: Process.cancel_timer(state.timer)
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
        peers: Peers.list(state.peers, now),
        draining: state.draining?
      })
    )
  end

  defp now, do: System.monotonic_time(:millisecond)
end
