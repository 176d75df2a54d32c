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

  test "who finds all slots taken waits for one, unprobed", %{dials: dials} do
    [first, second, third] = for port <- 4003..4005, do: node_on(port)
    dials = Enum.reduce([first, second, third], dials, &Dialer.start(&2, &1, false, nil))
    assert under_way(dials) == %{first => :dial, second => :dial}

    dials = slow(dials)
    assert under_way(dials) == %{first => :dial, second => :dial, third => :dial}
    Dialer.stop(dials)
  end

  test "while many dials are slow a new peer is probed first", %{dials: dials} do
    # Four for each slot.
    nodes = for port <- 4010..4017, do: node_on(port)
    dials = Enum.reduce(nodes, dials, &Dialer.start(&2, &1, false, nil))
    assert Dialer.free_slots(dials) == 0

    dials = Enum.reduce(1..4, dials, fn _, dials -> slow(dials) end)
    assert %{slots: 0, slow: 8} = dials
    assert Dialer.free_slots(dials) == 8
    dials |> Dialer.start(node_on(4018), false, nil) |> probed(node_on(4018)) |> Dialer.stop()
  end

  test "who has refused a handshake is asked whether it is another node now", %{dials: dials} do
    dials = Dialer.start(dials, node_on(4007), true, {"x@y", 1})
    assert under_way(dials) == %{node_on(4007) => :whether}
  end

  # All that hold a slot give it up.
  defp slow(dials) do
    refs = for {ref, %{call: _, slot?: true}} <- dials.pending, do: ref

    Enum.reduce(refs, dials, fn ref, dials ->
      assert {:pending, dials} = Dialer.handle(dials, ref, :slow)
      dials
    end)
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
