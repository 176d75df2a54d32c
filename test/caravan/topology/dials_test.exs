defmodule Caravan.Topology.DialsTest do
  use Caravan.TopologyCase, async: true

  test "a member that is linked already isn't dialled", context do
    FakeMesh.link(context.mesh, node_on(4001))
    publish(context, [4001])
    start(context)
    assert {:ok, [_]} = Caravan.await(context.name)
    refute_received {:dial, _, _}
  end

  test "a list_nodes of its own decides who is connected, not Erlang's links", context do
    FakeMesh.answer(context.mesh, node_on(4002), :hang)
    publish(context, [4001, 4002])
    topology = start(context)
    assert {:ok, [_]} = Caravan.await(context.name)
    send(topology, {:nodedown, node_on(4001), nodedown_reason: :connection_closed})
    send(topology, {:nodeup, node_on(4002), []})
    assert [%{state: :connected}, %{state: :dialling}] = status(context).peers

    # They are a reason to ask it again.
    FakeMesh.link(context.mesh, node_on(4002))
    send(topology, {:nodeup, node_on(4002), []})
    await_event([:peer, :up], &(&1.node == node_on(4002)))
    assert [%{state: :connected}, %{state: :connected}] = status(context).peers
  end

  test "a list_nodes that hangs stops nothing, takes nobody away and is ended", context do
    publish(context, [4001])
    topology = start(context)
    assert {:ok, nodes} = Caravan.await(context.name)
    await_event([:peer, :up])

    log =
      capture_log(fn ->
        FakeMesh.listing(context.mesh, :hang)
        assert_receive {:listing_hangs, hanging}, @wait
        assert {ref, ^hanging} = listing(topology)
        monitor = Process.monitor(hanging)
        publish(context, [4001, 4002])
        assert {:ok, [_, _]} = Caravan.await(context.name, min: 2)
        assert listing(topology) == {ref, hanging}

        # Overdue, again and again.
        send(topology, {:overdue, ref})
        assert_receive {:DOWN, ^monitor, _, _, :killed}, @wait
        assert_receive {:listing_hangs, again}, @wait
        assert {ref, ^again} = listing(topology)
        send(topology, {:overdue, ref})
        for _ <- 1..3, do: await_event([:lookup, :stop])
        assert nodes -- Caravan.members(context.name) == []
        assert {:ok, [_, _]} = Caravan.await(context.name, min: 2, timeout: 0)
        refute_received {[:caravan, :peer, :down], _, _}
      end)

    assert [_, line] = String.split(log, "[caravan #{context.name}] list_nodes failed")
    assert line =~ "did not return within 5000 ms"
  end

  # The listing under way.
  defp listing(topology) do
    Enum.find_value(:sys.get_state(topology).calls.pending, fn
      {ref, {{:list, _asked}, call}} -> {ref, call.pid}
      _ -> nil
    end)
  end

  test "until list_nodes has answered first nobody is dialled, and if it fails all are",
       context do
    FakeMesh.listing(context.mesh, :hang)
    publish(context, [4001])
    topology = start(context)
    await_event([:member, :added])
    for _ <- 1..2, do: await_event([:lookup, :stop])
    refute_received {:dial, _, _}
    {ref, _} = listing(topology)
    send(topology, {:overdue, ref})
    assert {:ok, [_]} = Caravan.await(context.name)
  end

  test "later members join, and a lost peer is dialled again", context do
    publish(context, [4001])
    start(context)
    assert {:ok, [_]} = Caravan.await(context.name)
    publish(context, [4001, 4002])
    assert {:ok, [_, _]} = Caravan.await(context.name, min: 2)
    node = node_on(4002)
    assert_receive {:dial, ^node, _}
    FakeMesh.unlink(context.mesh, node)
    await_event([:peer, :down], &(&1.node == node))
    assert_receive {:dial, ^node, _}, @wait
    assert {:ok, [_, _]} = Caravan.await(context.name, min: 2)
  end

  test "a dial that hangs gives up its place after a moment, and ends with the topology",
       context do
    for port <- 4001..4003, do: FakeMesh.answer(context.mesh, node_on(port), :hang)
    publish(context, 4001..4004)
    start(context, dial_concurrency: 1)
    assert {:ok, [_]} = Caravan.await(context.name)

    diallers =
      for _ <- 1..3 do
        assert_receive {:dial, _, pid}, @wait
        pid
      end

    refs = Enum.map(diallers, &Process.monitor/1)
    stop_supervised!(context.name)
    for ref <- refs, do: assert_receive({:DOWN, ^ref, _, _, _}, @wait)
  end

  test "no more dials than four for each slot are under way, and as many slow ones", context do
    for port <- 4001..4010, do: FakeMesh.answer(context.mesh, node_on(port), :hang)
    publish(context, 4001..4010)
    start(context, dial_concurrency: 1)
    for _ <- 1..8, do: assert_receive({:dial, _, _}, @wait)
    await_event([:lookup, :stop])
    await_event([:lookup, :stop])
    refute_receive {:dial, _, _}, 600
    assert Enum.count(status(context).peers, &(&1.state == :dialling)) == 8
  end

  test "a dial that hangs is ended", context do
    FakeMesh.answer(context.mesh, node_on(4001), :hang)
    publish(context, [4001])
    topology = start(context)
    assert_receive {:dial, _, dialler}, @wait
    ref = Process.monitor(dialler)
    [dial] = Map.keys(:sys.get_state(topology).dialer.pending)
    send(topology, {:overdue, dial})
    assert_receive {:DOWN, ^ref, _, _, :killed}, @wait
    assert await_event([:peer, :dial_failed]).reason =~ "did not return within 45000 ms"
    assert_receive {:dial, _, _}, @wait
  end

  test "a peer that says good-bye isn't dialled", context do
    # The node leaves all topologies, those of the other tests too.
    node = node_on(4009)
    publish(context, [4009])
    start(context)
    assert {:ok, [^node]} = Caravan.await(context.name)
    assert_receive {:dial, ^node, _}
    send(:caravan, {:caravan, 1, :leaving, node})
    send(:caravan, {:caravan, 1, :something_newer, node})
    send(:caravan, {:caravan, 2, :staying, node})
    assert {:error, :timeout, %{peers: [%{state: :leaving}]}} = await_leaving(context)
    FakeMesh.unlink(context.mesh, node)
    await_event([:peer, :down])
    for _ <- 1..3, do: await_event([:lookup, :stop])
    refute_received {:dial, _, _}
    FakeMesh.link(context.mesh, node)
    assert {:ok, [^node]} = Caravan.await(context.name)
    refute_received {:dial, _, _}
  end

  test "a good-bye that comes before the dial's own end is not forgotten over that", context do
    node = node_on(4001)
    FakeMesh.answer(context.mesh, node, :hang)
    publish(context, [4001])
    topology = start(context)
    assert_receive {:dial, ^node, dialler}, @wait
    [ref] = Map.keys(:sys.get_state(topology).dialer.pending)

    FakeMesh.link(context.mesh, node)
    send(topology, {:nodeup, node, []})
    GenServer.cast(topology, {:leaving, node})
    send(topology, {:DOWN, ref, :process, dialler, {:shutdown, {:ok, true}}})
    assert %{state: :leaving} = peer(context, node)
  end

  # The good-bye passes through another process.
  defp await_leaving(context) do
    case Caravan.await(context.name, timeout: 0) do
      {:ok, _} -> await_leaving(context)
      late -> late
    end
  end

  test "a crash loses no connection, and the next life finds it", context do
    publish(context, [4001])
    topology = start(context)
    assert {:ok, [_]} = Caravan.await(context.name)
    await_event([:peer, :up])
    assert_receive {:dial, _, _}
    Process.exit(topology, :kill)
    await_event([:peer, :up])
    refute_received {:disconnect, _}
    refute_received {:dial, _, _}
  end

  test "a name of the other kind is refused, told once and never dialled", context do
    listener = hang_up_listener()
    {:ok, port} = :inet.port(listener)
    publish(context, [port])

    log =
      capture_log(fn ->
        start(context, [], %{})
        for _ <- 1..3, do: assert(%{reason: :short_name} = await_event([:member, :refused]))
      end)

    assert %{peers: [], refused: [%{reason: :short_name, count: 1}]} = status(context)
    assert [_] = told(log, context, "no dot, and this node uses long names (-name)")
    refute_received {[:caravan, :peer, _], _, _}
    :gen_tcp.close(listener)
  end

  test "what DNS calls this node otherwise is itself: in the status, told once, never dialled",
       context do
    DnsServer.command(context.server, "add app.test 1 SRV 0 10 4999 alias.test")
    DnsServer.command(context.server, "add alias.test 1 A 127.0.0.1")

    log =
      capture_log(fn ->
        start(context, [], %{})
        for _ <- 1..3, do: await_event([:lookup, :stop])
        assert %{members: 0, refused: [], peers: [itself]} = status(context)
        assert %{state: :self, error: error, next_dial: nil, state_age: time} = itself
        assert itself.node == node() and is_integer(time)
        assert error == "DNS lists this node as app-4999@alias.test"
      end)

    assert [line] = told(log, context, "the answer for app.test lists #{node()} as")
    assert line =~ "app-4999@alias.test" and line =~ "#{node()}"
    refute_received {[:caravan, :peer, _], _, _}

    # By its own name it is listed without a word.
    name = "caravan-{port}@{ip}"
    restart(context, node_name: name)
    await_event([:lookup, :stop])
    assert [%{state: :self, error: nil}] = status(context).peers
    DnsServer.publish(context.server, "app.test", [4998], "127.0.0.1")
    await_event([:member, :added], &(&1.node == :"caravan-4998@127.0.0.1"))
    assert [%{node: :"caravan-4998@127.0.0.1"}] = status(context).peers
  end

  # Other tests log at the same time.
  defp told(log, context, text) do
    for line <- String.split(log, "\n"),
        line =~ "[caravan #{context.name}]" and line =~ text,
        do: line
  end

  defp restart(context, options) do
    stop_supervised!(context.name)
    drop_lookups()
    start(context, options, %{})
  end

  # Hangs up when the other side does, and says nothing.
  defp hang_up_listener do
    {:ok, listener} = :gen_tcp.listen(0, ip: {127, 0, 0, 1}, active: true)
    spawn_link(fn -> accept(listener) end)
    listener
  end

  defp accept(listener) do
    case :gen_tcp.accept(listener) do
      {:ok, _hangs_up} -> accept(listener)
      {:error, :closed} -> :ok
    end
  end
end
