defmodule Caravan.Doctor.ThisNodeTest do
  # Verdicts on what no VM of a test can be, or would be slow to become.
  use ExUnit.Case, async: true
  alias Caravan.Doctor.ThisNode

  @flags "-start_epmd false -epmd_module caravan_epmd"

  @well %{
    role: :node,
    cookie: nil,
    library: :ok,
    node: "app-3434@host1.test",
    domain: :long,
    transport: :tcp,
    family: :inet,
    hidden?: false,
    epmd_module: :caravan_epmd,
    starts_epmd?: false,
    epmd?: false,
    port: {:ok, 3434},
    listen_port: nil,
    listens: [{{0, 0, 0, 0}, 3434}],
    holder: nil,
    host: "host1.test",
    literal: nil,
    known?: false,
    addresses: {:ok, [{{10, 0, 0, 1}, true}]},
    files: nil,
    topologies: [:app]
  }

  defp findings(facts), do: ThisNode.findings(Map.merge(@well, Map.new(facts)))
  defp wrong(facts), do: for(it <- findings(facts), it.verdict != :ok, do: {it.layer, it.verdict, it.kind})
  defp said(facts, layer), do: Enum.find(findings(facts), &(&1.layer == layer)).message

  test "all is well" do
    assert wrong(%{}) == []
    assert said(%{}, :host) == "host1.test is 10.0.0.1"
    assert said(%{transport: :tls, family: :inet6, domain: :short}, :distribution) == "short names, TLS over IPv6"
  end

  test "an epmd beside caravan_epmd, and another epmd module" do
    assert wrong(starts_epmd?: true) == [{:epmd_module, :warning, :epmd_started}]
    assert wrong(epmd_module: :erl_epmd) == [{:epmd_module, :fault, :no_epmd_module}]
    assert said([epmd_module: :erl_epmd, epmd?: true], :epmd_module) =~ "where nodes are (one runs here)"
    assert wrong(epmd_module: :other) == [{:epmd_module, :fault, :other_epmd_module}]
    assert said([epmd_module: :other], :epmd_module) =~ "-epmd_module is other, not caravan_epmd"
  end

  test "Mix is no node, and need not be one; a release's eval is none, but its user may take it for one" do
    tool = [role: :tool, node: nil, port: nil, host: nil, listens: [], topologies: :not_started]
    assert wrong(tool) == []
    eval = [files: {:release, {"vm.args", @flags}, {"remote.vm.args", @flags}, ""}] ++ tool
    assert wrong(eval) == [{:distribution, :warning, :eval}]

    assert wrong([role: :node] ++ List.keydelete(tool, :role, 0)) == [
             {:distribution, :fault, :not_distributed},
             {:topology, :warning, :not_started}
           ]
  end

  test "ports: a mapped one, none, a hidden node's, one that another process has" do
    mapped = [listen_port: 4000, listens: [{{0, 0, 0, 0}, 4000}], addresses: {:error, :nxdomain}]
    assert wrong(mapped) == []
    assert said(mapped, :port) == "4000; its peers dial 3434 (-caravan listen_port)"
    assert said([listens: []], :port) =~ "doesn't listen"
    assert said([hidden?: true, listens: [{{0, 0, 0, 0}, 40_000}]], :port) =~ "40000, which the system chose"
    assert said([hidden?: true], :port) == "3434, on which this node listens"

    elsewhere = [listens: [{{0, 0, 0, 0}, 40_000}], holder: {:process, "7", "nginx"}]
    assert wrong(elsewhere) == [{:port, :fault, :other_port}]

    assert said(elsewhere, :port) =~
             "listens on 40000, where its peers don't look for it; there listens the process 7 (nginx)"

    assert wrong(port: {:error, {:port_out_of_range, "no port"}}) == [{:port, :fault, :port_out_of_range}]
  end

  test "hosts" do
    assert wrong(addresses: {:error, :nxdomain}) == [{:host, :warning, :unresolved_host}]
    # A topology's DNS servers know it.
    assert wrong(addresses: {:error, :nxdomain}, known?: true) == []
    assert wrong(addresses: {:ok, [{{10, 0, 0, 2}, false}]}) == [{:host, :warning, :foreign_host}]
    assert said([addresses: {:ok, [{{10, 0, 0, 2}, false}]}], :host) =~ "host1.test (10.0.0.2) isn't an address of this"

    for host <- ["localhost", "localhost.localdomain", "a.localhost"],
        do: assert(wrong(host: host, node: "app-3434@#{host}") == [{:host, :warning, :loopback_host}])

    v6 = {0, 0, 0, 0, 0, 0, 0, 1}
    assert {:host, :fault, :other_family} in wrong(host: "::1", literal: v6, addresses: {:ok, [{v6, true}]})
    assert wrong(listens: [{{127, 0, 0, 1}, 3434}]) == [{:host, :fault, :bound_to_loopback}]
  end

  test "nobody looks for peers" do
    assert wrong(topologies: []) == [{:topology, :warning, :no_topology}]
    assert wrong(topologies: :not_started) == [{:topology, :warning, :not_started}]
  end
end
