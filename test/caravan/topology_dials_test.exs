defmodule Caravan.TopologyDialsTest do
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
    assert [%{state: :connected}, %{state: :connected}] = status(context).peers
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

  test "a failing dial is logged once and backs off", context do
    node = node_on(4001)
    FakeMesh.answer(context.mesh, node, false)
    publish(context, [4001])

    log =
      capture_log(fn ->
        start(context)
        for _ <- 1..2, do: await_event([:peer, :dial_failed])
        assert %{state: :backing_off, attempts: 2, error: error} = peer(context, node)
        assert error =~ "answered false"
        FakeMesh.answer(context.mesh, node, true)
        assert {:ok, [^node]} = Caravan.await(context.name)
      end)

    assert [_, _] = String.split(log, "[caravan #{context.name}] can't connect to #{node}")
  end

  test "a dial that raises or answers nonsense is a failed dial", context do
    FakeMesh.answer(context.mesh, node_on(4001), :raise)
    FakeMesh.answer(context.mesh, node_on(4002), :nonsense)
    FakeMesh.answer(context.mesh, node_on(4003), :ignored)
    publish(context, [4001, 4002, 4003, 4004])
    topology = start(context)
    assert {:ok, [_]} = Caravan.await(context.name)

    for {port, sentence} <- [
          {4001, "no such road"},
          {4002, "answered :nonsense"},
          {4003, "not distributed"}
        ] do
      await_event([:peer, :dial_failed], &(&1.node == node_on(port) and &1.reason =~ sentence))
    end

    assert Process.alive?(topology)
  end

  test "dials that hang take no more than their places, and end with the topology", context do
    for port <- 4001..4004, do: FakeMesh.answer(context.mesh, node_on(port), :hang)
    publish(context, 4001..4004)
    start(context, dial_concurrency: 2)
    assert_receive {:dial, first, dialler}, @wait
    assert_receive {:dial, second, _}, @wait
    await_event([:lookup, :stop])
    await_event([:lookup, :stop])
    refute_received {:dial, _, _}
    dialling = for %{state: :dialling, node: node} <- status(context).peers, do: node
    assert Enum.sort([first, second]) == dialling

    ref = Process.monitor(dialler)
    stop_supervised!(context.name)
    assert_receive {:DOWN, ^ref, _, _, _}, @wait
  end

  test "draining ends dials and look-ups", context do
    publish(context, [4001])
    topology = start(context)
    assert {:ok, [_]} = Caravan.await(context.name)
    # Only this topology: all of them is another test's.
    :ok = GenServer.call(topology, :drain)
    assert status(context).draining
    drop_lookups()
    FakeMesh.unlink(context.mesh, node_on(4001))
    :ok = Caravan.poll(context.name)
    refute_receive {[:caravan, :lookup, :start], _, _}, 300
    refute_received {[:caravan, :peer, :down], _, _}
  end

  test "a peer that was being dialled isn't any more when draining has ended that", context do
    FakeMesh.answer(context.mesh, node_on(4001), :hang)
    publish(context, [4001])
    topology = start(context)
    assert_receive {:dial, node, dialler}, @wait
    ref = Process.monitor(dialler)
    :ok = GenServer.call(topology, :drain)
    assert_receive {:DOWN, ^ref, _, _, :killed}, @wait
    assert %{state: :idle, attempts: 0} = peer(context, node)
    refute_received {[:caravan, :peer, :dial_failed], _, _}
  end

  test "a dial that hangs is ended", context do
    FakeMesh.answer(context.mesh, node_on(4001), :hang)
    publish(context, [4001])
    topology = start(context)
    assert_receive {:dial, _, dialler}, @wait
    ref = Process.monitor(dialler)
    [dial] = Map.keys(:sys.get_state(topology).dials.pending)
    send(topology, {:overdue, dial})
    assert_receive {:DOWN, ^ref, _, _, :killed}, @wait
    assert await_event([:peer, :dial_failed]).reason =~ "did not return within 15000 ms"
    assert_receive {:dial, _, _}, @wait
  end

  test "a peer that says good-bye isn't dialled", context do
    # The node leaves all topologies, those of the other tests too.
    node = node_on(4009)
    publish(context, [4009])
    start(context)
    assert {:ok, [^node]} = Caravan.await(context.name)
    assert_receive {:dial, ^node, _}
    send(Caravan.Farewell, {Caravan.Farewell, :leaving, node})
    send(Caravan.Farewell, {Caravan.Farewell, :something_newer, node, 1})
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
    [ref] = Map.keys(:sys.get_state(topology).dials.pending)

    FakeMesh.link(context.mesh, node)
    send(topology, {:nodeup, node, []})
    GenServer.cast(topology, {:leaving, node})
    send(topology, {:DOWN, ref, :process, dialler, {:shutdown, {:answered, true}}})
    assert %{state: :leaving} = peer(context, node)
  end

  # The farewell passes through another process.
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

  test "with Erlang's own functions a peer is probed before it is dialled", context do
    listener = hang_up_listener()
    {:ok, open} = :inet.port(listener)
    {:ok, closed} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    {:ok, shut} = :inet.port(closed)
    :gen_tcp.close(closed)

    DnsServer.publish(context.server, "app.test", [open, shut], "127.0.0.1")
    start(context, [], %{})
    failures = for _ <- 1..2, do: await_event([:peer, :dial_failed])

    assert %{stage: :probe, reason: reason} =
             Enum.find(failures, &(&1.node == :"app-#{shut}@127.0.0.1"))

    assert reason =~ "#{shut}"
    # The other one takes the probe, and then no handshake.
    assert %{stage: :dial, reason: reason} =
             Enum.find(failures, &(&1.node == :"app-#{open}@127.0.0.1")) ||
               await_event([:peer, :dial_failed], &(&1.stage == :dial))

    assert reason =~ "the host answers on port #{open}, but the handshake failed"
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
    assert [_, _] = String.split(log, "no dot, and this node uses long names (-name)")
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
        assert %{state: :self, error: error, next_dial: nil, for: time} = itself
        assert itself.node == node() and is_integer(time)
        assert error == "DNS calls this node app-4999@alias.test"
      end)

    assert [_, line] = String.split(log, "the answer for app.test calls this node")
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
