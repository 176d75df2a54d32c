defmodule Caravan.Broadcast.ServerTest do
  # With links that a test stands in for.
  use ExUnit.Case, async: true
  alias Caravan.Broadcast.{Frames, Server, Subscribers}

  setup context do
    topology = context.test
    test = self()
    # `{node, outcome of sending}`, for who is linked.
    {:ok, links} = Agent.start_link(fn -> %{a@host: :ok, b@host: :ok, c@host: :ok} end)

    send = fn {name, node}, frame, options ->
      send(test, {:sent, node, frame, name, options})
      Agent.get(links, &Map.get(&1, node, :noconnect))
    end

    # `c` is hidden.
    nodes = fn
      :connected -> Agent.get(links, &Map.keys/1)
      :visible -> links |> Agent.get(&Map.keys/1) |> List.delete(:c@host)
    end

    {:ok, server} = Server.start_link(topology, %{send: send, nodes: nodes})
    hello = Frames.encode(:hello, topology, server)
    for node <- [:a@host, :b@host], do: assert_receive({:sent, ^node, ^hello, _, _})
    :ok = Subscribers.subscribe({topology, :message})
    {:ok, topology: topology, server: server, links: links}
  end

  test "a message goes to the linked nodes, without waiting and without dialling", context do
    connect(context, [:a@host, :b@host, :gone@host])
    name = Frames.process(context.topology)
    assert Process.whereis(name) == context.server
    :ok = Server.broadcast(name, {:message, payload(:hello)}, 1_000)

    for node <- [:a@host, :b@host] do
      assert_receive {:sent, ^node, frame, ^name, options}
      assert {_, {:gossip, {_, 1}, {:message, payload}}} = Frames.read(frame, context.topology)
      assert Frames.message(payload) == {:ok, :hello}
      assert Enum.sort(options) == [:noconnect, :nosuspend]
    end

    refute_received {:sent, _, _, _, _}
  end

  test "what comes is delivered once, as the origin's, and goes on", context do
    connect(context, [:a@host, :b@host])
    origin = remote(:x@host)
    frame = {:gossip, {origin, 5}, {:message, payload(:hello)}}
    hear(context, :a@host, frame)
    topology = context.topology
    assert_receive {:caravan, ^topology, :x@host, :hello}
    assert_sent(context, :b@host, frame)
    hear(context, :b@host, frame)
    assert_sent(context, :b@host, :prune)
    hear(context, :a@host, frame)
    assert_sent(context, :a@host, :prune)
    refute_received {:caravan, _, _, _}
  end

  test "the name is taken as soon as its last owner has ended", context do
    test = self()
    topology = :"#{context.topology}, again"
    name = Frames.process(topology)

    last =
      spawn(fn ->
        Process.register(self(), name)
        send(test, :registered)
        receive do: (:end -> :ok)
      end)

    assert_receive :registered
    Process.send_after(last, :end, 20)
    {:ok, server} = Server.start_link(topology)
    assert Process.whereis(name) == server
  end

  test "what is kept no longer takes no memory, be it never so quiet then", %{server: server} do
    sender =
      Task.async(fn ->
        for _ <- 1..5, do: :ok = Server.broadcast(server, {:message, payload(:binary.copy("x", 1_000_000))}, 5_000)
      end)

    Task.await(sender)
    assert binaries(server) > 5_000_000
    # As if a minute had passed.
    past = System.monotonic_time(:millisecond) - 60_000
    %{timer: timer} = :sys.replace_state(server, &put_in(&1.tree.memory.turn_at, past))
    send(server, {:timeout, timer, :wake})
    assert :sys.get_state(server).tree.memory.old == %{}
    # A process that has a message waiting answers that before it collects its garbage.
    Caravan.Vm.eventually("its memory is free", fn -> binaries(server) < 1_000_000 end)
  end

  defp binaries(pid) do
    {:binary, all} = Process.info(pid, :binary)
    Enum.sum(for {_address, size, _count} <- all, do: size)
  end

  test "a node that is linked, and that the topology has not heard of, is a link once it speaks",
       context do
    hear(context, :c@host, {:graft, []})
    :ok = Server.broadcast(context.server, {:message, payload(:hello)}, 1_000)
    assert_sent(context, :c@host, {:gossip, {context.server, 1}, {:message, payload(:hello)}})
    # Nobody speaks for a node that isn't, or for this one.
    before = :sys.get_state(context.server)
    hear(context, :nobody@host, {:graft, []})
    send(context.server, Frames.encode({:graft, []}, context.topology, self()))
    assert :sys.get_state(context.server) == before
  end

  test "a node whose process has begun is told of the link, be that known or not", context do
    connect(context, [:a@host])
    hear(context, :b@host, {:gossip, {remote(:x@host), 1}, {:message, payload(1)}})
    assert_sent(context, :b@host, {:graft, []})
    assert_sent(context, :a@host, {:gossip, {remote(:x@host), 1}, {:message, payload(1)}})
    hear(context, :a@host, :prune)
    for node <- [:a@host, :c@host], do: hear(context, node, :hello)
    for node <- [:a@host, :c@host], do: assert_sent(context, node, {:graft, []})
    :ok = Server.broadcast(context.server, {:message, payload(2)}, 1_000)
    for node <- [:a@host, :b@host, :c@host], do: assert_receive({:sent, ^node, _, _, _})
  end

  test "who is down gets no more, who refuses a frame for that is taken for down", context do
    connect(context, [:a@host, :b@host])
    send(context.server, {:nodedown, :a@host, []})
    :ok = Server.broadcast(context.server, {:message, payload(1)}, 1_000)
    assert_sent(context, :b@host, {:gossip, {context.server, 1}, {:message, payload(1)}})
    Agent.update(context.links, &Map.delete(&1, :b@host))
    for n <- 2..3, do: :ok = Server.broadcast(context.server, {:message, payload(n)}, 1_000)
    assert_sent(context, :b@host, {:gossip, {context.server, 2}, {:message, payload(2)}})
    refute_received {:sent, _, _, _, _}
  end

  test "what a busy link didn't take is announced, and sent when asked for", context do
    connect(context, [:a@host])
    Agent.update(context.links, &%{&1 | a@host: :nosuspend})
    gossip = {:gossip, {context.server, 1}, {:message, payload(:hello)}}
    :ok = Server.broadcast(context.server, {:message, payload(:hello)}, 1_000)
    assert_sent(context, :a@host, gossip)
    # Refused, too, and announced again.
    assert_sent(context, :a@host, {:ihave, [{context.server, 1}]})
    Agent.update(context.links, &%{&1 | a@host: :ok})
    assert_sent(context, :a@host, {:ihave, [{context.server, 1}]})
    hear(context, :a@host, {:graft, [{context.server, 1}]})
    assert_sent(context, :a@host, gossip)
  end

  test "what doesn't come after it was announced is asked for", context do
    connect(context, [:a@host, :b@host])
    id = {remote(:x@host), 1}
    hear(context, :b@host, {:ihave, [id]})
    assert_sent(context, :b@host, {:graft, [id]})
  end

  test "hostile frames change nothing, end nothing and go nowhere", context do
    connect(context, [:a@host, :b@host])
    before = :sys.get_state(context.server)
    from = remote(:a@host)
    id = {remote(:x@host), 1}
    topology = context.topology
    bomb = :erlang.term_to_binary(:binary.copy(<<0>>, 1_000_000), [:compressed])

    for hostile <- [
          :hello,
          {:caravan, 1, :gossip, topology, from, id, :message, "no term"},
          {:caravan, 1, :gossip, topology, from, id, :message, payload(:hello) <> "more"},
          {:caravan, 1, :gossip, topology, from, id, :message, bomb},
          {:caravan, 1, :gossip, topology, from, {:x, 1}, :message, payload(:hello)},
          {:caravan, 1, :gossip, topology, :a@host, id, :message, payload(:hello)},
          # In the name of this process, which has sent nothing yet.
          {:caravan, 1, :gossip, topology, from, {context.server, 1}, :message, payload(:hello)},
          {:caravan, 1, :gossip, :other, from, id, :message, payload(:hello)},
          {:caravan, 2, :gossip, topology, from, id, :message, payload(:hello)},
          {:caravan, 1, :ihave, topology, from, [{remote(:x@host), 1, 1} | :more]},
          {:caravan, 1, :ihave, topology, from, [{remote(:x@host), 1, 0x7FFFFFFFFFFFFFFF}]},
          {:caravan, 1, :ihave, topology, from, List.duplicate({remote(:x@host), 1, 1}, 2_000)},
          {:caravan, 1, :graft, topology, from, [{id, 1, 1}]},
          # From a node that isn't linked.
          {:caravan, 1, :gossip, topology, remote(:nobody@host), id, :message, payload(:hello)},
          {:caravan, 1, :ihave, topology, remote(:nobody@host), [{remote(:x@host), 1, 1}]},
          # From this process, and from this node.
          {:caravan, 1, :prune, topology, context.server},
          {:caravan, 1, :gossip, topology, self(), {self(), 1}, :message, payload(:hello)},
          {:caravan, 1, :gossip, topology, fn -> :x end, id, :message, payload(:hello)},
          {:caravan, 1, :prune, topology, nil},
          {:caravan, 1, :new_word, topology, from},
          {:timeout, make_ref(), :wake},
          {:DOWN, make_ref(), :process, self(), :hello},
          {:nodedown, "no node", []},
          {:"$gen_cast", {:connected, [1 | 2]}},
          {:"$gen_cast", {:connected, ["no node", nil]}},
          {:"$gen_cast", :hello},
          {:"$gen_call", {self(), make_ref()}, {:broadcast, :hello}},
          {:"$gen_call", {self(), make_ref()}, :hello}
        ] do
      send(context.server, hostile)
      assert :sys.get_state(context.server) == before, inspect(hostile)
    end

    refute_received {:sent, _, _, _, _}
    refute_received {:caravan, _, _, _}
  end

  test "it takes the name when that is free again" do
    topology = :"taken #{System.unique_integer()}"
    holder = spawn(fn -> Process.sleep(:infinity) end)
    Process.register(holder, Frames.process(topology))
    {:ok, server} = Server.start_link(topology)
    # It has tried.
    _ = :sys.get_state(server)
    Process.exit(holder, :kill)

    Caravan.Vm.eventually("it has the name", fn ->
      Process.whereis(Frames.process(topology)) == server
    end)
  end

  test "it ends with its topology, also for no fault", context do
    test = self()

    owner =
      spawn(fn ->
        {:ok, server} = Server.start_link({context.topology, 2})
        send(test, {:server, server})
        assert_receive :end
      end)

    assert_receive {:server, server}
    monitor = Process.monitor(server)
    send(owner, :end)
    assert_receive {:DOWN, ^monitor, :process, ^server, _}
  end

  # Each says {:graft, []}, which isn't told of again.
  defp connect(context, nodes) do
    Server.connected(context.server, nodes)
    _ = :sys.get_state(context.server)
    linked = Agent.get(context.links, &Map.keys/1)
    for node <- nodes, node in linked, do: assert_sent(context, node, {:graft, []})
    refute_received {:sent, _, _, _, _}
  end

  defp hear(context, node, frame),
    do: send(context.server, Frames.encode(frame, context.topology, remote(node)))

  defp assert_sent(context, node, frame) do
    encoded = Frames.encode(frame, context.topology, context.server)
    assert_receive {:sent, ^node, ^encoded, _, _}, 2_000
  end

  defp payload(term) do
    {:ok, payload} = Frames.payload(term)
    payload
  end

  # A pid of another node's, in the external format.
  defp remote(node) do
    name = Atom.to_string(node)
    size = byte_size(name)
    :erlang.binary_to_term(<<131, 88, 119, size, name::binary, 1::32, 0::32, 1::32>>)
  end
end
