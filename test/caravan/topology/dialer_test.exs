defmodule Caravan.Topology.DialerTest do
  # How a peer is begun with: by a dial, or by a question. What becomes of either is tested with a topology.
  use ExUnit.Case, async: true
  alias Caravan.Native
  alias Caravan.Topology.{Connector, Dialer}

  @wait 5_000

  setup do: %{dials: Dialer.new(Connector.new(%{}), 2)}

  test "a new peer is dialled straight away", %{dials: dials} do
    dials = Dialer.start(dials, node_on(4001), false, nil)
    assert under_way(dials) == %{node_on(4001) => :dial}
    Dialer.stop(dials)
  end

  test "who was lost or not reached is probed first, and dialled when that held", %{dials: dials} do
    {:ok, listener} = :gen_tcp.listen(0, ip: {127, 0, 0, 1}, active: false)
    {:ok, port} = :inet.port(listener)
    dials = Dialer.start(dials, node_on(port), true, nil)
    assert under_way(dials) == %{node_on(port) => :probe}

    {:ok, socket} = :gen_tcp.accept(listener, @wait)
    :ok = :gen_tcp.close(socket)
    assert_receive {ref, :ok}, @wait
    assert {:pending, dials} = Dialer.handle(dials, ref, :ok)
    assert under_way(dials) == %{node_on(port) => :dial}
    Dialer.stop(dials)
  end

  test "so is who was ever linked with this VM, though the topology knows nothing of it",
       context do
    Native.linked(node_on(4002))
    assert %{} = context.dials |> Dialer.start(node_on(4002), false, nil) |> probed(node_on(4002))
  end

  test "so is whoever finds all slots taken, or as many unprobed that gave up theirs", context do
    [first, second, third, fourth] = for port <- 4003..4006, do: node_on(port)
    start = &Dialer.start(&2, &1, false, nil)
    dials = Enum.reduce([first, second, third], context.dials, start)
    assert %{^first => :dial, ^second => :dial, ^third => :probe} = under_way(dials)

    slow = for {ref, %{call: _}} <- dials.pending, do: ref

    dials =
      Enum.reduce(slow, dials, fn ref, dials ->
        assert {:pending, dials} = Dialer.handle(dials, ref, :slow)
        dials
      end)

    assert dials.slots == 0
    fourth |> start.(dials) |> probed(fourth) |> Dialer.stop()
  end

  test "who has refused a handshake is asked whether it is another node now", %{dials: dials} do
    dials = Dialer.start(dials, node_on(4007), true, {"x@y", 1})
    assert under_way(dials) == %{node_on(4007) => :whether}
  end

  defp node_on(port), do: :"dials-#{port}@127.0.0.1"

  defp probed(dials, node) do
    assert %{^node => :probe} = under_way(dials)
    dials
  end

  defp under_way(dials) do
    for {_ref, %{node: node} = what} <- dials.pending, into: %{}, do: {node, what[:asks] || :dial}
  end
end
