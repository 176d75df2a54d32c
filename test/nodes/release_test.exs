defmodule Caravan.Nodes.ReleaseTest do
  use ExUnit.Case, async: true
  alias Caravan.{DnsServer, ReleaseApp, Terminal, Vm}

  @moduletag :releases
  @moduletag timeout: 300_000
  # Each look at a release starts a VM, which takes a busy machine seconds.
  @patience 60_000
  setup do: Vm.no_epmd()

  # One build for all tests: it takes longer than they do.
  setup_all do
    dir = Vm.tmp_path("release")
    File.rm_rf!(dir)
    File.mkdir_p!(dir)

    on_exit(fn ->
      Vm.kill_within(dir)
      File.rm_rf!(dir)
    end)

    %{dir: dir, bin: ReleaseApp.build(dir)}
  end

  setup %{bin: bin, dir: dir} do
    server = DnsServer.start()
    ports = Vm.free_ports(2)
    DnsServer.publish(server, "tiny.test", ports, "here.test")
    [a, b] = for port <- ports, do: ReleaseApp.instance(bin, dir, port, server.address)
    on_exit(fn -> Vm.kill_within(dir) end)
    %{a: a, b: b, ports: ports, server: server}
  end

  test "daemon: two nodes on one host form a cluster, restart and stop", %{a: a, b: b} do
    Enum.each([a, b], &daemon/1)
    joined(a, b)
    joined(b, a)
    # Embedded mode, so that this is what production does.
    assert ReleaseApp.rpc(a, ":code.get_mode()") == ":embedded"

    assert {0, pid} = ReleaseApp.run(a, ["pid"])
    assert ReleaseApp.rpc(a, "System.pid()") == inspect(String.trim(pid))

    # A restart keeps the OS process and forgets the environment.
    ReleaseApp.rpc(a, "Application.put_env(:tiny, :mark, 1)")
    assert {0, _} = ReleaseApp.run(a, ["restart"])

    forgotten? = fn -> ReleaseApp.rpc(a, "Application.get_env(:tiny, :mark)") == "nil" end
    Vm.eventually("it is up again", forgotten?, @patience)

    assert {0, ^pid} = ReleaseApp.run(a, ["pid"])
    joined(a, b)
    joined(b, a)

    for app <- [a, b] do
      {0, pid} = ReleaseApp.run(app, ["pid"])
      assert {0, _} = ReleaseApp.run(app, ["stop"])
      Vm.eventually("it has ended", fn -> not alive?(String.trim(pid)) end)
    end
  end

  test "the report of a look-up", %{a: a} do
    daemon(a)
    server = inspect(List.keyfind!(a.env, "TINY_NAMESERVER", 0) |> elem(1))
    report = &ReleaseApp.run(a, ["rpc", "Caravan.report(#{&1}, nameservers: [#{server}])"])
    assert {0, output} = report.(~s("tiny.test"))
    assert output =~ "2 endpoints for tiny.test from " and output =~ ~r/^here\.test +\d+ +0 +10 /m
    assert {0, output} = report.(~s("nope.test"))
    assert [sentence] = String.split(output, "\n", trim: true)
    assert sentence =~ ~s(looked up "nope.test SRV" at ) and sentence =~ "NXDOMAIN"
  end

  test "the doctor: flags that were forgotten for the release's commands", %{a: a, b: b, dir: dir} do
    # The node is told of a file that the commands here don't use, or they would start an epmd.
    forgotten = Path.join(dir, "forgotten.vm.args")
    File.write!(forgotten, "# -epmd_module caravan_epmd\n-start_epmd false\n")
    daemon(a, [{"RELEASE_REMOTE_VM_ARGS", forgotten}])
    daemon(b)
    joined(a, b)
    assert {0, output} = ReleaseApp.run(a, ["rpc", "Caravan.doctor()"])
    assert output =~ ~r/^Node #{a.node}: Caravan \d/
    assert output =~ ~r/^  ok       epmd module   caravan_epmd$/m
    assert output =~ ~r/^  FAULT    flags         #{forgotten} lacks -epmd_module caravan_epmd: rpc, remote, stop/m
    assert output =~ ~r/^Topology :tiny, query tiny.test$/m
    assert output =~ ~r/^1 fault, 1 warning\.$/m

    # The commands themselves could not tell, since they would not reach the node.
    {"RELEASE_TMP", tmp} = List.keyfind!(a.env, "RELEASE_TMP", 0)
    log = File.read!(Path.join(tmp, "log/erlang.log.1"))
    assert [_, _] = String.split(log, "[warning] [caravan] #{forgotten} lacks -epmd_module caravan_epmd")

    assert {0, output} = ReleaseApp.run(b, ["rpc", ~s|Caravan.explain("#{a.node}")|])
    assert output =~ ~r/^  ok       handshake     this node is connected to it$/m

    flags = "for %{layer: :flags} = it <- Caravan.Doctor.check(), do: IO.puts(it.message)"
    assert {0, files} = ReleaseApp.run(b, ["rpc", flags])
    assert files =~ ~r[releases/0.1.0/vm.args and remote.vm.args have the flags, and the same$]m

    # Where there is no node, others are asked all the same.
    for code <- ["Caravan.doctor()", ~s|Caravan.explain("#{a.node}")|] do
      assert {0, output} = ReleaseApp.run(b, ["eval", code])
      assert output =~ "WARNING  distribution  eval starts no node, so this is what shows from outside"
      assert output =~ "-> ask the node that runs: bin/app rpc 'Caravan.doctor()'"
      refute output =~ "FAULT    distribution"
      if code =~ "explain", do: assert(output =~ ~r/^  ok       handshake     .*#{a.node}/m)
    end

    for app <- [a, b], do: assert({0, _} = ReleaseApp.run(app, ["stop"]))
  end

  test "eval, where nothing is started", %{a: a} do
    code = ~S|IO.inspect(Caravan.dist_port("tiny-3434"))|
    assert {0, "{:ok, 3434}\n"} = ReleaseApp.run(a, ["eval", code])
    code = "Caravan.status()"
    assert {1, output} = ReleaseApp.run(a, ["eval", code])
    assert output =~ "(Caravan.Error) the application :caravan is not running on this node"
  end

  test "start: two nodes in the foreground form a cluster and end on SIGTERM",
       %{a: a, b: b, ports: ports} do
    vms = Enum.map([a, b], &ReleaseApp.start/1)
    assert Enum.all?(ports, &Vm.listening?/1)

    for {app, other} <- [{a, b}, {b, a}] do
      await = "Caravan.await(:tiny, min: 1, timeout: 20_000)"
      assert ReleaseApp.rpc(app, await) == "{:ok, [:\"#{other.node}\"]}"
    end

    for vm <- vms, do: assert({0, _} = Vm.terminate(vm))
    refute Enum.any?(ports, &Vm.listening?/1)
  end

  test "with connect_all off it picks whom to be linked with, and else doesn't start", %{
    a: a,
    b: b
  } do
    bounded = &%{&1 | env: [{"TINY_LINKS", "2"} | &1.env]}
    assert {status, output} = ReleaseApp.run(bounded.(a), ["start"])
    assert status != 0
    assert output =~ "[links: 2] needs the kernel's connect_all to be off"

    # As a line of vm.args.
    off = &%{bounded.(&1) | env: [{"ELIXIR_ERL_OPTIONS", "-connect_all false"} | bounded.(&1).env]}

    vms = Enum.map([off.(a), off.(b)], &ReleaseApp.start/1)

    for {app, other} <- [{a, b}, {b, a}] do
      await = "Caravan.await(:tiny, min: 1, timeout: 20_000)"
      assert ReleaseApp.rpc(app, await) == "{:ok, [:\"#{other.node}\"]}"
      counts = "Caravan.status()[:tiny] |> Map.take([:picks, :spares, :links])"
      assert ReleaseApp.rpc(app, counts) == "%{links: 1, picks: 1, spares: 0}"
    end

    for vm <- vms, do: assert({0, _} = Vm.terminate(vm))
  end

  @terminal if System.find_executable("script"),
              do: [],
              else: [skip: "needs script, of util-linux"]

  @tag @terminal
  test "remote", %{a: a} do
    daemon(a)

    Terminal.in_shell(
      "#{a.bin} remote",
      ~s|IO.puts("this is " <> to_string(node()))\r|,
      "this is #{a.node}",
      env: a.env
    )
  end

  @tag @terminal
  test "iex -S mix, without a release", %{dir: dir, ports: [port | _], server: server} do
    {command, env} = ReleaseApp.iex(dir, port, server.address)

    Terminal.in_shell(
      command,
      ~s|IO.puts("this is " <> to_string(node()))\r|,
      "this is tiny-#{port}@127.0.0.1",
      cd: dir,
      env: env,
      meanwhile: fn -> assert Vm.listening?(port) end
    )

    Vm.eventually("it ends with its terminal", fn -> not Vm.listening?(port) end)
  end

  defp daemon(app, env \\ []) do
    assert {0, _} = ReleaseApp.run(%{app | env: app.env ++ env}, ["daemon"])
    up? = fn -> match?({0, _}, ReleaseApp.run(app, ["pid"])) end
    Vm.eventually("#{app.node} is up", up?, @patience)
  end

  defp joined(app, other) do
    joined? = fn -> ReleaseApp.rpc(app, "Node.list()") == "[:\"#{other.node}\"]" end
    Vm.eventually("#{app.node} has joined #{other.node}", joined?, @patience)
  end

  defp alive?(pid), do: match?({_, 0}, System.cmd("kill", ["-0", pid], stderr_to_stdout: true))
end
