defmodule Caravan.Nodes.ListedTest do
  use ExUnit.Case, async: true
  alias Caravan.Vm

  @moduletag :nodes
  @moduletag timeout: 120_000
  setup do: Vm.no_epmd()

  defp status(vm) do
    encoded = Vm.eval(vm, "term_to_binary(maps:get(app, 'Elixir.Caravan':status()))")
    :erlang.binary_to_term(encoded)
  end

  test "the nodes of a list are linked, and the missing one is tried again" do
    nodes = for port <- Vm.free_ports(3), do: :"app-#{port}@127.0.0.1"
    [first, second, third] = nodes
    logger = :logger |> :code.lib_dir() |> Path.join("ebin")
    start = &Vm.start(["-name", "#{&1}", "-pa", logger])
    [a, b] = for node <- [first, second], do: start.(node)
    for vm <- [a, b], do: Vm.start_topology(vm, :app, nodes: nodes, poll_interval: 200)
    Vm.await(a, "nodes()", [second])

    Vm.eventually("the missing one", fn ->
      peers = for peer <- status(a).peers, into: %{}, do: {peer.node, peer.state}
      peers == %{first => :self, second => :connected, third => :backing_off}
    end)

    assert [%{query: "nodes", outcome: :ok, transport: :given, endpoints: 3}] = status(a).queries
    start.(third)
    Vm.await(a, "lists:sort(nodes())", Enum.sort([second, third]))
  end
end
