defmodule Caravan.Nodes.BoundedMeshTest do
  # Forty nodes, each of which picks four to link with. Alone, since they take all the machine has.
  use ExUnit.Case, async: false
  alias Caravan.{DnsServer, Graph, Vm}

  @moduletag :nodes
  @moduletag timeout: 180_000

  @nodes 40
  @links 4

  # VMs as small as they get.
  @small ~w(-connect_all false +S 1:1 +SDcpu 1 +SDio 1 +A 1 +sbwt none +sbwtdcpu none +sbwtdio none)

  # What each node sees: how many members there are, its picks, which of them are linked, and all its links.
  @look """
  S = maps:get(app, 'Elixir.Caravan':status()),
  Picks = [P || P <- maps:get(peers, S), maps:get(pick, P)],
  {maps:get(members, S), [maps:get(node, P) || P <- Picks],
   [maps:get(node, P) || P <- Picks, maps:get(state, P) =:= connected], nodes()}
  """

  setup do: Vm.no_epmd()

  test "forty nodes are connected, and again when one in four has been killed and restarted" do
    dns = DnsServer.start()
    ports = Vm.free_ports(@nodes)
    DnsServer.publish(dns, "app.test", ports, "127.0.0.1")
    names = Enum.map(ports, &:"app-#{&1}@127.0.0.1")
    vms = start(names, dns)

    formed = await(vms, "all are linked with their picks", &settled?/1)
    first = Map.new(formed, fn {name, {_members, picks, _linked, _links}} -> {name, picks} end)
    pairs = for {name, picks} <- first, pick <- picks, uniq: true, do: Enum.sort([name, pick])
    assert MapSet.subset?(MapSet.new(pairs), links(formed))
    bounded(formed)

    {killed, left} = vms |> Enum.with_index() |> Enum.split_with(fn {_, n} -> rem(n, 4) == 0 end)
    {killed, left} = {unindexed(killed), unindexed(left)}
    Vm.kill_all(Map.values(killed))

    repaired =
      await(left, "those left have replaced the dead", fn seen ->
        connected?(seen) and
          Enum.all?(seen, fn {_, {_, _, linked, links}} ->
            length(linked) == @links and not Enum.any?(links, &is_map_key(killed, &1))
          end)
      end)

    bounded(repaired)

    again = Map.merge(left, start(Map.keys(killed), dns))
    back = await(again, "all have their first picks again", &(settled?(&1) and first == picks(&1)))
    bounded(back)
  end

  defp start(names, dns) do
    vms =
      Vm.start_all(for name <- names, do: ["-name", "#{name}", "-pa", Application.app_dir(:logger, "ebin") | @small])

    Vm.start_topologies(vms, :app,
      query: "app.test",
      nameservers: [dns.address],
      poll_interval: 1_000,
      mesh: [links: @links]
    )

    Map.new(Enum.zip(names, vms))
  end

  # Waits until what the nodes see fits, and returns it, by node.
  defp await(vms, what, fits?) do
    look = fn ->
      seen = Map.new(Enum.zip(Map.keys(vms), Vm.eval_all(Map.values(vms), @look)))
      if fits?.(seen), do: seen
    end

    Vm.eventually(what, look, 60_000)
  end

  defp settled?(seen) do
    connected?(seen) and
      Enum.all?(seen, fn {_, {members, picks, linked, _links}} ->
        members == @nodes - 1 and length(picks) == @links and linked == picks
      end)
  end

  defp picks(seen), do: Map.new(seen, fn {name, {_members, picks, _linked, _links}} -> {name, picks} end)
  defp connected?(seen), do: Graph.connected?(Map.new(seen, fn {name, {_, _, _, links}} -> {name, links} end))

  defp links(seen) do
    for {name, {_, _, _, links}} <- seen, peer <- links, into: MapSet.new(), do: Enum.sort([name, peer])
  end

  # Nobody is linked with all, nor with many.
  defp bounded(seen) do
    degrees = for {_, {_, _, _, links}} <- seen, do: length(links)
    assert Enum.min(degrees) >= @links and Enum.max(degrees) < 20, inspect(degrees)
  end

  defp unindexed(vms), do: Map.new(vms, fn {vm, _n} -> vm end)
end
