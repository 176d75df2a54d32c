if ebin = System.get_env("LIBCLUSTER_EBIN"),
  do: Code.prepend_path(ebin),
  else: Code.require_file("../../support/cluster.exs", __DIR__)

defmodule Caravan.Cluster.DnsStrategyTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog
  alias Caravan.{DnsServer, FakeMesh}
  alias Caravan.Cluster.DnsStrategy

  @moduletag :capture_log

  setup do
    %{server: DnsServer.start(), mesh: FakeMesh.start_link()}
  end

  defp spec(context, query, config \\ []) do
    functions = FakeMesh.functions(context.mesh)

    [
      strategy: DnsStrategy,
      # Caravan 1.0's options, and where to ask.
      config:
        [query: query, node_sname: "app", poll_interval: 100] ++
          [nameservers: [context.server.address]] ++ config,
      connect: functions.connect,
      disconnect: functions.disconnect,
      list_nodes: functions.list_nodes
    ]
  end

  defp start(topologies) do
    start_supervised!(%{
      id: Cluster.Supervisor,
      start: {Cluster.Supervisor, :start_link, [[topologies, []]]}
    })
  end

  test "several topologies under Cluster.Supervisor, with functions of their own", context do
    DnsServer.publish(context.server, "one.test", [4001, 4002])
    DnsServer.publish(context.server, "two.test", [4002])

    start(
      strategy_one: spec(context, "one.test"),
      strategy_two: spec(context, "two.test", node_name: "{sname}-{port}@{host}")
    )

    assert {:ok, [a, b]} = Caravan.await(:strategy_one, min: 2)
    assert {a, b} == {:"app-4001@localhost", :"app-4002@localhost"}
    assert {:ok, [^b]} = Caravan.await(:strategy_two)
    assert_receive {:dial, ^a, _}
    assert Enum.sort(FakeMesh.nodes(context.mesh)) == [a, b]
  end

  test "a list of nodes instead of a query, as for the strategy Epmd", context do
    nodes = [:"app-4001@localhost", :"app-4002@localhost"]
    spec = spec(context, "unused.test")
    start(strategy_nodes: Keyword.put(spec, :config, nodes: nodes, poll_interval: 100))
    assert {:ok, ^nodes} = Caravan.await(:strategy_nodes, min: 2)
    assert Enum.sort(FakeMesh.nodes(context.mesh)) == nodes
  end

  test "the nodes of this machine instead of a query", context do
    # Asked for their names: nobody listens on the one port.
    spec = spec(context, "unused.test")
    start(strategy_local: Keyword.put(spec, :config, type: :local, local_ports: 1, poll_interval: 100))
    polled = fn -> match?(%{queries: [%{query: "local", outcome: :ok}]}, Caravan.status().strategy_local) end
    assert Caravan.Vm.eventually("a poll", polled)
  end

  test "the supervisor restarts it, and no connection is lost", context do
    DnsServer.publish(context.server, "app.test", [4001])
    :telemetry.listen(:strategy_again)
    supervisor = start(strategy_again: spec(context, "app.test"))
    assert {:ok, nodes} = Caravan.await(:strategy_again)
    assert_receive {[:caravan, :peer, :up], _, _}
    [{_, topology, _, _}] = Supervisor.which_children(supervisor)
    Process.exit(topology, :kill)
    assert_receive {[:caravan, :peer, :up], _, _}, 5_000
    assert {:ok, ^nodes} = Caravan.await(:strategy_again)
    refute_received {:disconnect, _}
  end

  test "functions of its own that fail for a while cost nothing", context do
    DnsServer.publish(context.server, "app.test", [4001])
    :telemetry.listen(:strategy_faults)
    supervisor = start(strategy_faults: spec(context, "app.test"))
    assert {:ok, nodes} = Caravan.await(:strategy_faults)
    [{_, topology, _, _}] = Supervisor.which_children(supervisor)

    log =
      capture_log(fn ->
        FakeMesh.listing(context.mesh, :raise)
        # With each one the topology has heard how the one before it ended.
        for _ <- 1..3, do: assert_receive(:listing_raises)
        assert {:ok, ^nodes} = Caravan.await(:strategy_faults)
        FakeMesh.listing(context.mesh, :list)
        DnsServer.publish(context.server, "app.test", [4001, 4002])
        assert {:ok, [_, _]} = Caravan.await(:strategy_faults, min: 2)
      end)

    assert Process.alive?(topology)
    assert [_, after_it] = String.split(log, "[caravan strategy_faults] list_nodes failed")
    assert after_it =~ "no such list"
  end

  test "a wrong option is an exception with a sentence", context do
    Process.flag(:trap_exit, true)
    topologies = [strategy_wrong: spec(context, "app.test", polling_interval: 1)]
    assert {:error, reason} = Cluster.Supervisor.start_link([topologies, []])
    assert inspect(reason) =~ "unknown option :polling_interval in topology :strategy_wrong"
  end

  test "child_spec/1", context do
    state = %{(spec(context, "q") |> Map.new()) | config: []} |> Map.put(:topology, :app)

    assert DnsStrategy.child_spec([state]) == %{
             id: {DnsStrategy, :app},
             start: {DnsStrategy, :start_link, [[state]]}
           }
  end
end
