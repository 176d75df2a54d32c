defmodule Caravan.Nodes.SurveyTest do
  use ExUnit.Case, async: true
  alias Caravan.Vm

  @moduletag :nodes
  @moduletag timeout: 120_000
  setup do: Vm.no_epmd()

  # Nobody redials a link within the test, and global links nobody.
  @calm ~w(-connect_all false)

  defp start(names), do: Vm.start_all(for name <- names, do: ["-name", "#{name}", "-pa", logger() | @calm])
  defp logger, do: :logger |> :code.lib_dir() |> Path.join("ebin")
  defp names(count), do: for(port <- Vm.free_ports(count), do: :"app-#{port}@127.0.0.1") |> Enum.sort()
  defp map(vm), do: Vm.eval(vm, "'Elixir.Caravan':to_mermaid()")

  test "a link that is cut is dotted in the map of a third node, and drawn again when it is back" do
    [one, two, three] = names = names(3)
    [vm, second, third] = vms = start(names)
    Vm.start_topologies(vms, :app, nodes: names)
    for {vm, name} <- Enum.zip(vms, names), do: Vm.await(vm, "lists:sort(nodes())", names -- [name])

    whole = map(vm)
    assert whole =~ ~s(  n1["#{one}<br/>this node"]:::this\n  n2["#{two}"]\n  n3["#{three}"]\n)
    assert whole =~ "  n1 --- n2\n  n1 --- n3\n  n2 --- n3\n" and not (whole =~ "linkStyle")

    # Both ends refuse the other from now on, and what is dialed fails.
    for {vm, other} <- [{second, three}, {third, two}] do
      Vm.eval(vm, "net_kernel:allow(['#{one}']), erlang:disconnect_node('#{other}')")
      Vm.await(vm, "nodes()", [one])
    end

    Vm.eventually("the link is missing", fn -> map(vm) =~ "  n2 -.- n3\n  n1 --- n2\n  n1 --- n3\n" end)
    # The ends themselves don't reach each other to ask.
    assert map(second) =~ ~s(  n3["#{three}<br/>not asked"]:::unasked\n  n2 -.- n3\n)
  end

  test "a node that has frozen is drawn as such, within the time" do
    [one, two, three] = names = names(3)
    [vm, second, third] = start(names)
    Vm.start_topologies([vm, second], :app, nodes: [one, two])
    Vm.await(vm, "nodes()", [two])
    # It has no topology, and is linked with both.
    Vm.eval(third, "[true = net_kernel:connect_node(N) || N <- ['#{one}', '#{two}']]")
    assert map(vm) =~ ~s(  n3["#{three}"]\n  n1 --- n2\n  n1 --- n3\n  n2 --- n3\n)

    pid = Vm.eval(second, "list_to_integer(os:getpid())")
    {_, 0} = System.cmd("kill", ["-STOP", "#{pid}"])

    try do
      {took, text} = :timer.tc(fn -> map(vm) end)

      assert text =~
               ~s(  n2["#{two}<br/>no answer"]:::silent\n  n3["#{three}"]\n  n1 --- n2\n  n1 --- n3\n  n2 --- n3\n)

      assert took < 15_000_000
    after
      System.cmd("kill", ["-CONT", "#{pid}"])
    end
  end
end
