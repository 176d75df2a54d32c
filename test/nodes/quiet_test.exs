defmodule Caravan.Nodes.QuietTest do
  # What our dialing makes another node log. The lines there are counted.
  use ExUnit.Case, async: true
  alias Caravan.{Certificates, DnsServer, LogFile, Vm}

  @moduletag :nodes
  @moduletag :tmp_dir
  @moduletag timeout: 120_000
  setup do: Vm.no_epmd()

  setup %{tmp_dir: dir} do
    {peer, node, port} = Vm.start_node()
    server = DnsServer.start()
    {vm, _, own} = Vm.start_node(["-pa", Application.app_dir(:logger, "ebin")])
    DnsServer.publish(server, "app.test", [own, port], "127.0.0.1")
    options = [query: "app.test", nameservers: [server.address], poll_interval: 100]
    %{log: LogFile.start(peer, dir), node: node, vm: vm, options: options, server: server, port: port, own: own}
  end

  defp peer(vm, topology) do
    Vm.eval(vm, "[{maps:get(state, P), maps:get(error, P)} || P <- #{peers(topology)}, maps:get(state, P) =/= self]")
  end

  defp peers(topology), do: "maps:get(peers, maps:get(#{topology}, 'Elixir.Caravan':status()))"

  defp await_refused(vm, topology) do
    Vm.eventually("#{topology} is refused", fn -> match?([{:backing_off, _}], peer(vm, topology)) end)
    assert [{:backing_off, "the node there has that name, but another cookie" <> _}] = peer(vm, topology)
  end

  test "another cookie, whoever asks: one line", %{vm: vm, node: node, options: options} = context do
    Vm.eval(context.log.vm, "erlang:set_cookie(theirs)")
    Vm.start_topology(vm, :one, options)
    await_refused(vm, :one)
    assert [_rejected] = LogFile.lines(context.log)
    Vm.start_topology(vm, :two, options)
    await_refused(vm, :two)

    for _ <- 1..2, call <- ["check([])", "explain('#{node}', [])"] do
      findings = Vm.eval(vm, "'Elixir.Caravan.Doctor':#{call}")
      assert Enum.any?(findings, &(&1.kind == :other_cookie))
    end

    assert [_rejected] = LogFile.lines(context.log)
  end

  test "another cookie, and DNS that drops the node and lists it again: one line", %{vm: vm} = context do
    Vm.eval(context.log.vm, "erlang:set_cookie(theirs)")
    Vm.start_topology(vm, :one, [expire_after: 300] ++ context.options)
    await_refused(vm, :one)
    DnsServer.publish(context.server, "app.test", [context.own], "127.0.0.1")
    Vm.eventually("the peer is forgotten", fn -> peer(vm, :one) == [] end)
    DnsServer.publish(context.server, "app.test", [context.own, context.port], "127.0.0.1")
    await_refused(vm, :one)
    assert [_rejected] = LogFile.lines(context.log)

    # Who wishes it redials all the same, and is linked.
    Vm.eval(context.log.vm, "erlang:set_cookie(#{Vm.cookie()})")
    Vm.eval(vm, "'Elixir.Caravan':poll(one)")
    Vm.await(vm, "nodes()", [context.node])
    assert [_rejected] = LogFile.lines(context.log)
  end

  test "TLS there, and plain distribution here: nothing more after the first attempt",
       %{vm: vm, tmp_dir: dir} = context do
    args = Certificates.arguments(Path.join(dir, "tls"), Certificates.authority())
    {peer, _node, port} = Vm.start_node(["-proto_dist", "inet_tls" | args])
    log = LogFile.start(peer, dir)
    DnsServer.publish(context.server, "app.test", [context.own, port], "127.0.0.1")
    Vm.start_topology(vm, :one, context.options)
    Vm.eventually("it is refused", fn -> match?([{:backing_off, _}], peer(vm, :one)) end)
    assert [{:backing_off, "what listens there speaks TLS" <> _}] = peer(vm, :one)
    assert [next] = Vm.eval(vm, "[maps:get(next_dial, P) || P <- #{peers(:one)}, maps:get(state, P) =:= backing_off]")
    assert next > 500_000
    # The attempt itself, and the question who is there. TLS answers first, and logs then.
    Vm.eventually("both lines", fn -> length(LogFile.lines(log)) >= 2 end)
    assert [line, line_of_question] = LogFile.lines(log)
    assert line =~ "unsupported_record_type" and line_of_question =~ "unsupported_record_type"
  end

  test "another name: no line at all", %{vm: vm, server: server} = context do
    DnsServer.command(server, "remove app.test")
    DnsServer.command(server, "add app.test 1 SRV 0 10 #{context.port} peer.test")
    DnsServer.command(server, "add peer.test 1 A 127.0.0.1")
    Vm.start_topology(vm, :one, context.options)
    Vm.eventually("it is refused", fn -> match?([{:backing_off, _}], peer(vm, :one)) end)
    assert [{:backing_off, "the node there is named" <> _}] = peer(vm, :one)
    assert LogFile.lines(context.log) == []
  end
end
