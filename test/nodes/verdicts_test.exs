defmodule Caravan.Nodes.VerdictsTest do
  # What a topology's last error says of a real node that can't be linked, and what that node logs of it.
  use ExUnit.Case, async: true
  alias Caravan.{Certificates, DnsServer, LogFile, Vm}

  @moduletag :nodes
  @moduletag :tmp_dir
  @moduletag timeout: 120_000

  setup do: Vm.no_epmd()

  test "another cookie is known from one attempt, which is one line there", %{tmp_dir: dir} do
    {peer, node, port} = Vm.start_node(["-setcookie", "theirs"])
    log = LogFile.start(peer, dir)
    vm = dialling(port)
    assert error(vm, node) =~ "has that name, but another cookie than this node"
    assert [_rejected] = LogFile.lines(log, "Invalid challenge reply")

    # It is spared the next attempt, and so is who asks on demand.
    assert next_dial(vm, node) > 500_000
    assert asked(vm, node, "[{cookie, erlang:get_cookie()}]") == :other_cookie
    assert [_rejected] = LogFile.lines(log, "Invalid challenge reply")
  end

  test "a node that allows only others is not asked, since it would log that, too", %{tmp_dir: dir} do
    {peer, node, port} = Vm.start_node()
    log = LogFile.start(peer, dir)
    assert Vm.eval(peer, "net_kernel:allow(['other@127.0.0.1'])") == :ok
    vm = dialling(port)
    assert error(vm, node) =~ "allows only certain nodes (net_kernel:allow/1)"
    # It is told first, and logs then.
    Vm.eventually("it logs that", fn -> LogFile.lines(log, "disallowed node") != [] end)
    assert [_rejected] = LogFile.lines(log, "disallowed node")
    assert next_dial(vm, node) > 500_000
  end

  test "a node of another name, and one that is connected under it already" do
    {_peer, node, port} = Vm.start_node()
    dialled = :"app-#{port}@peer.test"
    server = DnsServer.start()
    DnsServer.command(server, "add app.test 1 SRV 0 10 #{port} peer.test")
    DnsServer.command(server, "add peer.test 1 A 127.0.0.1")

    vm = dialling(server, [])
    error = error(vm, dialled)
    assert error =~ "the node there is named #{node}, not #{dialled}"
    assert error =~ "start it with the host peer.test in its name, or have the topology look for 127.0.0.1"

    connected = dialling(server, [], "true = net_kernel:connect_node('#{node}')")
    assert error(connected, dialled) =~ "connected to the node there already, under its name #{node}"
  end

  test "a node that speaks TLS where plain distribution was expected", %{tmp_dir: dir} do
    {_peer, node, port} = Vm.start_node(tls(dir, Certificates.authority()))
    assert error(dialling(port), node) =~ "speaks TLS, and this node uses plain distribution"
  end

  test "a suspended node" do
    {peer, node, port} = Vm.start_node()
    {:os_pid, pid} = Port.info(peer.port, :os_pid)
    {_, 0} = System.cmd("kill", ["-STOP", "#{pid}"])
    vm = dialling(port, ["-kernel", "net_setuptime", "2"])
    assert error(vm, node) =~ "it is suspended or hung"
    {_, 0} = System.cmd("kill", ["-CONT", "#{pid}"])
    Vm.await(vm, "nodes()", [node])
  end

  # Who has what certificate, whether it is the node that dials or the other, and what the one that dials says.
  @past {{2020, 1, 1}, {2021, 1, 1}}
  @certificates [
    {"an expired one", :peer, [validity: @past], "this node rejects the certificate of the node there: it has expired"},
    {"an expired one", :own, [validity: @past], "the node there rejects this node's certificate: it has expired"},
    {"one of an unknown authority", :peer, [by: :stranger],
     "this node rejects the certificate of the node there: no authority in this node's cacertfile has signed it"},
    {"one of an unknown authority", :own, [by: :stranger],
     "the node there rejects this node's certificate: no authority in that node's cacertfile has signed it"},
    {"one for another host", :peer, [names: [dNSName: ~c"elsewhere.test"]],
     "the node there: 127.0.0.1 is not among the names in it"}
  ]

  for version <- [:"tlsv1.2", :"tlsv1.3"], {what, whose, opts, sentence} <- @certificates do
    test "#{version}: #{what}, #{whose}", %{tmp_dir: dir} do
      trusted = Certificates.authority()
      opts = [trusts: trusted, options: [versions: [unquote(version)]]] ++ unquote(Macro.escape(opts))
      by = if opts[:by] == :stranger, do: Certificates.authority(), else: trusted
      good = Keyword.take(opts, [:options])

      [peer, own] =
        case unquote(whose) do
          :peer -> [tls(Path.join(dir, "peer"), by, opts), tls(Path.join(dir, "own"), trusted, good)]
          :own -> [tls(Path.join(dir, "peer"), trusted, good), tls(Path.join(dir, "own"), by, opts)]
        end

      {_peer, node, port} = Vm.start_node(peer)
      vm = dialling(port, own)
      assert error(vm, node) =~ unquote(sentence)
      assert next_dial(vm, node) > 500_000
    end
  end

  test "over TLS: another cookie, another name, no version in common", %{tmp_dir: dir} do
    authority = Certificates.authority()
    args = tls(dir, authority)
    {peer, node, port} = Vm.start_node(args ++ ["-setcookie", "theirs"])
    log = LogFile.start(peer, dir)
    vm = dialling(port, args)
    assert error(vm, node) =~ "another cookie than this node"
    assert next_dial(vm, node) > 500_000
    assert [_rejected] = LogFile.lines(log, "Invalid challenge reply")
    # Who asks without TLS is logged.
    assert LogFile.lines(log, "TLS") == []

    [port] = Vm.free_ports(1)
    _peer = Vm.start(["-name", "app-#{port}@10.0.0.5" | args])
    assert error(dialling(port, args), :"app-#{port}@127.0.0.1") =~ "the node there is named app-#{port}@10.0.0.5"

    [old, new] = for v <- [:"tlsv1.2", :"tlsv1.3"], do: tls(Path.join(dir, "#{v}"), authority, options: [versions: [v]])
    {_peer, node, port} = Vm.start_node(old)
    assert error(dialling(port, new), node) =~ "no version of TLS in common"
  end

  defp tls(dir, authority, opts \\ []),
    do: ["-proto_dist", "inet_tls" | Certificates.arguments(dir, authority, opts)]

  # A node with a topology that finds the peer on this port, or what this DNS server says.
  defp dialling(where, args \\ [], first \\ "ok")

  defp dialling(port, args, first) when is_integer(port) do
    server = DnsServer.start()
    DnsServer.publish(server, "app.test", [port], "127.0.0.1")
    dialling(server, args, first)
  end

  defp dialling(server, args, first) do
    logger = :logger |> :code.lib_dir() |> Path.join("ebin")
    {vm, _, _} = Vm.start_node(args ++ ["-pa", logger])
    Vm.eval(vm, first)
    Vm.start_topology(vm, :app, query: "app.test", nameservers: [server.address])
    vm
  end

  # On a slow machine the first handshake may time out, and the node tries again.
  defp error(vm, node) do
    told =
      "[E || #{peer(node)}, E <- [maps:get(error, P)], is_binary(E), string:find(E, <<\"timed out\">>) =:= nomatch]"

    Vm.await(vm, "length(#{told})", 1)
    [error] = Vm.eval(vm, told)
    error
  end

  defp next_dial(vm, node) do
    [ms] = Vm.eval(vm, "[maps:get(next_dial, P) || #{peer(node)}]")
    ms
  end

  defp peer(node),
    do: "P <- maps:get(peers, maps:get(app, 'Elixir.Caravan':status())), maps:get(node, P) =:= '#{node}'"

  defp asked(vm, node, options),
    do: Vm.eval(vm, "{ok, It} = 'Elixir.Caravan.Handshake':ask('#{node}', #{options}), maps:get(verdict, It)")
end
