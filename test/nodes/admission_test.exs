defmodule Caravan.Nodes.AdmissionTest do
  # A socket in the place of a lost node: where a node is suspended, the system takes connections for it in the same way.
  use ExUnit.Case, async: true
  alias Caravan.Vm

  @moduletag :nodes
  @moduletag timeout: 90_000
  @wait 10_000
  @recovery 500
  # Long enough to be noticed.
  @suspended 2_500

  setup do
    :ok = Vm.no_epmd()
    %{vm: start_node([])}
  end

  test "a message to a lost node that is suspended makes no link, the next one does when it has resumed",
       context do
    %{vm: vm, node: node, listener: listener} = lose(context)
    hello = "erlang:send({nobody, '#{node}'}, hello), ok"
    Vm.eval(vm, hello)
    {:ok, probe} = :gen_tcp.accept(listener, @wait)
    assert :gen_tcp.recv(probe, 0, @wait) == {:error, :closed}

    # As long as it takes for what is waiting to be old.
    assert :gen_tcp.accept(listener, 1_000) == {:error, :timeout}
    # Who asks now waits for the link that is under way.
    Vm.eval(vm, """
    spawn(fun() -> persistent_term:put(link, net_kernel:connect_node('#{node}')) end), ok
    """)

    :ok = :gen_tcp.close(probe)
    resumed = System.monotonic_time(:millisecond)
    Vm.await(vm, "persistent_term:get(link, waiting)", false)
    assert System.monotonic_time(:millisecond) - resumed >= @recovery
    assert :gen_tcp.accept(listener, 0) == {:error, :timeout}

    Vm.eval(vm, hello)
    assert_handshake(listener)
  end

  test "no handshake is begun with a lost node that stays suspended, and the kernel doesn't end the wait",
       context do
    %{vm: vm, node: node, listener: listener} = lose(context)
    {μs, false} = Vm.eval(vm, "timer:tc(net_kernel, connect_node, ['#{node}'])")
    # The kernel would end it after 30 s.
    assert μs in 6_000_000..20_000_000
    {:ok, probe} = :gen_tcp.accept(listener, 0)
    assert :gen_tcp.recv(probe, 0, @wait) == {:error, :closed}
    # All that came.
    assert {:error, :timeout} = :gen_tcp.accept(listener, 0)
  end

  test "the wait is part of net_setuptime, where that is shorter", context do
    vm = start_node(~w(-kernel net_setuptime 2))
    %{node: node} = lose(%{context | vm: vm})
    {μs, false} = Vm.eval(vm, "timer:tc(net_kernel, connect_node, ['#{node}'])")
    assert μs in 1_300_000..1_990_000
  end

  test "where there is no socket to ask with, a lost node is not linked unasked", context do
    few = ["sh", "-c", "ulimit -n 256; exec \"$@\"", "sh"]
    vm = start_node([], within: few)
    %{node: node, listener: listener} = lose(%{context | vm: vm})

    # Probes have an eighth of those files. This one is a node that stays suspended.
    Vm.eval(vm, """
    [ok = 'Elixir.Caravan.Native':probe(make_ref(), <<"#{node}">>, 15000, dial) || _ <- lists:seq(1, 32)], ok
    """)

    for _ <- 1..32, do: assert({:ok, _} = :gen_tcp.accept(listener, @wait))
    refute Vm.eval(vm, "net_kernel:connect_node('#{node}')")
    assert :gen_tcp.accept(listener, 0) == {:error, :timeout}
  end

  test "a node that was suspended and has lost everyone begins no link at once when it resumes",
       context do
    %{vm: vm, node: node, listener: listener} = lose(context)
    {:ok, port} = :inet.port(listener)
    :ok = :gen_tcp.close(listener)
    refute Vm.eval(vm, "net_kernel:connect_node('#{node}')")

    # It sends when it has noticed a gap in time, and on and on.
    Vm.eval(vm, """
    spawn(fun() -> (fun Wait(Last) ->
      timer:sleep(20),
      Now = erlang:monotonic_time(millisecond),
      case Now - Last > 1000 of
        true -> erlang:send({nobody, '#{node}'}, hello), Wait(Last);
        false -> Wait(Now)
      end
    end)(erlang:monotonic_time(millisecond)) end), ok
    """)

    os_pid = Vm.eval(vm, "os:getpid()")
    signal("STOP", os_pid)
    Process.sleep(@suspended)
    listener = listen(port)
    resumes = System.monotonic_time(:millisecond)
    signal("CONT", os_pid)
    {:ok, _probe} = :gen_tcp.accept(listener, @wait)
    assert System.monotonic_time(:millisecond) - resumes >= @recovery
  end

  test "a node that was never linked is not asked", context do
    listener = listen(0)
    {:ok, port} = :inet.port(listener)
    Vm.eval(context.vm, "erlang:send({nobody, 'app-#{port}@127.0.0.1'}, hello), ok")
    assert_handshake(listener)
  end

  # Only a node that is tried again may be elsewhere, not another one on its host.
  test "nobody is asked for a known host because another node there was linked just before" do
    [{vm, _}, {linked, linked_name}, {_, other_name}] =
      for port <- Vm.free_ports(3) do
        node = "app-#{port}@localhost"
        {Vm.start(["-sname", node]), node}
      end

    # In the place of the application's process, to hear what is asked.
    Vm.eval(linked, "register(caravan, self()), ok")

    for node <- [linked_name, other_name],
        do: assert(Vm.eval(vm, "net_kernel:connect_node('#{node}')"))

    Vm.eval(vm, "{caravan, '#{linked_name}'} ! last")

    heard = """
    (fun Heard(Words) ->
      receive last -> Words; Question -> Heard([element(3, Question) | Words]) end
    end)([])
    """

    # What its links tell: where the address is known already, that is asked only about a node that is tried again.
    refute :linked in Vm.eval(linked, heard)
  end

  for flags <- ["-connect_all false", "-kernel prevent_overlapping_partitions false"] do
    test "nor is a lost one where global takes no links down: #{flags}", context do
      vm = start_node(OptionParser.split(unquote(flags)))
      %{node: node, listener: listener} = lose(%{context | vm: vm})
      Vm.eval(vm, "erlang:send({nobody, '#{node}'}, hello), ok")
      assert_handshake(listener)
    end
  end

  test "what is set when global has started changes nothing", context do
    Vm.eval(
      context.vm,
      "[application:set_env(kernel, O, false) || O <- [connect_all, prevent_overlapping_partitions]], ok"
    )

    %{vm: vm, node: node, listener: listener} = lose(context)
    Vm.eval(vm, "erlang:send({nobody, '#{node}'}, hello), ok")
    {:ok, probe} = :gen_tcp.accept(listener, @wait)
    assert :gen_tcp.recv(probe, 0, @wait) == {:error, :closed}
  end

  test "a node that -hidden false leaves visible holds a lost one as all do", context do
    vm = start_node(["-hidden", "false"])
    %{node: node, listener: listener} = lose(%{context | vm: vm})
    Vm.eval(vm, "erlang:send({nobody, '#{node}'}, hello), ok")
    {:ok, probe} = :gen_tcp.accept(listener, @wait)
    assert :gen_tcp.recv(probe, 0, @wait) == {:error, :closed}
  end

  for flags <- ["-hidden", "-dist_listen false"] do
    test "nor by a hidden node, such as a release's tool: #{flags}" do
      tool = start_node(OptionParser.split(unquote(flags)))
      {_lost, node, _port} = link = link(tool)
      # Links of hidden nodes aren't noted by themselves.
      Vm.eval(tool, "'Elixir.Caravan.Native':linked('#{node}')")
      listener = lose(tool, link)
      Vm.eval(tool, "erlang:send({nobody, '#{node}'}, hello), ok")
      assert_handshake(listener)
    end
  end

  test "nobody waits long for one that isn't there", context do
    %{vm: vm, node: node, listener: listener} = lose(context)
    :ok = :gen_tcp.close(listener)
    {μs, false} = Vm.eval(vm, "timer:tc(net_kernel, connect_node, ['#{node}'])")
    # A wait for one that may resume takes 6.5 s.
    assert μs < 6_000_000
  end

  defp start_node(args, opts \\ []) do
    logger = :logger |> :code.lib_dir() |> Path.join("ebin")
    {vm, _name, _port} = Vm.start_node(args ++ ["-pa", logger], opts)
    vm
  end

  # Links the VM with another, ends that, and listens in its place.
  defp lose(%{vm: vm}) do
    {_lost, node, _port} = link = link(vm)
    Vm.await(vm, "'Elixir.Caravan.Native':was_linked('#{node}')", true)
    %{vm: vm, node: node, listener: lose(vm, link)}
  end

  defp link(vm) do
    {:ok, _} = Vm.eval(vm, "application:ensure_all_started(caravan)")
    {lost, node, port} = Vm.start_node()
    assert Vm.eval(vm, "net_kernel:connect_node('#{node}')")
    {lost, node, port}
  end

  defp lose(vm, {lost, node, port}) do
    Vm.stop(lost)
    Vm.await(vm, "lists:member('#{node}', nodes(connected))", false)
    listen(port)
  end

  defp listen(port) do
    {:ok, listener} =
      :gen_tcp.listen(port, [
        :binary,
        active: false,
        exit_on_close: false,
        reuseaddr: true,
        ip: {127, 0, 0, 1}
      ])

    listener
  end

  defp assert_handshake(listener) do
    {:ok, handshake} = :gen_tcp.accept(listener, @wait)
    assert {:ok, <<_length::16, tag, _rest::binary>>} = :gen_tcp.recv(handshake, 0, @wait)
    # The first message of a handshake, old or new (erl_dist_protocol).
    assert tag in [?n, ?N]
  end

  defp signal(signal, os_pid) do
    {"", 0} = System.cmd("kill", ["-#{signal}", "#{os_pid}"])
  end
end
