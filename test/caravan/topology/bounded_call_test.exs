defmodule Caravan.Topology.BoundedCallTest do
  use ExUnit.Case, async: true
  alias Caravan.Topology.BoundedCall

  @wait 5_000

  defp ended(call) do
    ref = call.ref
    assert_receive {:DOWN, ^ref, :process, _, reason}, @wait
    BoundedCall.handle(call, {:ended, reason})
  end

  test "answers with what the function did, whatever that was" do
    Process.flag(:trap_exit, true)
    assert {:ok, [1]} = ended(BoundedCall.start(fn -> [1] end, 1_000))
    assert {:error, raised} = ended(BoundedCall.start(fn -> raise "no such road" end, 1_000))
    assert raised =~ "no such road"
    assert {:error, thrown} = ended(BoundedCall.start(fn -> throw(:ball) end, 1_000))
    assert thrown =~ ":ball"
    assert {:error, _} = ended(BoundedCall.start(fn -> exit({:shutdown, {:ok, 1}}) end, 1_000))

    killed = BoundedCall.start(fn -> Process.exit(self(), :kill) end, 1_000)
    assert {:error, _} = ended(killed)
    assert_receive {:EXIT, _, :killed}
    # The others told of their end once.
    refute_received {:EXIT, _, _}
  end

  test "what hangs is ended when it is overdue, even if it traps exits" do
    Process.flag(:trap_exit, true)

    call =
      BoundedCall.start(
        fn ->
          Process.flag(:trap_exit, true)
          Process.sleep(:infinity)
        end,
        1
      )

    ref = call.ref
    assert_receive {:overdue, ^ref}, @wait
    assert :pending = BoundedCall.handle(call, :overdue)
    assert ended(call) == {:error, "it did not return within 1 ms"}
  end

  test "nothing is heard of one that is stopped" do
    call = BoundedCall.start(fn -> Process.sleep(:infinity) end, 1_000)
    monitor = Process.monitor(call.pid)
    assert :ok = BoundedCall.stop(call)
    assert_receive {:DOWN, ^monitor, _, _, :killed}, @wait
    refute_received _
  end
end
