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

  describe "a slow dial" do
    test "is left alone if everybody is to be linked", %{dials: dials} do
      dials = dials |> Dialer.start(node_on(4020), false, nil) |> slow()
      assert map_size(dials.pending) == 1
      Dialer.stop(dials)
    end

    test "is over if nobody is there and there are others to link with" do
      [port] = Caravan.Vm.free_ports(1)
      {dials, ref} = hanging(port)
      dials = slow(dials)
      assert_receive {probe, {:error, _} = answer}, @wait
      assert {:dialled, node, {:error, :probe, _, nil}, dials} = Dialer.handle(dials, probe, answer)
      assert {node, dials.pending, dials.slots, dials.slow} == {node_on(port), %{}, 0, 0}
      refute_received {:DOWN, ^ref, _, _, _}
    end

    test "goes on if somebody is there, and ends its probe with it" do
      {:ok, listener} = :gen_tcp.listen(0, ip: {127, 0, 0, 1}, active: false)
      {:ok, port} = :inet.port(listener)
      {dials, ref} = hanging(port)
      dials = slow(dials)
      {:ok, socket} = :gen_tcp.accept(listener, @wait)
      :ok = :gen_tcp.close(socket)
      assert_receive {probe, :ok}, @wait
      assert {:pending, dials} = Dialer.handle(dials, probe, :ok)
      assert Map.keys(dials.pending) == [ref]
      Dialer.stop(dials)

      {dials, ref} = hanging(port)
      dials = slow(dials)
      ended = {:ended, {:shutdown, {:ok, true}}}
      assert {:dialled, _, :ok, %{pending: none, slow: 0}} = Dialer.handle(dials, ref, ended)
      assert none == %{}
    end

    # A dial that hangs; `probes?` wants Erlang's own links.
    defp hanging(port) do
      dials = Dialer.new(Connector.new(%{}), 2, true)
      dials = Dialer.start(dials, node_on(port), false, nil)
      [{ref, dial}] = Map.to_list(dials.pending)
      hangs = Caravan.Topology.BoundedCall.start(fn -> Process.sleep(:infinity) end, 45_000)
      :ok = Caravan.Topology.BoundedCall.stop(dial.call)
      pending = %{hangs.ref => %{dial | call: hangs}}
      refute ref == hangs.ref
      {%{dials | pending: pending}, hangs.ref}
    end
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
