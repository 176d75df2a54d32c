# The controller of bin/demo, which starts it. It runs the DNS server and the nodes, shows what they tell
# and checks it. It is no part of the cluster itself.

Code.require_file("demo_screen.exs", __DIR__)

defmodule Demo do
  @zone "caravan.test"
  @query "_demo._tcp.#{@zone}"
  @first_port 4501
  @silence 10_000

  def run do
    {:ok, listener} =
      :gen_tcp.listen(0, ip: {127, 0, 0, 1}, packet: :line, mode: :binary, active: false)

    demo = self()
    {:ok, {_, port}} = :inet.sockname(listener)
    spawn_link(fn -> accept(listener, demo) end)

    state = %{
      port: port,
      # Given to the nodes only, so that none but them and who reads it here gets in.
      cookie: Base.encode16(:rand.bytes(12), case: :lower),
      logs: System.fetch_env!("CARAVAN_DEMO_RUN"),
      keep?: System.get_env("CARAVAN_DEMO_KEEP", "") != "",
      epmd: epmd(),
      dns: nil,
      dns_pid: nil,
      nameserver: nil,
      dns_state: "starting",
      nodes: %{},
      screen: Demo.Screen.new(System.get_env("CARAVAN_DEMO_TERMINAL", "") != "")
    }

    state =
      try do
        state |> start_dns() |> form() |> join() |> kill() |> restart() |> silence() |> no_epmd()
      catch
        {:failed, reason, state} -> fail(state, reason)
      end

    Demo.Screen.finish(state)
    if state.keep?, do: keep(state)
    Demo.Screen.say("Every check held.")
  end

  ## The steps

  defp form(state) do
    ports = Enum.take(free_ports(), 5)
    state = step(state, "Five nodes start; the DNS has no records, so each is alone")
    state = Enum.reduce(ports, state, &start_node(&2, &1))

    state =
      state
      |> await(20_000, "five nodes up, each after a failed look-up", fn state ->
        running(state) == 5 and Enum.all?(up(state), &(&1.lookup == "nxdomain"))
      end)
      |> check(
        "a node is connected before there are records",
        &Enum.all?(up(&1), fn n -> n.peers == [] end)
      )
      |> check(
        "a node doesn't listen on the port in its name",
        fn _ -> Enum.all?(ports, &listens?/1) end
      )
      |> passed()
      |> step("Their SRV records are added: they form the mesh")

    state = Enum.reduce(ports, state, &add_records(&2, &1))
    state |> meshed(10_000, 5) |> passed()
  end

  defp join(state) do
    port = Enum.find(free_ports(), &(not Map.has_key?(state.nodes, &1)))
    state = step(state, "A sixth node, #{port}, starts and gets its record: all see it")
    state |> start_node(port) |> add_records(port) |> meshed(20_000, 6) |> passed()
  end

  defp kill(state) do
    port = victim(state)
    state = step(state, "Node #{port} is killed (kill -9): the others see it go")
    {_, 0} = System.cmd("kill", ["-KILL", state.nodes[port].os_pid])
    state |> put(port, alive?: false, expected?: false) |> meshed(10_000, 5) |> passed()
  end

  defp restart(state) do
    port = victim(state)
    state = step(state, "Node #{port} starts again by the same name: the mesh is whole")
    state |> start_node(port) |> meshed(20_000, 6) |> passed()
  end

  defp silence(state) do
    state = step(state, "The DNS is silent for #{div(@silence, 1000)} s: no link is lost")
    # From here to the end of the silence a change of anyone's peers fails the demo.
    state = %{state | dns_state: "silent"} |> command("fault silence") |> forget_lookups()
    asked = asked(state)
    until = now() + @silence
    whole? = &mesh?(&1, 6)

    state =
      state
      |> await(
        @silence,
        "failing look-ups on every node",
        &(all_lookups?(&1, "timeout") or not whole?.(&1))
      )
      |> hold(until, "a link was lost while the DNS was silent", whole?)
      |> check("not every node kept asking the silent DNS", &(asked(&1) >= asked + 6))
      |> check("a look-up was answered by the silent DNS", &all_lookups?(&1, "timeout"))
      |> called(6)

    %{state | dns_state: "answering"}
    |> command("fault none")
    |> forget_lookups()
    |> await(10_000, "answered look-ups on every node after the silence", &all_lookups?(&1, "ok"))
    |> check("a link was lost after the silence", whole?)
    |> passed()
  end

  defp no_epmd(state) do
    state |> step("No epmd process, nothing new on port 4369, at any time") |> passed()
  end

  defp meshed(state, ms, count) do
    state |> await(ms, "a mesh of #{count} nodes", &mesh?(&1, count)) |> called(count)
  end

  # Every node calls all its peers, and each must answer.
  defp called(state, count) do
    state = tell_all(%{state | nodes: each(state.nodes, &%{&1 | called: nil})}, "call")

    await(state, 5_000, "answers from every peer to every node", fn state ->
      Enum.all?(up(state), &(&1.called && length(&1.called) == count - 1))
    end)
  end

  ## Checks

  defp step(state, title), do: %{state | screen: Demo.Screen.step(state.screen, title)} |> draw()

  # epmd is looked for at the end of each step; one that came would stay.
  defp passed(state) do
    state = check(state, "epmd was started", &(epmd() -- &1.epmd == []))
    %{state | screen: Demo.Screen.passed(state.screen)} |> draw()
  end

  defp check(state, failure, check) do
    if check.(state), do: state, else: throw({:failed, failure, state})
  end

  defp await(state, ms, what, done?), do: await_until(state, now() + ms, what, done?)

  defp await_until(state, until, what, done?) do
    cond do
      done?.(state) -> state
      now() >= until -> throw({:failed, "#{what}: not in time", state})
      true -> state |> tick(until) |> await_until(until, what, done?)
    end
  end

  defp hold(state, until, failure, holds?) do
    state = check(state, failure, holds?)
    if now() >= until, do: state, else: state |> tick(until) |> hold(until, failure, holds?)
  end

  defp mesh?(state, count) do
    names = state |> up() |> Enum.map(& &1.name)

    running(state) == count and
      Enum.all?(up(state), &(Enum.sort([&1.name | &1.peers]) == Enum.sort(names)))
  end

  defp all_lookups?(state, outcome), do: Enum.all?(up(state), &(&1.lookup == outcome))
  defp forget_lookups(state), do: %{state | nodes: each(state.nodes, &%{&1 | lookup: "none"})}

  defp up(state), do: for({_, %{alive?: true} = node} <- state.nodes, do: node)
  defp running(state), do: length(up(state))
  defp victim(state), do: state.nodes |> Map.keys() |> Enum.sort() |> Enum.at(2)

  ## Events

  # One message, or a redraw when none comes; the nodes are asked for their last look-up meanwhile.
  defp tick(state, until) do
    receive do
      message -> state |> handle(message) |> draw()
    after
      min(100, max(0, until - now())) -> state |> tell_all("lookup") |> draw()
    end
  end

  defp handle(state, {:line, socket, line}) do
    case String.split(line, " ") do
      ["hello", name, os_pid] ->
        put(state, port_of(name), alive?: true, socket: socket, os_pid: os_pid)

      ["peers", peers] ->
        change(state, socket, :peers, names(peers))

      ["called", names] ->
        change(state, socket, :called, names(names))

      ["lookup", outcome] ->
        change(state, socket, :lookup, outcome)

      ["kept"] ->
        change(state, socket, :kept?, true)
    end
  end

  defp handle(state, {:closed, socket}) do
    case node_of(state, socket) do
      %{expected?: true, alive?: true, name: name} ->
        throw({:failed, "#{name} ended", state})

      _ ->
        state
    end
  end

  defp handle(%{dns: dns} = state, {dns, {:exit_status, status}}),
    do: throw({:failed, "caravan_dns ended with status #{status}", state})

  defp handle(state, {_port, {:exit_status, status}} = message) do
    case Enum.find(state.nodes, fn {_, node} -> node.port == elem(message, 0) end) do
      {_, %{expected?: true, name: name}} ->
        throw({:failed, "#{name} ended with status #{status}", state})

      _ ->
        state
    end
  end

  defp handle(state, _late), do: state

  defp change(state, socket, key, value) do
    case node_of(state, socket) do
      nil ->
        state

      node ->
        screen =
          if key == :peers, do: Demo.Screen.peers(state.screen, node, value), else: state.screen

        put(%{state | screen: screen}, port_of(node.name), [{key, value}])
    end
  end

  defp put(state, port, changes),
    do: update_in(state.nodes[port], &Map.merge(&1, Map.new(changes)))

  defp each(nodes, change), do: Map.new(nodes, fn {port, node} -> {port, change.(node)} end)

  defp node_of(state, socket),
    do: Enum.find_value(state.nodes, fn {_, node} -> node.socket == socket && node end)

  defp names(words), do: String.split(words, ",", trim: true)
  defp port_of(name), do: String.to_integer(hd(Regex.run(~r/(?<=-)\d+(?=@)/, name)))

  defp draw(state), do: %{state | screen: Demo.Screen.draw(state.screen, state)}

  ## Processes

  defp start_dns(state) do
    stay = if state.keep?, do: ["--keep-running"], else: []
    arguments = ["--listen", "127.0.0.1:0" | stay]

    dns =
      start(
        state,
        "dns",
        "exec \"$@\" 2>>\"$LOG\"",
        [System.fetch_env!("CARAVAN_DNS") | arguments],
        []
      )

    state = %{state | dns: dns, dns_pid: os_pid(dns)}
    "listening " <> nameserver = dns_line(state)
    "ready" = dns_line(state)
    %{state | nameserver: nameserver, dns_state: "answering"}
  end

  defp start_node(state, port) do
    name = "demo-#{port}@127.0.0.1"

    flags =
      "-start_epmd false -epmd_module caravan_epmd -kernel inet_dist_use_interface {127,0,0,1}"

    script = Path.join(__DIR__, "demo_node.exs")
    arguments = ["elixir", "--name", name, "--cookie", state.cookie, "--erl", flags, script]

    env = [
      {'CARAVAN_DEMO_PORT', '#{state.port}'},
      {'CARAVAN_DEMO_NAMESERVER', '#{state.nameserver}'}
    ]

    started = start(state, name, "exec \"$@\" </dev/null >>\"$LOG\" 2>&1", arguments, env)

    node = %{
      name: name,
      port: started,
      os_pid: nil,
      socket: nil,
      alive?: false,
      expected?: true,
      kept?: false,
      peers: [],
      called: nil,
      lookup: "none"
    }

    draw(put_in(state.nodes[port], node))
  end

  # Kept nodes and the DNS server must not end with the terminal.
  defp start(state, name, command, arguments, env) do
    Port.open({:spawn_executable, "/bin/sh"}, [
      :binary,
      :exit_status,
      line: 4096,
      args: ["-c", "trap '' HUP; " <> command, "sh" | arguments],
      env: [{'LOG', String.to_charlist(Path.join(state.logs, name <> ".log"))} | env]
    ])
  end

  defp os_pid(port), do: port |> Port.info(:os_pid) |> elem(1) |> Integer.to_string()

  defp add_records(state, port) do
    host = "n#{port}.#{@zone}"

    state
    |> command("add #{@query} 1 SRV 0 10 #{port} #{host}")
    |> command("add #{host} 1 A 127.0.0.1")
  end

  defp command(state, line) do
    Port.command(state.dns, line <> "\n")
    answer = dns_line(state)

    check(state, "caravan_dns answered #{line} with #{answer}", fn _ ->
      String.starts_with?(answer, "ok")
    end)
  end

  defp asked(state) do
    Port.command(state.dns, "stats\n")
    ["ok", "udp=" <> udp | _] = String.split(dns_line(state))
    String.to_integer(udp)
  end

  defp dns_line(%{dns: dns} = state) do
    receive do
      {^dns, {:data, {:eol, line}}} ->
        line

      {^dns, {:exit_status, status}} ->
        throw({:failed, "caravan_dns ended with status #{status}", state})
    after
      5_000 -> throw({:failed, "caravan_dns doesn't answer", state})
    end
  end

  defp accept(listener, demo) do
    {:ok, socket} = :gen_tcp.accept(listener)
    spawn_link(fn -> read(socket, demo) end)
    accept(listener, demo)
  end

  defp read(socket, demo) do
    case :gen_tcp.recv(socket, 0) do
      {:ok, line} ->
        send(demo, {:line, socket, String.trim_trailing(line, "\n")})
        read(socket, demo)

      {:error, _} ->
        send(demo, {:closed, socket})
    end
  end

  defp tell_all(state, line) do
    for node <- up(state), do: :gen_tcp.send(node.socket, line <> "\n")
    state
  end

  defp keep(state) do
    state =
      state
      |> tell_all("keep")
      |> await(5_000, "nodes that stay", fn s -> Enum.all?(up(s), & &1.kept?) end)

    Demo.Screen.say(Demo.Screen.kept(state))
  end

  defp fail(state, reason) do
    Demo.Screen.failed(state, reason)
    System.halt(1)
  end

  ## The machine

  # Live processes of that name and sockets that listen on its port (4369 is hex 1111).
  defp epmd do
    processes =
      for stat <- Path.wildcard("/proc/[0-9]*/stat"),
          {:ok, text} <- [File.read(stat)],
          text =~ ~r/\A\d+ \(epmd\) [^Z]/,
          do: stat

    processes ++ listening("1111")
  end

  defp listens?(port),
    do: listening(port |> Integer.to_string(16) |> String.pad_leading(4, "0")) != []

  defp listening(hex) do
    for table <- ["/proc/net/tcp", "/proc/net/tcp6"],
        {:ok, text} <- [File.read(table)],
        line <- String.split(text, "\n"),
        [_, local, _, "0A" | _] <- [String.split(line)],
        String.ends_with?(local, ":" <> hex),
        do: {table, local}
  end

  defp free_ports, do: Enum.filter(@first_port..(@first_port + 500), &free?/1)

  defp free?(port) do
    with {:ok, socket} <- :gen_tcp.listen(port, ip: {127, 0, 0, 1}),
         do: :gen_tcp.close(socket) == :ok,
         else: (_ -> false)
  end

  defp now, do: System.monotonic_time(:millisecond)
end

Demo.run()
