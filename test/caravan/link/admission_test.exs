defmodule Caravan.Link.AdmissionTest do
  # What real nodes make of it: test/nodes/admission_test.exs.
  use ExUnit.Case, async: true
  alias Caravan.Link.Admission

  @wait 5_000

  setup_all do: :ok = Caravan.Native.load()

  test "a node that listens is admitted" do
    {:ok, listener} = :gen_tcp.listen(0, ip: {127, 0, 0, 1}, active: false)
    {:ok, port} = :inet.port(listener)
    admission = Task.async(fn -> admit("127.0.0.1", port) end)
    {:ok, probe} = :gen_tcp.accept(listener, @wait)
    :ok = :gen_tcp.close(probe)
    assert Task.await(admission) == :ok
  end

  # The link's own set-up would go on trying, and OTP would keep old news for it.
  test "where no route leads nobody is admitted" do
    assert admit("255.255.255.255", 4000) == {:error, :timeout}
  end

  test "nor where nothing listens" do
    [port] = Caravan.Vm.free_ports(1)
    assert admit("127.0.0.1", port) == {:error, :timeout}
  end

  defp admit(host, port) do
    deadline = System.monotonic_time(:millisecond) + @wait
    Admission.admit(~c"admission-#{port}@#{host}", deadline)
  end
end
