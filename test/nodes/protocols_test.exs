defmodule Caravan.Nodes.ProtocolsTest do
  use ExUnit.Case, async: true
  alias Caravan.{Certificates, DnsServer, Vm}

  @moduletag :nodes
  @moduletag :tmp_dir
  @moduletag timeout: 90_000
  setup do: Vm.no_epmd()

  @v6 {0, 0, 0, 0, 0, 0, 0, 1}

  if match?({:error, _}, :gen_tcp.listen(0, [:inet6, ip: @v6])) do
    @no_v6 "this machine has no ::1"
  else
    @no_v6 false
  end

  @tag skip: @no_v6
  test "IPv6" do
    assert_connects("::1", @v6, ~w(-proto_dist inet6_tcp))
  end

  test "TLS, verified on both sides", %{tmp_dir: dir} do
    assert_connects("127.0.0.1", {127, 0, 0, 1}, ~w(-proto_dist inet_tls) ++ tls(dir))
  end

  @tag skip: @no_v6
  test "TLS over IPv6", %{tmp_dir: dir} do
    assert_connects("::1", @v6, ~w(-proto_dist inet6_tls) ++ tls(dir))
  end

  test "TLS refuses a certificate of another authority", %{tmp_dir: dir} do
    ours = ~w(-proto_dist inet_tls) ++ tls(Path.join(dir, "ours"))
    theirs = ~w(-proto_dist inet_tls) ++ tls(Path.join(dir, "theirs"))
    {_, name, _} = Vm.start_node(ours)
    {stranger, _, _} = Vm.start_node(theirs)
    assert Vm.eval(stranger, "net_kernel:connect_node('#{name}')") == false
  end

  test "over TLS, too, a node says at which of its addresses a peer reaches it", %{tmp_dir: dir} do
    logger = ["-pa", Application.app_dir(:logger, "ebin")]
    args = ~w(-proto_dist inet_tls) ++ tls(dir) ++ logger
    {a, _, _} = Vm.start_node(args, ip: {0, 0, 0, 0})
    {b, b_name, _} = Vm.start_node(args, ip: {0, 0, 0, 0})
    for vm <- [a, b], do: Vm.eval(vm, "{ok, _} = application:ensure_all_started(caravan), ok")
    assert Vm.eval(a, "net_kernel:connect_node('#{b_name}')")

    for vm <- [a, b] do
      links = "maps:values(maps:get(links, maps:get(known, sys:get_state(caravan))))"
      Vm.await(vm, "[maps:get(said, Link) || Link <- #{links}]", [[{127, 0, 0, 1}]])
    end
  end

  test "a node that speaks TLS is told which one doesn't, however long that takes", %{
    tmp_dir: dir
  } do
    # A plain node waits for the rest of what it takes for a long message.
    {_, _, port} = Vm.start_node(~w(-kernel net_setuptime 3))
    server = DnsServer.start()
    DnsServer.publish(server, "app.test", [port], "127.0.0.1")
    logger = ["-pa", Application.app_dir(:logger, "ebin")]
    {vm, _, _} = Vm.start_node(~w(-proto_dist inet_tls) ++ tls(dir) ++ logger)
    Vm.start_topology(vm, :app, query: "app.test", nameservers: [server.address])

    peers = "maps:get(peers, maps:get(app, 'Elixir.Caravan':status()))"
    Vm.await(vm, "[maps:get(state, P) || P <- #{peers}]", [:backing_off])
    assert [error] = Vm.eval(vm, "[maps:get(error, P) || P <- #{peers}]")
    assert error =~ "the node there uses plain distribution and this one TLS"
  end

  defp assert_connects(host, ip, args) do
    [a_port, b_port] = Vm.free_ports(2)
    a = Vm.start(["-name", "app-#{a_port}@#{host}" | args], ip: ip)
    b = Vm.start(["-name", "app-#{b_port}@#{host}" | args], ip: ip)
    assert Vm.listening?(a_port, ip) and Vm.listening?(b_port, ip)
    assert Vm.backlog(a_port) == Vm.granted(1_024)
    # A node hangs up on the probe that comes before a dial.
    probe = make_ref()
    _ = Caravan.Native.probe(probe, "app-#{b_port}@#{host}", 10_000, :dial)
    assert_receive {^probe, :ok}, 15_000
    assert Vm.eval(a, "net_kernel:connect_node('app-#{b_port}@#{host}')") == true
    Vm.await(b, "nodes()", [:"app-#{a_port}@#{host}"])
  end

  # One certificate that both sides show and check, made by an authority of this test's own.
  defp tls(dir), do: Certificates.arguments(dir, Certificates.authority())
end
