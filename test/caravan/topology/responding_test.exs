defmodule Caravan.Topology.RespondingTest do
  # Others would wait for the topologies that don't answer here.
  use Caravan.TopologyCase, async: false
  alias Caravan.Broadcast.Frames

  # One deadline, on a busy machine, too; three in a row would take three times as long.
  @within 2_000..5_900

  test "the status shows each topology, also those that don't answer, within one deadline",
       context do
    publish(context, [4001])
    start(context)
    assert {:ok, [_]} = Caravan.await(context.name)
    stuck = for n <- 1..3, do: :"stuck#{n}_#{context.name}"
    for name <- stuck, do: :sys.suspend(start(%{context | name: name}))

    start = System.monotonic_time(:millisecond)
    status = Caravan.status()
    assert (System.monotonic_time(:millisecond) - start) in @within

    assert %Caravan.Status{responding: true, members: 1} = status[context.name]
    for name <- stuck, do: assert(status[name] == %Caravan.Status{name: name, responding: false})
    assert inspect(status[hd(stuck)]) =~ ~r/^#Caravan.Status<:"?stuck1_.*: not responding/
    refute_receive {_ref, %Caravan.Status{}}, 0
  end

  test "so it does where the processes for broadcasts don't answer", context do
    publish(context, [])
    busy = for n <- 1..3, do: :"busy#{n}_#{context.name}"
    for name <- busy, do: start(%{context | name: name})
    for name <- busy, do: name |> Frames.process() |> :sys.suspend()
    start(context)

    start = System.monotonic_time(:millisecond)
    status = Caravan.status()
    assert (System.monotonic_time(:millisecond) - start) in @within
    assert %Caravan.Status{responding: true, broadcasts: %{sent: 0}} = status[context.name]
    for name <- busy, do: assert(%Caravan.Status{responding: true, broadcasts: nil} = status[name])
    refute_receive {_ref, %{sent: _}}, 0
  end
end
