defmodule Caravan.Nodes.DoctorSourcesTest do
  # The doctor where the names of nodes don't come from DNS.
  use ExUnit.Case, async: true
  import Caravan.DoctorSteps
  alias Caravan.Vm

  @moduletag :nodes
  setup do: Vm.no_epmd()

  test "nodes in a list: who is there, and who isn't" do
    {vm, own, _} = Vm.start_node()
    {_, other, _} = Vm.start_node()
    [free] = Vm.free_ports(1)
    findings = check(vm, nodes: [own, other, :"app-#{free}@127.0.0.1"])

    assert Enum.any?(
             findings,
             &(&1.layer == :dns and &1.message =~ "nodes in the option :nodes: " and &1.message =~ "#{other}")
           )

    assert for(%{verdict: :fault} = finding <- findings, do: {finding.about, finding.kind}) == [
             {{:node, "app-#{free}@127.0.0.1"}, :refused}
           ]
  end

  test "nodes of this machine, also asked for by a VM that is none" do
    {_, other, port} = Vm.start_node()
    vm = Vm.start(["-caravan", "base_port", "#{port}"])
    findings = check(vm, type: :local, local_ports: 1)
    assert Enum.any?(findings, &(&1.message == "nodes on the 1 ports from base_port on, on this machine: #{other}"))
  end
end
