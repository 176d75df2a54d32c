defmodule Caravan.Netns.TopologyTest do
  @moduledoc false
  # Topologies of real nodes, each on a host of its own.
  use ExUnit.Case, async: true
  alias Caravan.{DnsServer, Netns, Vm}

  @moduletag :netns
  @moduletag timeout: 120_000

  @query "_app._tcp.netns.test"

  setup do
    lab = Netns.start()
    {:ok, lab: lab, dns: DnsServer.start(within: lab)}
  end

  describe "allow" do
    # What may be in an answer, by target: the addresses, and whether the target lets packets out of bounds.
    @targets [
      {"inside.test", ["10.77.0.2"]},
      {"outside.test", ["10.99.0.1"]},
      {"both.test", ["10.99.0.2", "10.77.0.3"]},
      {"10.99.0.3", ["10.77.0.2"]},
      {"unresolved.test", []}
    ]

    setup %{lab: lab, dns: dns} do
      for n <- 1..3, do: Netns.add_host(lab, "n#{n}", n)

      for {target, ips} <- @targets do
        DnsServer.command(dns, "add #{@query} 1 SRV 0 10 4370 #{target}")
        for ip <- ips, do: DnsServer.command(dns, "add #{target} 1 A #{ip}")
      end

      :ok
    end

    test "lets no packet out, whatever the answer says", %{lab: lab} do
      inside = node(lab, 2, "app-4370@inside.test")
      both = node(lab, 3, "app-4370@both.test")
      vm = node(lab, 1, "app-4370@n1.test")
      topology(vm, :app, allow: ["10.77.0.0/24"])
      await(vm, "nodes()", &(Enum.sort(&1) == [:"app-4370@both.test", :"app-4370@inside.test"]))

      # Everything in the answer was judged before the peers were up.
      assert %{refused: [%{reason: :not_allowed, count: 3}]} = status(vm, :app)
      assert Netns.trespassers(lab) == 0
      # global may have linked the two with each other by now, which is inside, too.
      for vm <- [inside, both], do: Vm.await(vm, "lists:member('app-4370@n1.test', nodes())", true)
    end

    test "and without the option they do go out", %{lab: lab} do
      vm = node(lab, 1, "app-4370@n1.test")
      topology(vm, :app, [])
      Vm.eventually("packets out of bounds", fn -> Netns.trespassers(lab) > 0 end)
    end

    test "counts for names that are addresses, too", %{lab: lab, dns: dns} do
      for ip <- ~w(10.77.0.2 10.99.0.1), do: DnsServer.command(dns, "add app.test 1 A #{ip}")
      _peer = node(lab, 2, "app-4370@10.77.0.2")
      vm = node(lab, 1, "app-4370@10.77.0.1")
      topology(vm, :app, type: :a, query: "app.test", allow: ["10.77.0.0/24"])
      await(vm, "nodes()", &(&1 == [:"app-4370@10.77.0.2"]))
      assert %{refused: [%{reason: :not_allowed, count: 1}]} = status(vm, :app)
      assert Netns.trespassers(lab) == 0
    end
  end

  describe "a peer that is gone for long" do
    setup :pair

    test "makes two lines in the log, one when it fails and one when it is back",
         %{lab: lab, a: a, b: b} do
      Netns.cut(lab, "n2")
      await(a, "nodes()", &(&1 == []))
      # Long enough for several probes, of which only the first is told.
      await(a, attempts(), &(&1 >= 2))
      Netns.heal(lab, "n2")
      await(a, "nodes()", &(&1 == [:"app-4370@10.77.0.2"]))
      await(b, "nodes()", &(&1 == [:"app-4370@10.77.0.1"]))

      # A topology hears of a link a moment after the VM has it.
      Vm.eventually("its lines", fn -> length(said(a, "app-4370@10.77.0.2")) >= 4 end)
      assert [up, down, failed, back] = said(a, "app-4370@10.77.0.2")
      assert up =~ "is connected" and back =~ "is connected"
      assert down =~ "is disconnected: net_tick_timeout"
      assert failed =~ "can't connect to"
    end

    test "is dialled again at once when it restarts by the same name", %{lab: lab, a: a, b: b} do
      Vm.stop(b)
      await(a, "nodes()", &(&1 == []))
      _b = node(lab, 2, "app-4370@10.77.0.2", ~w(-kernel net_ticktime 4))
      # Nobody but a dials.
      await(a, "nodes()", &(&1 == [:"app-4370@10.77.0.2"]))
    end
  end

  describe "a fault inside" do
    setup :pair

    test "a topology that crashes loses no connection, and recovers", %{a: a} do
      assert [:"app-4370@10.77.0.2"] = Vm.eval(a, "nodes()")
      whereis = "'Elixir.GenServer':whereis('Elixir.Caravan.Topology.Registry':via(app))"

      old =
        Vm.eval(
          a,
          "net_kernel:monitor_nodes(true), P = #{whereis}, exit(P, kill), pid_to_list(P)"
        )

      await(
        a,
        "case #{whereis} of nil -> none; P -> pid_to_list(P) end",
        &(&1 not in [:none, old])
      )

      await(a, "[maps:get(state, P) || P <- #{peers()}]", &(&1 == [:connected]))

      assert Vm.eval(a, "{nodes(), receive {nodedown, N} -> N after 0 -> none end}") ==
               {[:"app-4370@10.77.0.2"], :none}
    end

    test "a peer that is stopped is not dialled", %{lab: lab, dns: dns, a: a} do
      Netns.add_host(lab, "n3", 3)
      stopped = node(lab, 3, "app-4370@10.77.0.3")
      Netns.signal(lab, "STOP", Vm.eval(stopped, "os:getpid()"))
      DnsServer.command(dns, "add app.test 1 A 10.77.0.3")
      await(a, attempts(), &(&1 >= 2))
      assert [line] = said(a, "app-4370@10.77.0.3")
      assert line =~ "the host accepted the connection but the node did not respond"
    end

    test "a peer that never shakes hands holds up nobody for long", %{lab: lab, dns: dns, a: a} do
      for n <- 3..4, do: Netns.add_host(lab, "n#{n}", n)
      mute = Vm.start([], within: Netns.enter(lab, "n3"), ip: {0, 0, 0, 0})
      # It hangs up when the other side does, and says nothing.
      Vm.eval(mute, """
      {ok, L} = gen_tcp:listen(4370, [{active, true}]),
      spawn(fun() -> (fun Accept() -> {ok, _} = gen_tcp:accept(L), Accept() end)() end)
      """)

      _live = node(lab, 4, "app-4370@10.77.0.4")

      # One dial at a time: whoever comes behind the mute one has to wait for the end of that dial.
      DnsServer.command(dns, "add mute.test 1 A 10.77.0.3")
      topology(a, :mute, type: :a, query: "mute.test", dial_concurrency: 1)
      await(a, peers(:mute, "state"), &(&1 == [:dialling]))
      DnsServer.command(dns, "add mute.test 1 A 10.77.0.4")
      await(a, "lists:member('app-4370@10.77.0.4', nodes())", & &1)
      # It was given up more than once; one line tells of it.
      await(
        a,
        "[maps:get(attempts, P) || P <- #{peers(:mute)}, maps:get(node, P) == 'app-4370@10.77.0.3']",
        &match?([n] when n >= 2, &1)
      )

      assert [line] = said(a, "app-4370@10.77.0.3")
      assert line =~ "the host accepted the connection but the node did not respond"
    end
  end

  test "two topologies on one node: each finds its own, and the end of one costs the other nothing",
       %{lab: lab, dns: dns} do
    for n <- 1..3, do: Netns.add_host(lab, "n#{n}", n)
    DnsServer.command(dns, "add red.test 1 A 10.77.0.2")
    DnsServer.command(dns, "add blue.test 1 A 10.77.0.3")
    red = node(lab, 2, "app-4370@10.77.0.2")
    blue = node(lab, 3, "app-4370@10.77.0.3")
    # No mesh, so that a link is the topology's doing.
    vm = node(lab, 1, "app-4370@10.77.0.1", ~w(-connect_all false))
    sup = topology(vm, :red, type: :a, query: "red.test")
    topology(vm, :blue, type: :a, query: "blue.test")
    await(vm, "nodes()", &(Enum.sort(&1) == [:"app-4370@10.77.0.2", :"app-4370@10.77.0.3"]))
    assert Vm.eval(vm, "'Elixir.Caravan':members(red)") == [:"app-4370@10.77.0.2"]
    assert Vm.eval(vm, "'Elixir.Caravan':members(blue)") == [:"app-4370@10.77.0.3"]

    Vm.eval(
      vm,
      "net_kernel:monitor_nodes(true), 'Elixir.Supervisor':stop(list_to_pid(\"#{sup}\"))"
    )

    assert Vm.eval(vm, "maps:keys('Elixir.Caravan':status())") == [:blue]

    assert Vm.eval(vm, "{lists:sort(nodes()), receive {nodedown, N} -> N after 0 -> none end}") ==
             {[:"app-4370@10.77.0.2", :"app-4370@10.77.0.3"], :none}

    Vm.stop(blue)
    await(vm, "nodes()", &(&1 == [:"app-4370@10.77.0.2"]))
    assert Vm.eval(red, "nodes()") == [:"app-4370@10.77.0.1"]
  end

  test "a node that `global` is told of is found where only DNS servers of a topology know its host",
       %{lab: lab, dns: dns} do
    for n <- 1..4, do: Netns.add_host(lab, "n#{n}", n)
    for n <- 1..2, do: DnsServer.command(dns, "add n#{n}.netns.test 1 A 10.77.0.#{n}")
    for n <- 1..2, do: DnsServer.command(dns, "add #{@query} 1 SRV 0 10 4370 n#{n}.netns.test")
    # Their application runs, but no topology; the system's own resolver knows none of the hosts.
    lost = for n <- 1..2, do: node(lab, n, "app-4370@n#{n}.netns.test")
    for vm <- lost, do: Vm.eval(vm, "{ok, _} = application:ensure_all_started(caravan), ok")
    vm = node(lab, 3, "app-4370@n3.netns.test")
    topology(vm, :app, [])

    for {vm, others} <- Enum.zip(lost ++ [vm], [[2, 3], [1, 3], [1, 2]]) do
      await(vm, "nodes()", &(Enum.sort(&1) == for(n <- others, do: :"app-4370@n#{n}.netns.test")))
    end

    # The first knows the third only by the link that came from there, and tells a fourth.
    [first, second] = lost
    fourth = node(lab, 4, "app-4370@10.77.0.4")
    assert Vm.eval(first, "net_kernel:connect_node('app-4370@10.77.0.4')")
    for vm <- [first, second, vm, fourth], do: await(vm, "length(nodes())", &(&1 == 3))

    # What OTP does when such a connection fails.
    for vm <- [first, second, vm, fourth] do
      assert Vm.eval(vm, "'Elixir.Caravan.LogLines':about(<<\"prevent overlapping\">>)") == []
    end
  end

  test "a node that DNS is wrong about is found by those that are linked to it", %{
    lab: lab,
    dns: dns
  } do
    for n <- 1..3, do: Netns.add_host(lab, "n#{n}", n)
    for n <- 1..2, do: DnsServer.command(dns, "add n#{n}.netns.test 1 A 10.77.0.#{n}")
    for n <- 1..2, do: DnsServer.command(dns, "add #{@query} 1 SRV 0 10 4370 n#{n}.netns.test")

    first = for n <- 1..2, do: node(lab, n, "app-4370@n#{n}.netns.test")
    for vm <- first, do: topology(vm, :app, [])
    for vm <- first, do: await(vm, "length(nodes())", &(&1 == 1))

    # The second is there, which does not answer to the first one's name.
    DnsServer.command(dns, "remove n1.netns.test")
    DnsServer.command(dns, "add n1.netns.test 1 A 10.77.0.2")
    third = node(lab, 3, "app-4370@n3.netns.test")
    topology(third, :app, [])
    for vm <- [third | first], do: await(vm, "length(nodes())", &(&1 == 2))

    for vm <- [third | first], line <- ["prevent overlapping", "failed to connect"] do
      assert Vm.eval(vm, "'Elixir.Caravan.LogLines':about(<<\"#{line}\">>)") == []
    end
  end

  # a looks for b, and not the other way about.
  defp pair(%{lab: lab, dns: dns}) do
    for n <- 1..2, do: Netns.add_host(lab, "n#{n}", n)
    DnsServer.command(dns, "add app.test 1 A 10.77.0.2")
    ticks = ~w(-kernel net_ticktime 4 -kernel net_setuptime 1)
    b = node(lab, 2, "app-4370@10.77.0.2", ticks)
    a = node(lab, 1, "app-4370@10.77.0.1", ticks)
    topology(a, :app, type: :a, query: "app.test")
    await(a, "nodes()", &(&1 == [:"app-4370@10.77.0.2"]))
    {:ok, a: a, b: b}
  end

  defp node(lab, n, name, args \\ []) do
    logger = ["-pa", :logger |> :code.lib_dir() |> Path.join("ebin")]

    vm =
      Vm.start(["-name", name] ++ logger ++ args,
        within: Netns.enter(lab, "n#{n}"),
        ip: {0, 0, 0, 0}
      )

    Vm.eval(vm, "logger:remove_handler(default), 'Elixir.Caravan.LogLines':start()")
    vm
  end

  # Answers with the id of its supervisor, as text.
  defp topology(vm, name, options) do
    defaults = [query: @query, nameservers: ["#{Netns.hub()}:53"], poll_interval: 500]
    Vm.start_topology(vm, name, Keyword.merge(defaults, options))
  end

  defp await(vm, code, true?),
    do: Vm.eventually(code, fn -> true?.(Vm.eval(vm, code)) end, 30_000)

  defp status(vm, topology), do: Vm.eval(vm, "maps:get(#{topology}, 'Elixir.Caravan':status())")

  defp peers(topology \\ :app),
    do: "maps:get(peers, maps:get(#{topology}, 'Elixir.Caravan':status()))"

  defp peers(topology, key), do: "[maps:get(#{key}, P) || P <- #{peers(topology)}]"
  defp attempts, do: "lists:sum(#{peers(:app, "attempts")})"

  defp said(vm, text),
    do:
      for(
        "[caravan " <> _ = line <-
          Vm.eval(vm, "'Elixir.Caravan.LogLines':about(<<\"#{text}\">>)"),
        do: line
      )
end
