defmodule Caravan.Link.SetUpsTest do
  use ExUnit.Case, async: true
  alias Caravan.Link.SetUps

  @node :"set-ups-3434@here"

  test "the end of a set-up is known, until another begins" do
    since = now()
    assert SetUps.ended(@node, since) == :unknown
    first = set_up(@node)
    assert SetUps.ended(@node, since) == :under_way
    finish(first, {:recv_challenge_ack_failed, {:error, :closed}})
    ended = {:ended, {:recv_challenge_ack_failed, {:error, :closed}}}
    assert SetUps.ended(@node, since) == ended
    assert SetUps.ended(@node, now() + 1) == :unknown

    # The process of a link lives as long as the link; its end says nothing of the next.
    second = set_up(@node)
    third = set_up(@node)
    finish(second, :connection_closed)
    assert SetUps.ended(@node, since) == :under_way
    finish(third, :shutdown)
    assert SetUps.ended(@node, since) == {:ended, :shutdown}
  end

  test "odd messages are ignored" do
    send(SetUps, {:watch, :nobody, ~c"x@y"})
    send(SetUps, {:DOWN, make_ref(), :process, self(), :over})
    send(SetUps, :odd)
    assert %{} = :sys.get_state(SetUps)
  end

  defp set_up(node) do
    {:ok, pid} = Agent.start(fn -> nil end)
    send(SetUps, {:watch, pid, Atom.to_charlist(node)})
    _ = :sys.get_state(SetUps)
    pid
  end

  defp finish(pid, reason) do
    ref = Process.monitor(pid)
    Process.exit(pid, reason)
    assert_receive {:DOWN, ^ref, :process, ^pid, ^reason}
    Caravan.Vm.eventually("the end is known", fn -> not Enum.member?(watched(), pid) end)
  end

  # Whom it monitors.
  defp watched do
    _ = :sys.get_state(SetUps)
    {:monitors, monitors} = SetUps |> Process.whereis() |> Process.info(:monitors)
    for {:process, pid} <- monitors, do: pid
  end

  defp now, do: System.monotonic_time(:millisecond)
end
