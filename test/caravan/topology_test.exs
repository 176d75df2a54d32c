defmodule Caravan.TopologyTest do
  use Caravan.TopologyCase, async: true
  alias Caravan.Broadcast.Frames
  alias Caravan.Vm

  test "finds the members, dials them and reports", context do
    publish(context, [4001, 4002])
    start(context)
    assert {:ok, nodes} = Caravan.await(context.name, min: 2)
    assert nodes == [node_on(4001), node_on(4002)]
    assert Caravan.members(context.name) == nodes

    assert_receive {:dial, _, dialler}
    refute dialler == self()

    assert %{members: 2, refused: [], draining: false, queries: [query]} = status(context)
    assert %{query: "app.test", outcome: :ok, endpoints: 2, transport: :udp} = query
    assert query.server == context.server.address
    assert Enum.map(status(context).peers, & &1.state) == [:connected, :connected]

    assert %{query: "app.test"} = await_event([:lookup, :start])
    await_event([:member, :added], &(&1.node == node_on(4002)))
    await_event([:peer, :up], &(&1.node == node_on(4001)))
  end

  test "itself is never a member", context do
    [base, _] = String.split(to_string(node()), "@")
    [sname, port] = String.split(base, "-")
    DnsServer.publish(context.server, "app.test", [port], "127.0.0.1")
    DnsServer.command(context.server, "add app.test 1 SRV 0 10 4001 127.0.0.1")
    # The own name is the default for the peers' base.
    start(context, node_sname: sname)
    assert {:ok, [_]} = Caravan.await(context.name)
    assert Caravan.members(context.name) == [:"#{sname}-4001@127.0.0.1"]
  end

  test "options that don't suit the own name are told once, and those like it need no word",
       context do
    publish(context, [])

    for {options, sentence} <- [
          {[node_sname: "app"], "would name #{node()} app-4999@127.0.0.1"},
          {[node_sname: nil], nil},
          {[node_sname: nil, type: :a], nil},
          {[node_sname: nil, node_name: "{sname}-{port}@{ip}"], nil}
        ] do
      log =
        capture_log(fn ->
          start(context, options)
          for _ <- 1..2, do: await_event([:lookup, :exception])
          stop_supervised!(context.name)
        end)

      mine = for line <- String.split(log, "\n"), line =~ "[caravan #{context.name}]", do: line
      told = mine |> Enum.join() |> String.split("can't find it")

      if sentence do
        assert [line, _] = told
        assert line =~ sentence
      else
        assert [_] = told
      end
    end
  end

  test "DNS never takes a peer away", context do
    publish(context, [4001, 4002])
    start(context)
    assert {:ok, nodes} = Caravan.await(context.name, min: 2)

    for fault <- ["servfail", "refused", "nxdomain", "empty", "silence"] do
      DnsServer.command(context.server, "fault #{fault}")
      assert %{error: error} = await_event([:lookup, :exception])
      assert %Caravan.Error{query: "app.test"} = error
      assert Caravan.members(context.name) == nodes
      assert {:ok, ^nodes} = Caravan.await(context.name, min: 2, timeout: 0)
      DnsServer.command(context.server, "fault none")
      Caravan.poll(context.name)
      await_event([:lookup, :stop])
      drop_lookups()
    end

    publish(context, [4001])
    await_event([:lookup, :stop])
    await_event([:lookup, :stop])
    assert {:ok, ^nodes} = Caravan.await(context.name, min: 2, timeout: 0)
    refute_received {:disconnect, _}
  end

  test "a failing look-up is logged once, and so is its end", context do
    DnsServer.command(context.server, "fault servfail")

    log =
      capture_log(fn ->
        start(context)
        for _ <- 1..3, do: await_event([:lookup, :exception])
        assert %{outcome: {:error, %{kind: :servfail}}, age: age} = hd(status(context).queries)
        assert is_integer(age)
        publish(context, [4001])
        DnsServer.command(context.server, "fault none")
        assert {:ok, _} = Caravan.await(context.name)
      end)

    lines = for line <- String.split(log, "\n"), line =~ "caravan #{context.name}", do: line
    assert [_other_name, failed, again, _connected] = lines
    assert failed =~ "[warning]" or failed =~ "[warn]"
    assert failed =~ "app.test"
    assert again =~ "lookups of app.test succeed again"
  end

  test "expired members are forgotten, live peers stay", context do
    FakeMesh.answer(context.mesh, node_on(4002), false)
    publish(context, [4001, 4002, 4003])
    start(context, expire_after: 300)
    assert {:ok, nodes} = Caravan.await(context.name, min: 2)
    publish(context, [4003])
    await_event([:member, :expired], &(&1.node == node_on(4001)))
    await_event([:peer, :forgotten], &(&1.node == node_on(4002)))
    assert Caravan.members(context.name) == [node_on(4003)]
    assert {:ok, ^nodes} = Caravan.await(context.name, min: 2)
    FakeMesh.unlink(context.mesh, node_on(4001))
    await_event([:peer, :forgotten], &(&1.node == node_on(4001)))
  end

  test "a cut answer adds peers, withdraws nobody, and is told once", context do
    publish(context, [4001, 4002, 4003])

    log =
      capture_log(fn ->
        # Names of its own: a peer that another test's topology stands behind would stay.
        start(context, node_sname: "cut", disconnect: [after: 150], poll_interval: 50)
        assert {:ok, [_, _, _]} = Caravan.await(context.name, min: 3)

        # Half of the records come, and of those that came before only one. Until then none do: whole answers would
        # withdraw the others.
        DnsServer.command(context.server, "fault servfail")
        publish(context, [4003, 4004, 4005, 4006, 4007])
        DnsServer.command(context.server, "fault truncate-no-tcp")
        assert {:ok, _} = Caravan.await(context.name, min: 4)
        drop_lookups()
        for _ <- 1..10, do: await_event([:lookup, :stop])
        refute_received {:disconnect, _}
        assert [%{outcome: :ok, endpoints: 2, incomplete: why}] = status(context).queries
        assert why =~ "was truncated" and why =~ "allow TCP to"
        assert inspect(status(context)) =~ "was truncated"

        # Nobody was missing from two whole answers until now.
        DnsServer.command(context.server, "fault none")
        assert_receive {:disconnect, _}, @wait
        assert [%{incomplete: nil}] = status(context).queries
      end)

    assert [_, _] = String.split(log, "was truncated")
    assert log =~ ~r/\[warning\] \[caravan #{context.name}\] looked up .*was truncated/
  end

  test "several queries make one set", context do
    publish(context, [4001])
    DnsServer.publish(context.server, "more.test", [4001, 4002])
    start(context, query: ["app.test", "more.test", "none.test"])
    assert {:ok, [_, _]} = Caravan.await(context.name, min: 2)
    # Each comes again with the next poll, so their order does not matter.
    for query <- ["app.test", "more.test"],
        do: await_event([:lookup, :stop], &(&1.query == query))

    await_event([:lookup, :exception], &(&1.query == "none.test"))

    assert [%{query: "app.test", outcome: :ok}, %{query: "more.test", outcome: :ok}, none] = status(context).queries

    assert {:error, %{kind: :nxdomain, query: "none.test"}} = none.outcome
  end

  test "what is refused is told once, and stays in the status", context do
    # Names that are atoms cost none: they are members, or refused, at once.
    Enum.each(4001..4005, &node_on/1)
    publish(context, 4001..4005)

    log =
      capture_log(fn ->
        start(context, max_members: 2)
        for _ <- 1..3, do: await_event([:member, :refused])
        assert [%{reason: :max_members, count: 3, example: "app-" <> _}] = status(context).refused
        assert status(context).members == 2
      end)

    lines = for line <- String.split(log, "\n"), line =~ "[caravan #{context.name}] 3 of", do: line

    assert [line] = lines
    assert line =~ "as many members as the option :max_members allows"
  end

  test "waits for peers, and says why when there are none", context do
    publish(context, [])
    start(context)
    assert {:error, :timeout, status} = Caravan.await(context.name, timeout: 50)
    assert %Caravan.Status{peers: [], members: 0} = status
    assert {:ok, []} = Caravan.await(context.name, min: 0)

    waiting = Task.async(fn -> Caravan.await(context.name, min: 2, stable_for: 50) end)
    publish(context, [4001, 4002])
    assert {:ok, [_, _]} = Task.await(waiting)
  end

  test "who waits and ends is waited for no longer", context do
    publish(context, [])
    topology = start(context)
    waiting = Task.async(fn -> Caravan.await(context.name, timeout: 3_600_000) end)
    Vm.eventually("it waits", fn -> waiters(topology) == 1 end)
    Task.shutdown(waiting, :brutal_kill)
    Vm.eventually("it doesn't", fn -> waiters(topology) == 0 end)
  end

  defp waiters(topology), do: length(:sys.get_state(topology).waiters.list)

  test "the process for broadcasts hears of each link once, and one that is started again of all", context do
    publish(context, [])
    topology = start(context)
    :erlang.trace(topology, true, [:receive, :set_on_spawn])
    broadcasts = GenServer.whereis(Frames.process(context.name))
    :erlang.trace(broadcasts, true, [:receive])

    nodes = for port <- 4001..4008, do: node_on(port)
    publish(context, 4001..4008)
    assert {:ok, ^nodes} = Caravan.await(context.name, min: 8)
    assert Enum.sort(told(broadcasts, 8)) == nodes

    Process.exit(broadcasts, :kill)
    assert_receive {:trace, again, :receive, {:"$gen_cast", {:connected, all}}} when again != broadcasts, @wait
    assert Enum.sort(all) == nodes
  end

  defp told(_broadcasts, count) when count <= 0, do: []

  defp told(broadcasts, count) do
    assert_receive {:trace, ^broadcasts, :receive, {:"$gen_cast", {:connected, nodes}}}, @wait
    nodes ++ told(broadcasts, count - length(nodes))
  end

  test "what only the native library can judge stops the start with its sentence", context do
    for {options, kind, sentence} <- [
          {[node_name: "{nome}@{host}"], :invalid_option, ~s(node_name: expected one base@host)},
          {[node_sname: "my app"], :invalid_option, ~s(node_sname: expected characters allowed)},
          {[node_sname: "a@b"], :invalid_option, ~s(got "a@b")},
          {[node_name: "x@{host}", type: :a], :invalid_option, "no {host} unless type is :srv"},
          {[allow: ["10.0.0.0/33"]], :invalid_option, ~s(allow: expected networks)},
          {[query: ["app.test", "app test"]], :invalid_name, ~s(expected a domain name)}
        ] do
      config = Keyword.merge([query: "app.test"], options)
      spec = %{topology: context.name, config: config}
      error = assert_raise Caravan.Error, fn -> Topology.start_link(spec) end
      assert error.kind == kind
      assert error.message =~ "topology #{inspect(context.name)}: " and error.message =~ sentence
    end
  end
end
