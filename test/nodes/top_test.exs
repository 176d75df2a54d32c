defmodule Caravan.Nodes.TopTest do
  use ExUnit.Case, async: true
  alias Caravan.{Certificates, Terminal, Vm}

  @moduletag :nodes
  @moduletag timeout: 120_000
  setup do: Vm.no_epmd()

  # Topologies need Logger. What they have to say is for the terminal of the test's VM.
  defp quiet, do: ["-pa", :logger |> :code.lib_dir() |> Path.join("ebin"), "-kernel", "logger_level", "none"]

  # A node and a number of peers, some of which aren't there.
  defp start_node(missing \\ 1) do
    {peer, peer_name, _port} = Vm.start_node()
    {vm, node, port} = Vm.start_node(quiet())
    nobody = for port <- Vm.free_ports(missing), do: :"nobody-#{port}@127.0.0.1"
    Vm.start_topology(vm, :app, nodes: [peer_name | nobody], poll_interval: 200)
    Vm.await(vm, "nodes()", [peer_name])

    peers = "maps:get(peers, maps:get(app, 'Elixir.Caravan':status()))"
    Vm.await(vm, "length([P || P <- #{peers}, maps:get(error, P) =/= nil])", missing)
    %{vm: vm, node: node, port: port, peer: peer, peer_name: peer_name, nobody: nobody}
  end

  defp top(arguments), do: Vm.command("mix", ["caravan.top" | arguments], env: env())

  defp env(more \\ []), do: [{:RELEASE_COOKIE, Vm.cookie()} | more]

  test "plain lines, once" do
    %{node: node, peer_name: peer, nobody: [nobody], vm: vm} = start_node()
    assert {0, output} = top(["#{node}"])
    assert [head, ":app: 2 members, 1 connected", "  nodes: " <> _ | peers] = String.split(output, "\n", trim: true)
    assert head =~ ~r/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  #{node}: 1 of 2 peers not connected$/
    assert [first, second] = peers
    assert first =~ ~r/^  #{nobody}  .* failed.*: .*nothing listens/
    assert second =~ ~r/^  #{peer}  connected for/
    # Nobody has seen it, and it is gone.
    assert Vm.eval(vm, "nodes()") == [peer]
    Vm.await(vm, "nodes(hidden)", [])
  end

  test "plain lines again and again, until nobody reads them" do
    %{vm: vm, node: node, port: port} = start_node()
    # Who reads ends at the first line of that kind, and then so does the task.
    script = "mix caravan.top #{node} --every 0.1 | sed -u \"/can't be reached/q\""
    watching = Vm.start_command("bash", ["-c", script], ":app: 2 members, 1 connected", env: env())
    Vm.kill_all([vm])

    assert last(watching.port, nil) =~
             ~r/^[-\d]+ [:\d]+  #{node} can't be reached: nothing listens at 127.0.0.1:#{port} /
  end

  defp last(port, line) do
    receive do
      {^port, {:data, {:eol, line}}} -> last(port, line)
      {^port, {:exit_status, 0}} -> line
    after
      30_000 -> flunk("it has not ended; its last line was #{line}")
    end
  end

  test "why there is nothing to see" do
    %{node: node, port: at, peer_name: peer_name} = start_node()
    assert {1, output} = top(["#{node}", "--cookie", "another"])
    assert output =~ "#{node} has another cookie than the one given here"
    [port] = Vm.free_ports(1)
    assert {1, output} = top(["app-#{port}@127.0.0.1"])
    assert output =~ "can't be reached: nothing listens at 127.0.0.1:#{port}"
    # Its application isn't started.
    assert {1, output} = top(["#{peer_name}"])
    assert output == "the application :caravan is not running on #{peer_name}\n"
    assert {1, output} = top(["other-#{at}@127.0.0.1"])
    assert output == "the node there is named #{node}, not other-#{at}@127.0.0.1; ask for that one\n"
  end

  @tag :tmp_dir
  test "a node without Caravan, or with an old one", %{tmp_dir: dir} do
    # What the VM calls, and nothing for users.
    File.mkdir_p!(Path.join(dir, "caravan"))
    File.cp_r!(Application.app_dir(:caravan), Path.join(dir, "caravan"))
    File.rm!(Path.join(dir, "caravan/ebin/Elixir.Caravan.beam"))
    {_vm, node, _port} = Vm.start_node([], ebin: Path.expand(Path.join(dir, "caravan/ebin")))
    assert {1, output} = top(["#{node}"])
    assert output == "#{node} runs without Caravan, or with a version older than 2.0\n"
  end

  test "short names, hosts without an address, and nodes that speak IPv6" do
    [short, lost, six] = Vm.free_ports(3)

    for {name, arguments, opts} <- [
          {"app-#{short}", ["-sname"], []},
          {"app-#{lost}@nowhere.invalid", ["-name"], []},
          {"app-#{six}@::1", ["-proto_dist", "inet6_tcp", "-name"], [ip: {0, 0, 0, 0, 0, 0, 0, 1}]}
        ] do
      vm = Vm.start(arguments ++ [name] ++ quiet(), opts)
      node = Vm.eval(vm, "node()")
      Vm.start_topology(vm, :app, nodes: [node])
      assert {0, output} = top([name])
      assert output =~ " #{node}: nothing is wrong, and there are no peers\n:app: 0 members"
    end

    [nobody] = Vm.free_ports(1)
    assert {1, output} = top(["app-#{nobody}@nowhere.invalid"])
    assert output =~ "nothing listens at 127.0.0.1:#{nobody}"
    assert {1, output} = top(["app-#{short}@nowhere.invalid"])
    assert output =~ ~r/the node there is named app-#{short}@\S+, not app-#{short}@nowhere.invalid/
  end

  @tag :tmp_dir
  test "a node that speaks TLS", %{tmp_dir: dir} do
    authority = Certificates.authority()
    [theirs, ours] = for side <- ~w(theirs ours), do: Certificates.arguments(Path.join(dir, side), authority)
    {vm, node, _port} = Vm.start_node(["-proto_dist", "inet_tls" | theirs] ++ quiet())
    Vm.start_topology(vm, :app, nodes: [node])
    flags = Enum.join(["-proto_dist", "inet_tls" | ours], " ")
    assert {0, output} = Vm.command("mix", ["caravan.top", "#{node}"], env: env(ERL_FLAGS: flags))
    assert output =~ "#{node}: nothing is wrong"
    assert {1, output} = top(["#{node}"])
    assert output =~ "#{node} speaks TLS; give this task the same flags: ERL_FLAGS=\"-proto_dist inet_tls"
  end

  describe "on a terminal" do
    defp open(node, rows, columns) do
      command = """
      stty rows #{rows} cols #{columns}; echo "settings $(stty -g)"; echo "terminal $(tty)"
      mix caravan.top #{node} --every 0.2; echo "status $?"; echo "settings $(stty -g)"
      """

      terminal = Terminal.open("bash -c '#{command}'", env: env())
      [settings, tty] = Terminal.await(terminal, ~r/settings (\S+)\r\nterminal (\S+)\r/)
      %{terminal: terminal, settings: settings, tty: tty}
    end

    defp size(%{tty: tty}, rows, columns),
      do: {_, 0} = System.cmd("stty", ["-F", tty, "rows", "#{rows}", "cols", "#{columns}"])

    # A whole picture that matches, and that fits.
    defp await_picture(%{terminal: terminal}, rows, columns, pattern) do
      lines = Terminal.await_picture(terminal, pattern)
      assert length(lines) <= rows
      for line <- lines, do: assert(Caravan.Top.Text.width(line) <= columns, line)
      lines
    end

    # It ends with this key, and the terminal is as it was.
    defp leave(%{terminal: terminal, settings: settings}, key, status) do
      output = Terminal.type_raw(terminal, key, ~r/settings [^\r]+\r/)
      [_picture, rest] = String.split(output, "\e[?1049l", parts: 2)
      assert output =~ "\e[?25h"
      assert output =~ "\e[?7h"
      assert [_, ^status, ^settings] = Regex.run(~r/status (\d+)\r\nsettings (\S+)\r/, rest)
      refute rest =~ "Killed"
    end

    test "a picture that fits the window, also when that changes" do
      %{vm: vm, node: node, nobody: [nobody], peer_name: peer} = start_node()
      top = open(node, 24, 80)
      assert [title, verdict, "", topology | lines] = await_picture(top, 24, 80, ~r/1 of 2 peers not connected/)
      assert title =~ ~r/^#{node} +\d\d:\d\d:\d\d  every 0\.2 s, q quits$/
      assert verdict == "✗ 1 of 2 peers not connected"
      assert topology == ":app  1 of 2 peers connected"
      assert ["✓ nodes  " <> _, "✗ " <> first | _] = lines
      assert first =~ "#{nobody}"
      assert List.last(lines) =~ ~r/^● #{peer} +connected/
      # The cluster doesn't see who watches.
      assert Vm.eval(vm, "nodes()") == [peer]
      assert [hidden] = Vm.eval(vm, "nodes(hidden)")
      assert "#{hidden}" =~ ~r/^rpc-[0-9a-f]{4}-#{node}$/
      size(top, 6, 40)
      lines = await_picture(top, 6, 40, ~r/\A[^\n]{0,40}\n[^\n]{0,40}\n/)
      assert length(lines) == 6
      size(top, 40, 200)
      assert [title | _] = await_picture(top, 40, 200, ~r/\A#{node} {90,}/)
      assert String.length(title) == 200
      leave(top, "q", "0")
    end

    test "of a hundred peers, those in trouble" do
      %{node: node} = start_node(100)
      top = open(node, 24, 80)
      lines = await_picture(top, 24, 80, ~r/100 of 101 peers not connected/)
      assert length(lines) == 24
      assert Enum.count(lines, &(&1 =~ ~r/^✗ nobody-\d+@127.0.0.1  /)) > 10
      assert List.last(lines) =~ ~r/^  and \d\d more: .*, 1 connected$/
      leave(top, "\x03", "130")
    end

    test "the last picture stays while the node is away" do
      %{vm: vm, node: node, peer_name: peer} = start_node()
      top = open(node, 24, 80)
      await_picture(top, 24, 80, ~r/1 of 2 peers not connected/)
      Vm.kill_all([vm])
      lines = await_picture(top, 24, 80, ~r/this picture is \d+ s old: #{node} can't be\s+reached/)
      assert Enum.any?(lines, &(&1 =~ ~r/^● #{peer} +connected/))
      vm = Vm.start(["-name", "#{node}" | quiet()])
      await_picture(top, 24, 80, ~r/application :caravan is\s+not running/)
      Vm.start_topology(vm, :app, nodes: [peer])
      await_picture(top, 24, 80, ~r/✓ the only peer is connected/)
      leave(top, "\x04", "0")
    end
  end
end
