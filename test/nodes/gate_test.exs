defmodule Caravan.Nodes.GateTest do
  # A socket in the place of a node: where a node is stopped, the system takes connections for it in the same way.
  use ExUnit.Case, async: false
  alias Caravan.Vm

  @moduletag :nodes
  @moduletag timeout: 90_000
  @wait 10_000
  @recovery 500
  # Long enough to be noticed.
  @stopped 2_500

  setup do
    :ok = Vm.no_epmd()
    {vm, _name, _port} = Vm.start_node()
    options = [:binary, active: false, exit_on_close: false, ip: {127, 0, 0, 1}]
    {:ok, listener} = :gen_tcp.listen(0, options)
    {:ok, port} = :inet.port(listener)
    %{vm: vm, listener: listener, node: "app-#{port}@127.0.0.1"}
  end

  test "a message to a node that is stopped makes no link, the next one does when it has gone on",
       context do
    hello = "erlang:send({nobody, '#{context.node}'}, hello), ok"
    Vm.eval(context.vm, hello)
    {:ok, probe} = :gen_tcp.accept(context.listener, @wait)
    assert :gen_tcp.recv(probe, 0, @wait) == {:error, :closed}

    # As long as it takes for what is waiting to be old.
    assert :gen_tcp.accept(context.listener, 1_000) == {:error, :timeout}
    # Who asks now waits for the link that is under way.
    Vm.eval(context.vm, """
    spawn(fun() -> persistent_term:put(link, net_kernel:connect_node('#{context.node}')) end), ok
    """)

    :ok = :gen_tcp.close(probe)
    went_on = System.monotonic_time(:millisecond)
    Vm.await(context.vm, "persistent_term:get(link, waiting)", false)
    assert System.monotonic_time(:millisecond) - went_on >= @recovery
    assert :gen_tcp.accept(context.listener, 0) == {:error, :timeout}

    Vm.eval(context.vm, hello)
    {:ok, handshake} = :gen_tcp.accept(context.listener, @wait)
    assert {:ok, <<_length::16, tag, _rest::binary>>} = :gen_tcp.recv(handshake, 0, @wait)
    # The first message of a handshake, old or new (erl_dist_protocol).
    assert tag in [?n, ?N]
  end

  test "no handshake is begun with one that stays stopped", context do
    refute Vm.eval(context.vm, "net_kernel:connect_node('#{context.node}')")
    {:ok, probe} = :gen_tcp.accept(context.listener, 0)
    assert :gen_tcp.recv(probe, 0, @wait) == {:error, :closed}
    # All that came.
    assert {:error, :timeout} = :gen_tcp.accept(context.listener, 0)
  end

  test "a node that was stopped and is alone begins no link at once when it goes on", context do
    {:ok, port} = :inet.port(context.listener)
    :ok = :gen_tcp.close(context.listener)
    refute Vm.eval(context.vm, "net_kernel:connect_node('#{context.node}')")

    # It sends when it has noticed a gap in time, and on and on.
    Vm.eval(context.vm, """
    spawn(fun() -> (fun Wait(Last) ->
      timer:sleep(20),
      Now = erlang:monotonic_time(millisecond),
      case Now - Last > 1000 of
        true -> erlang:send({nobody, '#{context.node}'}, hello), Wait(Last);
        false -> Wait(Now)
      end
    end)(erlang:monotonic_time(millisecond)) end), ok
    """)

    os_pid = Vm.eval(context.vm, "os:getpid()")
    signal("STOP", os_pid)
    Process.sleep(@stopped)
    {:ok, listener} = :gen_tcp.listen(port, [:binary, active: false, ip: {127, 0, 0, 1}])
    goes_on = System.monotonic_time(:millisecond)
    signal("CONT", os_pid)
    {:ok, _probe} = :gen_tcp.accept(listener, @wait)
    assert System.monotonic_time(:millisecond) - goes_on >= @recovery
  end

  test "a hidden node, such as a release's tool, links as it likes", context do
    {tool, _name, _port} = Vm.start_node(["-hidden"])
    Vm.eval(tool, "erlang:send({nobody, '#{context.node}'}, hello), ok")
    {:ok, handshake} = :gen_tcp.accept(context.listener, @wait)
    assert {:ok, <<_length::16, _tag, _rest::binary>>} = :gen_tcp.recv(handshake, 0, @wait)
  end

  test "nobody waits long for one that isn't there", context do
    :ok = :gen_tcp.close(context.listener)
    {time, false} = Vm.eval(context.vm, "timer:tc(net_kernel, connect_node, ['#{context.node}'])")
    # µs; the patience is 5.5 s.
    assert time < 4_000_000
  end

  defp signal(signal, os_pid) do
    {"", 0} = System.cmd("kill", ["-#{signal}", "#{os_pid}"])
  end
end
