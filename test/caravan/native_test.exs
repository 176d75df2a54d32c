defmodule Caravan.NativeTest do
  # How requests are made and waited for, whatever the library does.
  use ExUnit.Case, async: true
  alias Caravan.Native

  @wait 5_000

  defp answering(answer) do
    fn ref ->
      send(self(), {ref, answer})
      :ok
    end
  end

  defp silent, do: fn _ref -> :ok end
  defp refusing, do: fn _ref -> {:error, {:overloaded, "no"}} end

  test "an answer comes with the reference of its request" do
    request = Native.request(answering({:ok, 1}), 10)
    ref = Native.reference(request)
    assert_received {^ref, {:ok, 1}}
    assert Native.finished(request) == :ok
  end

  test "what the library refuses at once is answered like any other" do
    request = Native.request(refusing(), 10)
    ref = Native.reference(request)
    assert_received {^ref, {:error, {:overloaded, "no"}}}
    assert Native.await(refusing(), 10) == {:error, {:overloaded, "no"}}
  end

  test "a request that is never answered is overdue, unless nobody waits any more" do
    given_up = Native.request(silent(), 0)
    request = Native.request(silent(), 0)
    :ok = Native.finished(given_up)
    ref = Native.reference(request)
    assert_receive {:overdue, ^ref}, @wait
    refute_received {:overdue, _}
  end

  test "who waits gets the answer, or hears that it is overdue" do
    assert Native.await(answering({:ok, 1}), 10) == {:ok, 1}
    assert Native.await(silent(), 0) == :overdue
  end
end
