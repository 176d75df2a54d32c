defmodule Caravan.Doctor.ListenerTest do
  use ExUnit.Case, async: true
  alias Caravan.Doctor.Listener

  @table """
    sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
     0: 0100007F:1112 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 84123 1 0 100 0 0 10 0
     1: 0100007F:1112 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 84124 1 0 100 0 0 10 0
     2: 00000000:0D6A 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 84125 1 0 100 0 0 10 0
  """

  test "sockets that listen on a port, not those of its connections" do
    assert Listener.inodes(@table, 4370) == ["84123"]
    assert Listener.inodes(@table, 3434) == ["84125"]
    assert Listener.inodes(@table, 3435) == []
  end

  test "the process that holds a port" do
    {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    {:ok, port} = :inet.port(socket)

    if File.exists?("/proc/net/tcp") do
      pid = System.pid()
      assert {:process, ^pid, "beam.smp"} = Listener.holder(port)
      assert Listener.describe(Listener.holder(port)) == "the process #{pid} (beam.smp)"
    else
      assert Listener.holder(port) == :unknown
    end

    :gen_tcp.close(socket)
    assert Listener.holder(port) == nil
  end
end
