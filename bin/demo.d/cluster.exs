# What the demo knows about its cluster: the nodes, their reports, and waiting for those.
#
# Two things fail the demo at any time, not only in the step that checks for them: a lost link between two nodes that
# should be up, and an epmd that was not running when the demo began.

defmodule Demo.Cluster do
  alias Demo.{Machine, Screen}

  def new(steps, address) do
    Machine.watch_epmd(self())

    %{
      address: address,
      # Separates this from other clusters on the machine. It is no secret: ps shows it.
      cookie: Base.encode16(:rand.bytes(12), case: :lower),
      logs: System.fetch_env!("CARAVAN_DEMO_RUN"),
      keep?: given?("CARAVAN_DEMO_KEEP"),
      dns: nil,
      dns_pid: nil,
      dns_state: :starting,
      nameserver: nil,
      records: 0,
      epmd_looks: 0,
      nodes: %{},
      screen: Screen.new(steps, given?("CARAVAN_DEMO_TERMINAL"), given?("CARAVAN_DEMO_RECORD"))
    }
  end

  defp given?(variable), do: System.get_env(variable, "") != ""

  def new_node(name, port) do
    %{
      name: name,
      port: port,
      os_pid: nil,
      socket: nil,
      state: :starting,
      listens: [],
      peers: [],
      called: nil,
      lookup: "none",
      kept?: false
    }
  end

  ## Steps

  def began(state), do: draw(%{state | screen: Screen.began(state.screen)})
  def passed(state), do: draw(%{state | screen: Screen.passed(state.screen)})

  ## Questions

  def up(state), do: for({_, %{state: :up} = node} <- state.nodes, do: node)
  def running(state), do: length(up(state))
  def all_alone?(state), do: Enum.all?(up(state), &(&1.peers == []))
  def all_lookups?(state, outcome), do: Enum.all?(up(state), &(&1.lookup == outcome))

  def mesh?(state, count) do
    names = state |> up() |> Enum.map(& &1.name)

    length(names) == count and
      Enum.all?(up(state), &(Enum.sort([&1.name | &1.peers]) == Enum.sort(names)))
  end

  ## Waiting

  def await(state, ms, what, done?), do: await_until(state, now() + ms, what, done?)

  defp await_until(state, until, what, done?) do
    cond do
      done?.(state) -> state
      now() >= until -> fail(state, "#{what}: not in time")
      true -> state |> next_event(until) |> await_until(until, what, done?)
    end
  end

  @doc "Waits `ms`, while `holds?` must be true."
  def hold(state, ms, failure, holds?), do: hold_until(state, now() + ms, failure, holds?)

  defp hold_until(state, until, failure, holds?) do
    cond do
      not holds?.(state) -> fail(state, failure)
      now() >= until -> state
      true -> state |> next_event(until) |> hold_until(until, failure, holds?)
    end
  end

  def ask_all(state) do
    nodes = Map.new(state.nodes, fn {port, node} -> {port, %{node | called: nil}} end)
    tell_all(%{state | nodes: nodes}, "call")
  end

  def tell_all(state, line) do
    for node <- up(state), do: :gen_tcp.send(node.socket, line <> "\n")
    state
  end

  def fail(state, reason), do: throw({:failed, reason, state})

  ## Events

  defp next_event(state, until) do
    receive do
      message -> state |> handle(message) |> draw()
    after
      max(0, until - now()) -> state
    end
  end

  # This comes ten times a second, and sets the pace for what a node reports only when asked.
  defp handle(state, {:epmd, []}),
    do: tell_all(%{state | epmd_looks: state.epmd_looks + 1}, "lookup")

  defp handle(state, {:epmd, found}), do: fail(state, "epmd was started: #{inspect(found)}")

  defp handle(state, {:line, socket, line}) do
    case {String.split(line, " "), node_of(state, socket)} do
      {["hello", name, os_pid], nil} ->
        hello(state, socket, name, os_pid)

      {_, nil} ->
        state

      {["up", peer], node} ->
        linked(state, node, peer)

      {["down", peer], node} ->
        unlinked(state, node, peer)

      {["called", names], node} ->
        put(state, node.port, called: String.split(names, ",", trim: true))

      {["lookup", outcome], node} ->
        looked_up(state, node, outcome)

      {["kept"], node} ->
        put(state, node.port, kept?: true)
    end
  end

  defp handle(state, {:closed, socket}) do
    case node_of(state, socket) do
      %{state: :up, name: name} -> fail(state, "#{name} exited")
      _ -> state
    end
  end

  defp handle(%{dns: dns} = state, {dns, {:exit_status, status}}),
    do: fail(state, "caravan_dns exited with status #{status}")

  defp handle(state, {process, {:exit_status, status}}) do
    case Enum.find(Map.values(state.nodes), &(&1.process == process)) do
      %{state: expected, name: name} when expected != :killed ->
        fail(state, "#{name} exited with status #{status}")

      _ ->
        state
    end
  end

  defp hello(state, socket, name, os_pid) do
    {port, _} = Enum.find(state.nodes, fn {_, node} -> node.name == name end)
    listens = Machine.listens_on(os_pid)

    if listens != [port],
      do: fail(state, "#{name} listens on #{inspect(listens)}, not on the port in its name")

    state
    |> put(port, state: :up, socket: socket, os_pid: os_pid, listens: listens)
    |> note("#{Screen.short(name)} is up, pid #{os_pid}, and listens on port #{port} only")
  end

  defp looked_up(state, %{lookup: outcome}, outcome), do: state

  defp looked_up(state, node, outcome) do
    state
    |> put(node.port, lookup: outcome)
    |> note("#{Screen.short(node.name)} looked up: #{outcome}")
  end

  # Both ends report a link; it counts once both have.
  defp linked(state, node, peer) do
    state = put(state, node.port, peers: Enum.uniq([peer | node.peers]))

    if node.name in peers_of(state, peer),
      do: note(state, "link #{Screen.short(node.name)} - #{Screen.short(peer)}"),
      else: state
  end

  defp unlinked(state, node, peer) do
    if Enum.any?(up(state), &(&1.name == peer)),
      do: fail(state, "#{node.name} lost its link to #{peer}")

    state
    |> put(node.port, peers: List.delete(node.peers, peer))
    |> note("#{Screen.short(node.name)} sees that #{Screen.short(peer)} is gone")
  end

  defp peers_of(state, name) do
    Enum.find_value(up(state), [], &(&1.name == name && &1.peers))
  end

  defp node_of(state, socket),
    do: Enum.find(Map.values(state.nodes), &(&1.socket == socket))

  def put(state, port, changes),
    do: update_in(state.nodes[port], &Map.merge(&1, Map.new(changes)))

  def note(state, text) do
    Screen.note(state.screen, text)
    state
  end

  def draw(state), do: %{state | screen: Screen.draw(state.screen, state)}
  def now, do: System.monotonic_time(:millisecond)
end
