defmodule Caravan.Topology.ScalingTest do
  # How the work of a topology grows with its members. It is counted in reductions, which no other load changes.
  use Caravan.TopologyCase, async: true
  alias Caravan.Broadcast.Frames

  @few 40
  @many 400
  @polls 10

  # As net_kernel would tell of the link.
  def connect(topology, node) do
    send(GenServer.whereis(Topology.Registry.via(topology)), {:nodeup, node, %{}})
    true
  end

  test "a poll that finds nothing new costs as much with many members as with a few", context do
    [few, many] = for count <- [@few, @many], do: poll(joined(context, count))
    assert many < 2 * few
  end

  test "a member that joins costs as much among many as among a few", context do
    [few, many] = for count <- [@few, @many], do: context |> joined(count) |> reductions() |> div(count)
    assert many < 2 * few
  end

  # The processes of a topology whose members are all there and connected.
  defp joined(context, count) do
    name = :"#{context.name}_#{count}"
    query = "q#{count}.test"
    for n <- 1..count, do: DnsServer.command(context.server, "add #{query} 60 A 10.9.#{div(n, 250)}.#{rem(n, 250)}")
    :telemetry.listen(name)
    options = [query: query, type: :a, node_sname: "quiet-4370", poll_interval: 60_000]
    topology = start(%{context | name: name}, options, %{connect: {__MODULE__, :connect, [name]}})
    assert {:ok, nodes} = Caravan.await(name, min: count)
    assert length(nodes) == count
    %{name: name, topology: topology, broadcasts: GenServer.whereis(Frames.process(name))}
  end

  defp poll(processes) do
    Enum.min(
      for _ <- 1..@polls do
        before = reductions(processes)
        drop_lookups()
        :ok = Caravan.poll(processes.name)
        await_event([:lookup, :stop])
        reductions(processes) - before
      end
    )
  end

  defp reductions(%{topology: topology, broadcasts: broadcasts}) do
    # What they answer comes after all that was asked of them before.
    _ = GenServer.call(topology, :config)
    assert %{sent: 0} = GenServer.call(broadcasts, :stats)

    for(process <- [topology, broadcasts], {:reductions, count} = Process.info(process, :reductions), do: count)
    |> Enum.sum()
  end
end
