defmodule Caravan.Nodes.PubSubTest do
  # With the real phoenix_pubsub, compiled elsewhere.
  use ExUnit.Case, async: true
  alias Caravan.{DnsServer, Vm}

  @moduletag :nodes
  @moduletag timeout: 90_000
  setup do: Vm.no_epmd()

  @ebin System.get_env("PHOENIX_PUBSUB_EBIN")
  if @ebin == nil,
    do: @moduletag(skip: "needs PHOENIX_PUBSUB_EBIN, a folder of compiled phoenix_pubsub")

  # Only the middle one is linked with the others.
  setup do
    dns = DnsServer.start()
    [left, middle, right] = Vm.free_ports(3)
    DnsServer.publish(dns, "app.test", [middle], "127.0.0.1")
    [middle, left, right] = for port <- [middle, left, right], do: start(dns, port)

    for {vm, links} <- [{middle, 2}, {left, 1}, {right, 1}] do
      code = """
      case maps:get(broadcasts, maps:get(app, 'Elixir.Caravan':status())) of
        \#{eager := Eager, lazy := Lazy} -> Eager + Lazy;
        nil -> starting
      end
      """

      Vm.await(vm.vm, code, links)
    end

    assert Vm.eval(left.vm, "nodes()") == [middle.name]
    {:ok, dns: dns, left: left, middle: middle, right: right}
  end

  test "a broadcast reaches the subscribers of all nodes once, the sender's own among them",
       context do
    for node <- [:left, :middle, :right], do: subscribe(context[node], "topic")
    subscribe(context.right, "other")
    assert pubsub(context.left, "broadcast", "<<\"topic\">>, hello") == :ok
    assert pubsub(context.left, "broadcast", "<<\"other\">>, other") == :ok
    assert pubsub(context.left, "broadcast_from", "self(), <<\"topic\">>, last") == :ok
    assert received(context.left, 1) == [:hello]
    assert received(context.middle, 2) == [:hello, :last]
    assert received(context.right, 3) == [:hello, :last, :other]
  end

  test "one to a single node reaches that one, linked or not", context do
    for node <- [:left, :middle, :right], do: subscribe(context[node], "topic")

    for node <- [:right, :middle, :left] do
      arguments = "<<\"topic\">>, #{node}"
      assert direct(context.left, context[node].name, arguments) == :ok
    end

    assert pubsub(context.left, "broadcast", "<<\"topic\">>, last") == :ok

    for node <- [:left, :middle, :right],
        do: assert(received(context[node], 2) == Enum.sort([node, :last]))

    assert Vm.eval(context.left.vm, "nodes()") == [context.middle.name]
  end

  # The least that Phoenix.Tracker, of which Presence is made, asks of a tracker.
  {:module, tracker, beam, _} =
    defmodule Tracker do
      def init(options), do: {:ok, options}
      def handle_diff(_diff, state), do: {:ok, state}
    end

  @tracker tracker
  @beam Base.encode64(beam)

  test "who is present on one node is seen on all, linked or not, and is gone when that node has died", context do
    nodes = for name <- [:left, :middle, :right], do: context[name]
    Enum.each(nodes, &start_tracker/1)
    track(context.left, "ann")
    track(context.right, "bob")
    for node <- nodes, do: present(node, ["ann", "bob"])

    # A node that comes later may ask one that it is not linked with.
    Vm.stop(context.left.vm)
    for node <- [context.middle, context.right], do: present(node, ["bob"])
    again = start(context.dns, context.left.port)
    start_tracker(again)
    track(again, "eve")
    for node <- [again, context.middle, context.right], do: present(node, ["bob", "eve"])
    assert Vm.eval(again.vm, "nodes()") == [context.middle.name]
  end

  test "no message ends the adapter, and the node's name is its own", context do
    adapter = "'Elixir.App.PubSub.Adapter'"
    before = Vm.eval(context.left.vm, "whereis(#{adapter})")
    subscribe(context.right, "topic")
    subscribe(context.left, "topic")

    for message <- [
          "hello",
          "{caravan, 1, dispatch, all, <<\"topic\">>, x, no_such_module}",
          "{caravan, 1, dispatch, all, topic, x, y}",
          # It has a function dispatch/3 that raises.
          "{caravan, 1, dispatch, all, <<\"topic\">>, x, 'Elixir.Registry'}",
          "{caravan, app, x, y}",
          "{'$gen_cast', x}",
          "{'$gen_call', {self(), make_ref()}, x}"
        ],
        do: Vm.eval(context.middle.vm, "{#{adapter}, '#{context.left.name}'} ! #{message}, ok")

    assert pubsub(context.right, "broadcast", "<<\"topic\">>, hello") == :ok
    assert received(context.left, 1) == [:hello]
    assert Vm.eval(context.left.vm, "whereis(#{adapter})") == before
    assert pubsub(context.left, "node_name", nil) == context.left.name
  end

  test "what comes after the application was started again arrives, too", context do
    subscribe(context.right, "topic")
    # Without the topology, whose supervisor it isn't.
    restart = "ok = application:stop(caravan), {ok, _} = application:ensure_all_started(caravan), ok"
    assert Vm.eval(context.right.vm, restart) == :ok
    subscribers = "ets:info('Elixir.Caravan.Broadcast.Subscribers', size)"
    Vm.await(context.right.vm, subscribers, 1)
    assert pubsub(context.left, "broadcast", "<<\"topic\">>, hello") == :ok
    assert received(context.right, 1) == [:hello]
  end

  test "a topology with chosen links warns once where Phoenix's own adapter runs, also when that starts later", %{
    left: %{vm: vm},
    dns: dns
  } do
    warnings = "'Elixir.Caravan.LogLines':about(<<\"uses Phoenix.PubSub.PG2\">>)"
    # Its own topology has no chosen links.
    :ok = Vm.eval(vm, "'Elixir.Caravan.LogLines':start()")
    options = [query: "app.test", nameservers: [dns.address], poll_interval: 500]
    Vm.start_topology(vm, :bounded, options ++ [mesh: [links: 2]])
    # It looks at each poll, and the call returns after that.
    :ok = Vm.eval(vm, "'Elixir.Caravan':poll(bounded)")
    assert Vm.eval(vm, warnings) == []

    {:ok, _} = start_pubsub(vm, "'Elixir.Pg.PubSub'", "{adapter, 'Elixir.Phoenix.PubSub.PG2'}")
    for _ <- 1..2, do: :ok = Vm.eval(vm, "'Elixir.Caravan':poll(bounded)")
    assert [line] = Vm.eval(vm, warnings)
    assert line =~ "[caravan bounded] Pg.PubSub uses Phoenix.PubSub.PG2"
    assert line =~ "{Phoenix.PubSub, name: Pg.PubSub, adapter: Caravan.PubSub, topology: :bounded}"
  end

  test "without its topology a broadcast fails, and without the option the start does", context do
    {:ok, _} = start_pubsub(context.left.vm, "'Elixir.No.PubSub'", "{topology, none}")
    call = "'Elixir.Phoenix.PubSub':broadcast('Elixir.No.PubSub', <<\"topic\">>, hello)"
    assert {:error, %Caravan.Error{kind: :unknown_topology}} = Vm.eval(context.left.vm, call)

    assert {:error, reason} = start_pubsub(context.left.vm, "'Elixir.Bad.PubSub'", "{topology, \"app\"}")

    assert inspect(reason) =~ "expected the option :topology of Bad.PubSub to name the topology"
  end

  defp start(dns, port) do
    name = "app-#{port}@127.0.0.1"
    paths = for path <- [Application.app_dir(:logger, "ebin"), @ebin], do: ["-pa", path]
    vm = Vm.start(["-connect_all", "false", "-name", name | List.flatten(paths)])
    options = [query: "app.test", nameservers: [dns.address], poll_interval: 500]
    Vm.start_topology(vm, :app, options)
    Vm.eval(vm, "{ok, _} = application:ensure_all_started(phoenix_pubsub), ok")
    {:ok, _} = start_pubsub(vm, "'Elixir.App.PubSub'", "{topology, app}")
    %{vm: vm, name: String.to_atom(name), port: port}
  end

  # Heartbeats, and the silence after which a node's presences are gone, in ms.
  defp start_tracker(node) do
    Vm.eval(node.vm, """
    {module, _} = code:load_binary('#{@tracker}', "tracker", base64:decode("#{@beam}")),
    Options = [{name, tracker}, {pubsub_server, 'Elixir.App.PubSub'}, {pool_size, 1}, {broadcast_period, 100}, {down_period, 1000}],
    Self = self(),
    spawn(fun() ->
      Self ! {started, 'Elixir.Phoenix.Tracker':start_link('#{@tracker}', Options, Options)},
      receive never -> ok end
    end),
    receive {started, {ok, _}} -> ok end
    """)
  end

  defp track(node, key) do
    code = "'Elixir.Phoenix.Tracker':track(tracker, self(), <<\"room\">>, <<\"#{key}\">>, \#{})"
    assert {:ok, _} = Vm.eval(node.vm, code)
  end

  defp present(node, keys) do
    code = "lists:sort([Key || {Key, _} <- 'Elixir.Phoenix.Tracker':list(tracker, <<\"room\">>)])"
    Vm.await(node.vm, code, keys)
  end

  # In a process of its own, which a start that fails may end.
  defp start_pubsub(vm, name, option) do
    Vm.eval(vm, """
    Self = self(),
    spawn(fun() ->
      process_flag(trap_exit, true),
      Options = [{name, #{name}}, #{option}, {adapter, 'Elixir.Caravan.PubSub'}],
      Self ! {started, 'Elixir.Supervisor':start_link([{'Elixir.Phoenix.PubSub', Options}], [{strategy, one_for_one}])},
      receive never -> ok end
    end),
    receive {started, Started} -> Started end
    """)
  end

  # The process that evaluates is the subscriber, and keeps what comes.
  defp subscribe(node, topic), do: :ok = pubsub(node, "subscribe", "<<\"#{topic}\">>")

  defp pubsub(node, function, arguments) do
    arguments = if arguments, do: ", " <> arguments, else: ""
    Vm.eval(node.vm, "'Elixir.Phoenix.PubSub':#{function}('Elixir.App.PubSub'#{arguments})")
  end

  defp direct(from, to, arguments) do
    call = "'Elixir.Phoenix.PubSub':direct_broadcast('#{to}', 'Elixir.App.PubSub', #{arguments})"
    Vm.eval(from.vm, call)
  end

  defp received(node, count) do
    mailbox = "lists:sort(element(2, process_info(self(), messages)))"
    Vm.eventually("#{count} messages", fn -> length(Vm.eval(node.vm, mailbox)) >= count end)
    Vm.eval(node.vm, mailbox)
  end
end
