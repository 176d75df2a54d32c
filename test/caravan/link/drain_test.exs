defmodule Caravan.Link.DrainTest do
  # Draining, and whether this node is distributed, concern every topology of the node.
  use ExUnit.Case, async: false

  import ExUnit.CaptureLog
  alias Caravan.{DnsServer, FakeMesh, Topology, Vm}
  alias Caravan.Link.Drain
  alias Caravan.Topology.Registry

  @moduletag :capture_log

  setup do
    server = DnsServer.start()
    mesh = FakeMesh.start_link()
    DnsServer.publish(server, "app.test", [4001])

    config = [
      query: "app.test",
      node_sname: "app",
      nameservers: [server.address],
      poll_interval: 100
    ]

    spec = Map.merge(%{topology: :draining_test, config: config}, FakeMesh.functions(mesh))
    :telemetry.listen(:draining_test)
    on_exit(&Drain.stay/0)
    %{server: server, spec: spec, mesh: mesh}
  end

  test "draining holds until the application starts again", context do
    topology = start_supervised!({Topology, context.spec})
    assert {:ok, [_]} = Caravan.await(:draining_test)
    assert_receive {:dial, _, _}
    assert Caravan.drain() == :ok
    assert Caravan.drain() == :ok
    assert %{draining_test: %{draining: true, peers: [%{state: :connected}]}} = Caravan.status()

    # Also over a crash of the topology.
    ref = Process.monitor(topology)
    Process.exit(topology, :kill)
    assert_receive {:DOWN, ^ref, _, _, _}
    assert %{draining: true, members: 0} = restarted_status()
    refute_receive {:dial, _, _}, 200

    stop_supervised!(Topology)
    :ok = Application.stop(:caravan)
    :ok = Application.start(:caravan)
    start_supervised!({Topology, context.spec})
    assert {:ok, [_]} = Caravan.await(:draining_test)
    refute Caravan.status().draining_test.draining
  end

  test "draining ends dials and look-ups", context do
    start_supervised!({Topology, context.spec})
    assert {:ok, [node]} = Caravan.await(:draining_test)
    assert Caravan.drain() == :ok
    assert Caravan.status().draining_test.draining
    drop_events()
    FakeMesh.unlink(context.mesh, node)
    :ok = Caravan.poll(:draining_test)
    refute_receive {[:caravan, :lookup, :start], _, _}, 300
    refute_received {[:caravan, :peer, :down], _, _}
  end

  test "a peer that was being dialled isn't any more when draining has ended that", context do
    FakeMesh.answer(context.mesh, :"app-4001@localhost", :hang)
    start_supervised!({Topology, context.spec})
    assert_receive {:dial, node, dialler}, 5_000
    ref = Process.monitor(dialler)
    assert Caravan.drain() == :ok
    assert_receive {:DOWN, ^ref, _, _, :killed}, 5_000

    assert %{peers: [%{node: ^node, state: :idle, attempts: 0}]} = Caravan.status().draining_test
    refute_received {[:caravan, :peer, :dial_failed], _, _}
  end

  test "draining outlives whatever crashes", context do
    start_supervised!({Topology, context.spec})
    assert {:ok, [node]} = Caravan.await(:draining_test)
    assert Caravan.drain() == :ok
    kill(Process.whereis(:caravan))
    Vm.eventually("the process is there again", fn -> Process.whereis(:caravan) end)
    assert Drain.draining?()
    assert Caravan.status().draining_test.draining

    FakeMesh.unlink(context.mesh, node)
    [{_, partition, _, _}] = Supervisor.which_children(Registry)
    kill(partition)
    assert %{draining: true} = registered_status()
    drop_events()
    refute_receive {[:caravan, :lookup, :start], _, _}, 300

    # And ends for all of them when the application is started again.
    :ok = Application.stop(:caravan)
    assert Drain.draining?()
    :ok = Application.start(:caravan)
    assert %{draining: false} = registered_status()
    assert_receive {:dial, ^node, _}, 5_000
  end

  test "a topology drains by itself, whether or not it was told", context do
    start_supervised!({Topology, context.spec})
    assert {:ok, [_]} = Caravan.await(:draining_test)
    :ok = Drain.leave()
    :ok = Caravan.poll(:draining_test)
    assert Caravan.status().draining_test.draining
    drop_events()
    refute_receive {[:caravan, :lookup, :start], _, _}, 300
  end

  defp kill(pid) do
    ref = Process.monitor(pid)
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^ref, _, _, _}
  end

  defp restarted_status do
    case Caravan.status() do
      %{draining_test: status} -> status
      %{} -> restarted_status()
    end
  end

  test "stopping the application drains, and does not cut links", context do
    start_supervised!({Topology, context.spec})
    assert {:ok, nodes} = Caravan.await(:draining_test)
    :ok = Application.stop(:caravan)
    assert FakeMesh.nodes(context.mesh) == nodes
    refute_received {:disconnect, _}
    stop_supervised!(Topology)
    :ok = Application.start(:caravan)
  end

  test "a topology outlives the application and its registry, and is one of theirs again",
       context do
    topology = start_supervised!({Topology, context.spec})
    assert {:ok, nodes} = Caravan.await(:draining_test)

    [{_, partition, _, _}] = Supervisor.which_children(Registry)
    Process.exit(partition, :kill)
    assert %{peers: [%{state: :connected}], draining: false} = registered_status()

    :ok = Application.stop(:caravan)
    :ok = Application.start(:caravan)
    assert %{peers: [%{state: :connected}], draining: false} = registered_status()
    assert Registry.names() == [:draining_test]
    assert Caravan.await(:draining_test) == {:ok, nodes}
    assert Process.alive?(topology)

    # It looks up again, too.
    drop_events()
    assert_receive {[:caravan, :lookup, :stop], _, _}, 5_000
  end

  defp drop_events do
    receive do
      {[:caravan | _], _, _} -> drop_events()
    after
      0 -> :ok
    end
  end

  # Nothing tells when a topology is in the registry.
  defp registered_status do
    Vm.eventually("the topology is in the registry", fn -> status() end)
  end

  defp status do
    Caravan.status()[:draining_test]
  rescue
    # There is no registry at the moment.
    Caravan.Error -> nil
  end

  test "telling nodes neither waits nor connects" do
    assert Caravan.Link.Messages.tell([:"nobody-4000@127.0.0.1", node()], :leaving) == :ok
    assert Node.list() == []
  end

  test "a node that isn't distributed waits until it is", context do
    name = node()
    :ok = :net_kernel.stop()

    log =
      capture_log(fn ->
        start_supervised!({Topology, context.spec})
        assert {:error, :timeout, status} = Caravan.await(:draining_test, timeout: 250)
        assert [%{outcome: nil}] = status.queries
        refute_received {[:caravan, :lookup, _], _, _}
      end)

    assert [_, _] = String.split(log, "this node is not distributed")

    # Under another name than before, which changes the peers' names where node_sname isn't given.
    {:ok, _} = :net_kernel.start(:"later-4998@127.0.0.1", %{name_domain: :longnames, dist_listen: false})

    assert {:ok, [_]} = Caravan.await(:draining_test)

    :ok = :net_kernel.stop()
    {:ok, _} = :net_kernel.start(name, %{name_domain: :longnames, dist_listen: false})
    assert {:ok, [_]} = Caravan.await(:draining_test, stable_for: 200)
  end
end
