defmodule Caravan.Topology.DisconnectTest do
  # Who is disconnected where the option asks for it, and what keeps a peer: topologies of other tests would, too, since
  # they have peers of the same names.
  use Caravan.TopologyCase, async: false

  test "withdrawn peers are disconnected only where asked for", context do
    publish(context, 4001..4006)
    start(context, disconnect: [after: 300])
    assert {:ok, _} = Caravan.await(context.name, min: 6)
    publish(context, [4001])

    log =
      capture_log(fn ->
        gone =
          for _ <- 1..5 do
            assert_receive {:disconnect, node}, @wait
            await_event([:peer, :down], &(&1.node == node))
            node
          end

        assert Enum.sort(gone) == for(port <- 4002..4006, do: node_on(port))
      end)

    assert log =~ "disconnecting app-4002@localhost: DNS has not listed it for 300 ms"
    assert {:ok, [_]} = Caravan.await(context.name)
    refute_received {:disconnect, _}
  end

  test "a peer that can't be disconnected keeps none of the others", context do
    publish(context, 4001..4004)
    functions = FakeMesh.functions(context.mesh)
    stuck = %{functions | disconnect: {__MODULE__, :disconnect, [self()]}}

    log =
      capture_log(fn ->
        start(context, [disconnect: [after: 200]], stuck)
        assert {:ok, _} = Caravan.await(context.name, min: 4)
        publish(context, [4001])

        asked =
          for _ <- 1..6 do
            assert_receive {:asked, node}, @wait
            node
          end

        # On a busy machine a round may come before the last call has ended, and then makes none.
        assert Enum.sort(Enum.uniq(asked)) == for(port <- 4002..4004, do: node_on(port))
      end)

    assert log =~ "disconnecting app-4002@localhost"

    assert [_, _] = String.split(log, "[caravan #{context.name}] disconnecting app-4003@localhost")

    assert [_, why] =
             String.split(
               log,
               "[caravan #{context.name}] disconnect failed for app-4003@localhost"
             )

    assert why =~ "no such road"
  end

  def disconnect(test, node) do
    send(test, {:asked, node})
    raise "no such road"
  end

  test "a disconnect that hangs is one process for its peer, and is ended", context do
    publish(context, 4001..4002)
    functions = FakeMesh.functions(context.mesh)
    stuck = %{functions | disconnect: {__MODULE__, :hang, [self()]}}
    topology = start(context, [disconnect: [after: 200]], stuck)
    assert {:ok, _} = Caravan.await(context.name, min: 2)
    publish(context, [4001])
    assert_receive {:hangs, pid, node}, @wait
    monitor = Process.monitor(pid)
    drop_lookups()
    for _ <- 1..5, do: await_event([:lookup, :stop])
    refute_received {:hangs, _, _}

    [ref] = for {ref, {{:disconnect, ^node}, _}} <- :sys.get_state(topology).calls.pending, do: ref

    send(topology, {:overdue, ref})
    assert_receive {:DOWN, ^monitor, _, _, :killed}, @wait
    assert_receive {:hangs, again, ^node}, @wait
    monitor = Process.monitor(again)
    stop_supervised!(context.name)
    assert_receive {:DOWN, ^monitor, _, _, _}, @wait
  end

  def hang(test, node) do
    send(test, {:hangs, self(), node})
    Process.sleep(:infinity)
  end

  test "a peer that another topology stands behind isn't disconnected", context do
    other = :"other_#{context.name}"
    publish(context, 4001..4003)
    DnsServer.publish(context.server, "other.test", [4003, 4004])
    start(context, disconnect: [after: 200])
    start(%{context | name: other}, query: "other.test", expire_after: 300)
    assert {:ok, _} = Caravan.await(context.name, min: 3)
    assert {:ok, _} = Caravan.await(other, min: 2)

    publish(context, [4001])
    assert_receive {:disconnect, node}, @wait
    assert node == node_on(4002)
    drop_lookups()
    for _ <- 1..8, do: await_event([:lookup, :stop])
    refute_received {:disconnect, _}

    # Until that one doesn't any more.
    DnsServer.publish(context.server, "other.test", [4004])
    assert_receive {:disconnect, node}, @wait
    assert node == node_on(4003)
  end

  test "errors withdraw nobody", context do
    publish(context, [4001, 4002])
    start(context, disconnect: [after: 150], poll_interval: 50)
    assert {:ok, _} = Caravan.await(context.name, min: 2)
    DnsServer.command(context.server, "fault servfail")
    for _ <- 1..10, do: await_event([:lookup, :exception])
    refute_received {:disconnect, _}
    assert {:ok, [_, _]} = Caravan.await(context.name, min: 2)
  end

  test "incomplete answers withdraw nobody whose name they could not give", context do
    for {host, n} <- [{"a.test", 2}, {"b.test", 3}] do
      DnsServer.command(context.server, "add app.test 1 SRV 0 0 4001 #{host}")
      DnsServer.command(context.server, "add #{host} 1 A 127.0.0.#{n}")
    end

    DnsServer.command(context.server, "additional off")
    name = "{sname}-{port}@{ip}"
    start(context, node_name: name, disconnect: [after: 150], poll_interval: 50)
    assert {:ok, [_, _]} = Caravan.await(context.name, min: 2)

    DnsServer.command(context.server, "fault servfail for b.test")
    drop_lookups()
    for _ <- 1..10, do: await_event([:lookup, :stop])
    refute_received {:disconnect, _}
    assert [%{outcome: :ok, unresolved: ["b.test"], incomplete: why}] = status(context).queries
    assert why =~ ~s(looked up "b.test A") and why =~ "SERVFAIL"

    # That the host has no address is an answer.
    DnsServer.command(context.server, "fault nxdomain for b.test")
    assert_receive {:disconnect, :"app-4001@127.0.0.3"}, @wait
    assert [%{incomplete: nil, unresolved: ["b.test"]}] = status(context).queries
  end
end
