defmodule Caravan.Nodes.ConnectTest do
  use ExUnit.Case, async: true
  alias Caravan.{Terminal, Vm}

  @moduletag :nodes
  @moduletag timeout: 90_000
  setup do: Vm.no_epmd()

  @erl_call Enum.find(
              Path.wildcard("#{:code.root_dir()}/lib/erl_interface-*/bin/erl_call") ++
                Path.wildcard("#{:code.root_dir()}/erts-*/bin/erl_call"),
              &File.exists?/1
            )

  test "long names connect, each listening on the port of its name" do
    {a, a_name, a_port} = Vm.start_node()
    {b, b_name, b_port} = Vm.start_node()
    assert Vm.listening?(a_port) and Vm.listening?(b_port)
    assert connect(a, b_name)
    assert Vm.eval(a, "nodes()") == [b_name]
    Vm.await(b, "nodes()", [a_name])
  end

  test "short names connect" do
    [a_port, b_port] = Vm.free_ports(2)
    a = Vm.start(["-sname", "app-#{a_port}@localhost"])
    _b = Vm.start(["-sname", "app-#{b_port}@localhost"])
    assert connect(a, :"app-#{b_port}@localhost")
    assert Vm.listening?(a_port) and Vm.listening?(b_port)
  end

  test "the beams may come by ERL_LIBS" do
    libs = Path.expand("..", Application.app_dir(:caravan))
    [port] = Vm.free_ports(1)

    _vm = Vm.start(["-name", "app-#{port}@127.0.0.1"], ebin: "/nonexistent", env: [ERL_LIBS: libs])

    assert Vm.listening?(port)
  end

  test "elixir --erl" do
    [port] = Vm.free_ports(1)
    name = "app-#{port}@127.0.0.1"
    erl = Enum.join(Vm.arguments([]), " ")
    args = ["--erl", erl, "--name", name, "-e", "IO.puts(node())"]
    assert Vm.command("elixir", args) == {0, name <> "\n"}
  end

  test "-hidden" do
    {a, a_name, _} = Vm.start_node(["-hidden"])
    {b, b_name, _} = Vm.start_node()
    assert connect(a, b_name)
    Vm.await(b, "{nodes(), nodes(hidden)}", {[], [a_name]})
  end

  test "-dist_listen false dials and does not listen" do
    {a, _, a_port} = Vm.start_node(["-dist_listen", "false"])
    {b, b_name, _} = Vm.start_node()
    refute Vm.listening?(a_port)
    assert connect(a, b_name)
    Vm.await(b, "length(nodes(hidden))", 1)
  end

  test "a name given by the peer (-name undefined@host)" do
    a = Vm.start(["-name", "undefined@127.0.0.1"])
    {b, b_name, _} = Vm.start_node()
    assert connect(a, b_name)
    given = Vm.eval(a, "node()")
    assert "#{given}" =~ ~r/@127\.0\.0\.1$/
    Vm.await(b, "nodes(connected)", [given])
  end

  # Not hidden: the name alone has to do, as with a net_kernel:start/2 that asks for a hidden node.
  for tool <- ~w(rem-1a remsh1a2b3c4d maint1a2b3c4d rabbitmqcli-58 a1b-ctl a1b2c3d4-debug) do
    test "a tool called #{tool}- asks the node whose port its name ends in" do
      {_, name, port} = Vm.start_node()
      ask = "io:format(\"~w\", [rpc:call('#{name}', erlang, node, [])]), halt()."
      tool = ~w(-noinput -name #{unquote(tool)}-app-#{port}@127.0.0.1 -eval)
      assert Vm.run_to_exit(tool ++ [ask]) == {0, "'#{name}'"}
    end
  end

  test "a release's tool dials the inner port of its own node, and the outer ports of others" do
    [outer, inner] = Vm.free_ports(2)
    {_, other, _} = Vm.start_node()
    # A host that leads elsewhere, as that of a container does.
    name = "app-#{outer}@192.0.2.77"
    flags = ~w(-caravan listen_port #{inner})
    _vm = Vm.start(["-name", name | flags])

    ask = fn node ->
      ask = "io:format(\"~w\", [rpc:call('#{node}', erlang, node, [])]), halt()."
      tool = ["-noinput", "-hidden", "-name", "rpc-1a-#{name}"] ++ flags ++ ["-eval", ask]
      assert Vm.run_to_exit(tool) == {0, "'#{node}'"}
    end

    ask.(name)
    ask.(other)
  end

  test "a release's tool node needs nobody who knows its host" do
    [port] = Vm.free_ports(1)
    name = "app-#{port}@nobody-knows.invalid"
    _vm = Vm.start(["-name", name])
    ask = "io:format(\"~w\", [rpc:call('#{name}', erlang, node, [])]), halt()."
    tool = ["-noinput", "-hidden", "-name", "rpc-1a-#{name}", "-eval"]
    assert Vm.run_to_exit(tool ++ [ask]) == {0, "'#{name}'"}
  end

  if System.find_executable("script") == nil, do: @tag(skip: "needs script, of util-linux")

  test "erl -remsh" do
    {_, name, port} = Vm.start_node()
    args = ~w(-hidden -name rem-1a-app-#{port}@127.0.0.1 -remsh #{name})
    command = Enum.map_join(["erl" | Vm.arguments(args)], " ", &"'#{&1}'")
    Terminal.in_shell(command, "{shell_of, node()}.\r", "{shell_of,'#{name}'}")
  end

  if @erl_call == nil, do: @tag(skip: "needs erl_call, of erl_interface")

  test "erl_call -address" do
    {_, name, port} = Vm.start_node()
    args = ~w(-address 127.0.0.1:#{port} -c #{Vm.cookie()} -a) ++ ["erlang node []"]
    assert {0, answer} = Vm.command(@erl_call, args)
    assert answer =~ "#{name}"
  end

  test "peer" do
    {vm, _, _} = Vm.start_node()
    [port] = Vm.free_ports(1)
    args = for arg <- Vm.arguments([]), do: to_charlist(arg)

    options = "\#{name => 'app-#{port}', host => \"127.0.0.1\", args => #{:io_lib.format("~p", [args])}}"

    node = :"app-#{port}@127.0.0.1"
    assert {:ok, _, ^node} = Vm.eval(vm, "peer:start(#{options})")
    assert Vm.eval(vm, "rpc:call('#{node}', erlang, node, [])") == node
  end

  test "peers with random names, which are linked with each other" do
    {vm, name, _} = Vm.start_node()
    args = for arg <- Vm.arguments([]), do: to_charlist(arg)

    start = """
    [begin
       Options = \#{name => peer:random_name(), host => "127.0.0.1", args => #{:io_lib.format("~p", [args])}},
       {ok, _, Node} = peer:start(Options), Node
     end || _ <- [1, 2, 3]]
    """

    peers = Enum.sort(Vm.eval(vm, start))
    assert [_, _, _] = peers

    for peer <- peers do
      others = Enum.sort([name | peers]) -- [peer]
      nodes = "lists:sort(rpc:call('#{peer}', erlang, nodes, []))"
      Vm.eventually("#{peer} has its links", fn -> Vm.eval(vm, nodes) == others end)
    end
  end

  test "net_kernel stops and starts again at runtime" do
    {peer, peer_name, _} = Vm.start_node()
    vm = Vm.start([])
    [first, second] = Vm.free_ports(2)

    for port <- [first, second, first] do
      name = "app-#{port}@127.0.0.1"
      start = "net_kernel:start('#{name}', \#{name_domain => longnames})"
      assert {:ok, _} = Vm.eval(vm, start)
      Vm.eval(vm, "erlang:set_cookie(#{Vm.cookie()})")
      assert Vm.listening?(port)
      assert connect(vm, peer_name)
      Vm.await(peer, "lists:member('#{name}', nodes())", true)
      assert :ok = Vm.eval(vm, "net_kernel:stop()")
      Vm.eventually("the port is free", fn -> not Vm.listening?(port) end)
    end
  end

  test "pids of a dead incarnation are dead in the next one" do
    {watcher, _, _} = Vm.start_node()
    {first, name, _} = Vm.start_node()
    # The process with the same number in every incarnation.
    init = "rpc:call('#{name}', erlang, whereis, [init])"
    Vm.eval(watcher, "put(init, #{init})")
    assert Vm.eval(watcher, "rpc:call('#{name}', erlang, is_process_alive, [get(init)])")
    Vm.stop(first)
    Vm.eventually("the link is gone", fn -> Vm.eval(watcher, "nodes()") == [] end)

    _second = Vm.start(["-name", "#{name}"])
    assert connect(watcher, name)
    assert Vm.eval(watcher, "#{init} =/= get(init)")
    down = "Ref = monitor(process, get(init)), receive {'DOWN', Ref, _, _, Reason} -> Reason end"
    assert Vm.eval(watcher, down) == :noproc
  end

  for name <-
        ~w(rem-1a-x-3434@127.0.0.1 rpc-ffff-x-3434@127.0.0.1 rabbitmqcli-58-x-3434@127.0.0.1 app-70000@127.0.0.1) do
    test "#{name} can't be dialled: no at once, and a send to it is harmless" do
      {vm, vm_name, _} = Vm.start_node()
      {_, peer_name, _} = Vm.start_node()
      assert connect(vm, peer_name)

      dial = "timer:tc(net_kernel, connect_node, ['#{unquote(name)}'])"
      assert {time, false} = Vm.eval(vm, dial)
      # Not the 6.5 s that a set-up may take.
      assert time < 5_000_000, "took #{time} µs"

      Vm.eval(vm, "{nobody, '#{unquote(name)}'} ! hello")
      assert Vm.eval(vm, "net_kernel:connect_node('#{unquote(name)}')") == false
      assert Vm.eval(vm, "{node(), nodes()}") == {vm_name, [peer_name]}
    end
  end

  defp connect(vm, name), do: Vm.eval(vm, "net_kernel:connect_node('#{name}')")
end
