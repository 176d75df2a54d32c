# The processes of the demo: the DNS server, which takes commands on its stdin, and the nodes, which connect here over
# loopback. All of them exit with this process, unless they are to stay.

defmodule Demo.Processes do
  import Demo.Cluster, only: [draw: 1, fail: 2, new_node: 2, note: 2]

  @zone "caravan.test"
  @query "_demo._tcp.#{@zone}"
  @flags "-start_epmd false -epmd_module caravan_epmd -kernel inet_dist_use_interface {127,0,0,1}"

  ## The DNS server

  def start_dns(state) do
    stay = if state.keep?, do: ["--keep-running"], else: []
    program = [System.fetch_env!("CARAVAN_DNS"), "--listen", "127.0.0.1:0" | stay]
    dns = start(state, "dns", "exec \"$@\" 2>>\"$LOG\"", program, [])
    {:os_pid, os_pid} = Port.info(dns, :os_pid)

    state = %{state | dns: dns, dns_pid: Integer.to_string(os_pid)}
    "listening " <> nameserver = dns_line(state)
    "ready" = dns_line(state)

    note(%{state | nameserver: nameserver, dns_state: :answering}, "DNS server on #{nameserver}")
  end

  @doc "A node's SRV record, and the address of the record's target."
  def add_records(state, port) do
    host = "n#{port}.#{@zone}"

    %{state | records: state.records + 1}
    |> command("add #{@query} 1 SRV 0 10 #{port} #{host}")
    |> command("add #{host} 1 A 127.0.0.1")
  end

  def command(state, line) do
    Port.command(state.dns, line <> "\n")

    case dns_line(state) do
      "ok" <> _ -> note(state, "DNS: #{line}")
      answer -> fail(state, "caravan_dns answered #{line} with #{answer}")
    end
  end

  defp dns_line(%{dns: dns} = state) do
    receive do
      {^dns, {:data, {:eol, line}}} -> line
      {^dns, {:exit_status, status}} -> fail(state, "caravan_dns exited with status #{status}")
    after
      5_000 -> fail(state, "caravan_dns doesn't answer")
    end
  end

  ## The nodes

  def start_node(state, port) do
    name = "demo-#{port}@127.0.0.1"
    script = Path.join(__DIR__, "node.exs")
    program = ["elixir", "--name", name, "--cookie", state.cookie, "--erl", @flags, script]

    env = [
      {~c"CARAVAN_DEMO_PORT", ~c"#{state.address}"},
      {~c"CARAVAN_DEMO_NAMESERVER", ~c"#{state.nameserver}"},
      {~c"CARAVAN_DEMO_QUERY", ~c"#{@query}"}
    ]

    process = start(state, name, "exec \"$@\" </dev/null >>\"$LOG\" 2>&1", program, env)
    node = name |> new_node(port) |> Map.put(:process, process)
    draw(put_in(state.nodes[port], node))
  end

  # Kept nodes and the DNS server must survive the terminal.
  defp start(state, name, command, program, env) do
    Port.open({:spawn_executable, "/bin/sh"}, [
      :binary,
      :exit_status,
      line: 4096,
      args: ["-c", "trap '' HUP; " <> command, "sh" | program],
      env: [{~c"LOG", String.to_charlist(Path.join(state.logs, name <> ".log"))} | env]
    ])
  end

  ## What the nodes report

  @doc "Accepts the nodes' connections; each line comes as a message. Returns the port."
  def listen do
    options = [ip: {127, 0, 0, 1}, packet: :line, mode: :binary, active: false]
    {:ok, listener} = :gen_tcp.listen(0, options)
    {:ok, port} = :inet.port(listener)
    demo = self()
    spawn_link(fn -> accept(listener, demo) end)
    port
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
end
