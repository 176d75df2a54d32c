defmodule Caravan.Nodes.KernelOptionsTest do
  # The other protocols are in protocols_test.exs.
  use ExUnit.Case, async: true
  alias Caravan.Vm

  @moduletag :nodes
  @moduletag timeout: 60_000
  setup do: Vm.no_epmd()

  for {what, flags} <- [
        "a visible node": [],
        "a hidden node": ~w(-hidden -caravan hidden_port own)
      ] do
    test "#{what} lets more connections wait than OTP would" do
      {_vm, _name, port} = Vm.start_node(unquote(flags))
      assert Vm.backlog(port) == Vm.granted(1_024)
    end
  end

  test "a backlog of the user's own is kept" do
    {vm, _name, port} = listen_options("[{backlog,77},{keepalive,true}]")
    assert Vm.backlog(port) == 77
    assert Vm.eval(vm, env()) == {:ok, backlog: 77, keepalive: true}
  end

  test "so are all other options, which come first" do
    {vm, _name, port} = listen_options("[{sndbuf,65536},{keepalive,true}]")
    assert Vm.backlog(port) == Vm.granted(1_024)
    assert Vm.eval(vm, env()) == {:ok, sndbuf: 65_536, keepalive: true, backlog: 1_024}
  end

  @tag :tmp_dir
  test "those of a configuration file, too", %{tmp_dir: dir} do
    file = Path.join(dir, "own.config")
    File.write!(file, "[{kernel, [{inet_dist_listen_options, [{backlog, 99}]}]}].")
    {_vm, _name, port} = Vm.start_node(["-config", file])
    assert Vm.backlog(port) == 99
  end

  test "distribution that is stopped and started again has it once" do
    [port] = Vm.free_ports(1)
    vm = Vm.start([])

    for _ <- 1..2 do
      assert {:ok, _} = Vm.eval(vm, "net_kernel:start(['app-#{port}@127.0.0.1', longnames])")
      assert Vm.backlog(port) == Vm.granted(1_024)
      assert Vm.eval(vm, env()) == {:ok, backlog: 1_024}
      assert Vm.eval(vm, "net_kernel:stop()") == :ok
    end
  end

  test "options that are no list are left to the kernel, which refuses them" do
    [port] = Vm.free_ports(1)
    args = ~w(-noinput -name app-#{port}@127.0.0.1 -kernel inet_dist_listen_options nonsense)
    assert {1, output} = Vm.run_to_exit(args)
    assert output =~ "inet_tcp"
    refute output =~ ~r/backlog/i
  end

  test "a handshake may take longer than OTP would let it, unless the user has set that" do
    {vm, _name, _port} = Vm.start_node([])
    assert Vm.eval(vm, "application:get_env(kernel, net_setuptime)") == {:ok, 30}
    {vm, _name, _port} = Vm.start_node(~w(-kernel net_setuptime 5))
    assert Vm.eval(vm, "application:get_env(kernel, net_setuptime)") == {:ok, 5}
  end

  # A node that accepts the connection, and is silent for longer than OTP's 7 s.
  test "a slow handshake is waited for" do
    {vm, _name, _port} = Vm.start_node([])
    {:ok, listener} = :gen_tcp.listen(0, ip: {127, 0, 0, 1}, active: false)
    {:ok, port} = :inet.port(listener)
    Vm.eval(vm, "spawn(fun() -> net_kernel:connect_node('slow-#{port}@127.0.0.1') end), ok")
    {:ok, socket} = :gen_tcp.accept(listener, 10_000)
    assert {:ok, _send_name} = :gen_tcp.recv(socket, 0, 10_000)
    assert :gen_tcp.recv(socket, 0, 9_000) == {:error, :timeout}
  end

  defp listen_options(options),
    do: Vm.start_node(["-kernel", "inet_dist_listen_options", options])

  defp env, do: "application:get_env(kernel, inet_dist_listen_options)"
end
