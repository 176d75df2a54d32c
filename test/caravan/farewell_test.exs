defmodule Caravan.FarewellTest do
  # Draining, and whether this node is distributed, concern every topology of the node.
  use ExUnit.Case, async: false

  import ExUnit.CaptureLog
  alias Caravan.{DnsServer, FakeMesh, Topologies, Topology, Vm}

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

    spec = Map.merge(%{topology: :farewell, config: config}, FakeMesh.functions(mesh))
    :telemetry.listen(:farewell)
    %{spec: spec, mesh: mesh}
  end

  test "draining holds until the application starts again", context do
    topology = start_supervised!({Topology, context.spec})
    assert {:ok, [_]} = Caravan.await(:farewell)
    assert_receive {:dial, _, _}
    assert Caravan.drain() == :ok
    assert Caravan.drain() == :ok
    assert %{farewell: %{draining: true, peers: [%{state: :connected}]}} = Caravan.status()

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
    assert {:ok, [_]} = Caravan.await(:farewell)
    refute Caravan.status().farewell.draining
  end

  defp restarted_status do
    case Caravan.status() do
      %{farewell: status} -> status
      %{} -> restarted_status()
    end
  end

  test "stopping the application drains, and does not cut links", context do
    start_supervised!({Topology, context.spec})
    assert {:ok, nodes} = Caravan.await(:farewell)
    :ok = Application.stop(:caravan)
    assert FakeMesh.nodes(context.mesh) == nodes
    refute_received {:disconnect, _}
    stop_supervised!(Topology)
    :ok = Application.start(:caravan)
  end

  test "a topology outlives the application and its registry, and is one of theirs again",
       context do
    topology = start_supervised!({Topology, context.spec})
    assert {:ok, nodes} = Caravan.await(:farewell)

    [{_, partition, _, _}] = Supervisor.which_children(Caravan.Registry)
    Process.exit(partition, :kill)
    assert %{peers: [%{state: :connected}], draining: false} = enlisted_status()

    :ok = Application.stop(:caravan)
    :ok = Application.start(:caravan)
    assert %{peers: [%{state: :connected}], draining: false} = enlisted_status()
    assert Topologies.names() == [:farewell]
    assert Caravan.await(:farewell) == {:ok, nodes}
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
  defp enlisted_status do
    Vm.eventually("the topology is in the registry", fn -> status() end)
  end

  defp status do
    Caravan.status()[:farewell]
  rescue
    # There is no registry at the moment.
    Caravan.Error -> nil
  end

  test "telling nodes neither waits nor connects" do
    assert Caravan.Farewell.tell([:"nobody-4000@127.0.0.1", node()], :leaving) == :ok
    assert Node.list() == []
  end

  test "a node that isn't distributed waits until it is", context do
    name = node()
    :ok = :net_kernel.stop()

    log =
      capture_log(fn ->
        start_supervised!({Topology, context.spec})
        assert {:error, :timeout, status} = Caravan.await(:farewell, timeout: 250)
        assert [%{outcome: nil}] = status.queries
        refute_received {[:caravan, :lookup, _], _, _}
      end)

    assert [_, _] = String.split(log, "this node is not distributed")

    # Under another name than before, which changes the peers' names where node_sname isn't given.
    {:ok, _} =
      :net_kernel.start(:"later-4998@127.0.0.1", %{name_domain: :longnames, dist_listen: false})

    assert {:ok, [_]} = Caravan.await(:farewell)

    :ok = :net_kernel.stop()
    {:ok, _} = :net_kernel.start(name, %{name_domain: :longnames, dist_listen: false})
    assert {:ok, [_]} = Caravan.await(:farewell, stable_for: 200)
  end
end
