defmodule Caravan.BroadcastTest do
  use Caravan.TopologyCase, async: true
  alias Caravan.Broadcast.Frames
  alias Caravan.{Error, Vm}

  test "who has subscribed gets what is broadcast here, until it unsubscribes", context do
    topology = context.name
    publish(context, [])
    start(context)
    assert Caravan.subscribe(topology) == :ok
    assert broadcast(context, {:hello, self()}) == :ok
    assert_receive {:caravan, ^topology, node, {:hello, me}}
    assert %{sent: 1, subscribers: 1} = status(context).broadcasts
    assert node == node() and me == self()
    assert Caravan.unsubscribe(topology) == :ok
    assert broadcast(context, :again) == :ok
    refute_received {:caravan, _, _, _}
    assert %{sent: 2, received: 0, subscribers: 0, eager: 0} = status(context).broadcasts
  end

  test "a topology that has been started takes messages at once", context do
    publish(context, [])

    for number <- 1..50 do
      name = :"#{context.name}_#{number}"
      start(%{context | name: name})
      assert Caravan.broadcast(name, :hello) == :ok
    end
  end

  test "subscriptions outlive the topology, and its process for broadcasts is started again",
       context do
    topology = context.name
    publish(context, [4001])
    server = start(context)
    :ok = Caravan.subscribe(topology)

    for pid <- [Process.whereis(Frames.process(topology)), server] do
      assert broadcast(context, :before) == :ok
      assert_receive {:caravan, ^topology, _, :before}
      Process.exit(pid, :kill)

      Vm.eventually("it is back", fn ->
        Process.whereis(Frames.process(topology)) not in [nil, pid]
      end)
    end

    Vm.eventually("it sends", fn -> Caravan.broadcast(topology, :after) == :ok end)
    assert_receive {:caravan, ^topology, _, :after}
  end

  test "the errors say what to do", context do
    topology = context.name
    assert {:error, %Error{kind: :unknown_topology, message: message}} = Caravan.broadcast(topology, :hello)
    # What follows names the topologies of other tests, which come and go.
    sentence = "no topology #{inspect(topology)} runs on this node; "
    assert message =~ sentence
    assert_raise Error, ~r/#{Regex.escape(sentence)}/, fn -> Caravan.subscribe(topology) end
    assert Caravan.unsubscribe(topology) == :ok

    publish(context, [])
    start(context)

    assert {:error, %Error{kind: :too_large} = error} = Caravan.broadcast(topology, :binary.copy("x", 2_000_000))

    assert error.message =~ "expected at most 1048576 bytes" and error.message =~ "got 2000006"

    # One that is stuck.
    name = Frames.process(topology)
    Vm.eventually("it runs", fn -> Process.whereis(name) end)
    :ok = :sys.suspend(name)
    assert {:error, %Error{kind: :overloaded} = error} = Caravan.broadcast(topology, :hello)
    assert error.message =~ "within 5000 ms"
  end

  test "with a broadcast process that is just being started, too", context do
    publish(context, [])
    start(context)
    name = Frames.process(context.name)
    Vm.eventually("it runs", fn -> Process.whereis(name) end)
    Process.unregister(name)

    assert {:error, %Error{kind: :unknown_topology} = error} = Caravan.broadcast(context.name, :hello)

    assert error.message =~ "try again"
  end

  # The process takes its name a moment after it was started again.
  defp broadcast(context, message) do
    Vm.eventually("it runs", fn -> Process.whereis(Frames.process(context.name)) end)
    Caravan.broadcast(context.name, message)
  end
end
