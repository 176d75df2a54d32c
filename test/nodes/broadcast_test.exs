defmodule Caravan.Nodes.BroadcastTest do
  use ExUnit.Case, async: true
  alias Caravan.{DnsServer, Vm}

  @moduletag :nodes
  @moduletag timeout: 180_000
  setup do: Vm.no_epmd()

  @nodes 8

  # All nodes find all, or each finds the next two of a ring: four links a node then.
  @meshes [full: @nodes - 1, ring: 4]

  for {mesh, links} <- @meshes do
    test "each node gets each message once, also after one was restarted: #{mesh}" do
      cluster = cluster(unquote(mesh), unquote(links))
      nodes = Map.keys(cluster.vms)
      messages = for n <- 1..5, node <- nodes, do: {node, {n, node}}
      for message <- messages, do: broadcast(cluster, message)
      assert_received_by(cluster, nodes, messages)

      [victim | others] = nodes
      Vm.stop(cluster.vms[victim])
      gone = "lists:member('#{victim}', nodes())"
      for node <- others, do: Vm.await(cluster.vms[node], gone, false)
      without = for node <- others, do: {node, {:without, node}}
      for message <- without, do: broadcast(cluster, message)
      assert_received_by(cluster, others, messages ++ without)

      # What its old life has sent is nothing of the new one's, which counts from 1 again.
      cluster = put_in(cluster.vms[victim], start(cluster, victim))
      whole(cluster)
      again = for node <- nodes, do: {node, {:again, node}}
      for message <- again, do: broadcast(cluster, message)
      # Of what it missed, the last may have been announced to it.
      Vm.eventually("#{victim} has it all", fn -> again -- received(cluster.vms[victim]) == [] end)
      assert Enum.sort(again) == received(cluster.vms[victim]) -- without
      assert_received_by(cluster, others, messages ++ without ++ again)
    end
  end

  @many 40

  test "of forty nodes that pick four each, all get what is sent while one in four dies and comes back" do
    dns = DnsServer.start()
    ports = Vm.free_ports(@many)
    DnsServer.publish(dns, "app.test", ports, "127.0.0.1")
    vms = ports |> Enum.map(&name/1) |> start_all(dns, "app.test", mesh: [links: 4])
    picked(vms, @many - 1)
    {victims, survivors} = vms |> Map.keys() |> Enum.shuffle() |> Enum.split(div(@many, 4))
    stay = Map.take(vms, survivors)

    stream(stay, :dying)
    vms |> Map.take(victims) |> Map.values() |> Vm.kill_all()
    assert_streamed(stay, [:dying])

    stream(stay, :returning)
    back = start_all(victims, dns, "app.test", mesh: [links: 4])
    assert_streamed(stay, [:dying, :returning])

    all = Map.merge(stay, back)
    picked(all, @many - 1)
    quiet = for name <- Map.keys(all), do: {name, :quiet}
    for message <- quiet, do: broadcast(%{vms: all}, message)

    for {name, vm} <- all do
      Vm.eventually("#{name} has it all", fn -> quiet -- received(vm) == [] end)
      assert received(vm) == Enum.uniq(received(vm))
    end
  end

  # Thirty of them send 300 messages within half a second or so.
  @streamed 10

  # A message now and then, from a process on each node.
  defp stream(vms, tag) do
    vms
    |> Map.values()
    |> Vm.eval_all("""
    spawn(fun() ->
      [begin ok = 'Elixir.Caravan':broadcast(app, {#{tag}, N}), timer:sleep(50) end || N <- lists:seq(1, #{@streamed})]
    end), ok
    """)
  end

  defp assert_streamed(vms, tags) do
    sent = for name <- Map.keys(vms), tag <- tags, n <- 1..@streamed, do: {name, {tag, n}}

    for {name, vm} <- vms do
      Vm.eventually("#{name} has what was sent", fn -> length(received(vm)) >= length(sent) end)
      assert received(vm) == Enum.sort(sent)
    end
  end

  # All know of all, each is linked with as many as it picks, and their processes for broadcasts know of all links.
  defp picked(vms, members) do
    picked? = fn %{members: known, peers: peers, links: links, broadcasts: broadcasts} ->
      known == members and Enum.count(peers, &(&1.pick and &1.state == :connected)) == 4 and
        broadcasts != nil and broadcasts.eager + broadcasts.lazy == links
    end

    Vm.eventually("all are linked with their picks", fn ->
      vms |> Map.values() |> Vm.eval_all("maps:get(app, 'Elixir.Caravan':status())") |> Enum.all?(picked?)
    end)
  end

  test "hostile frames change nothing, and what is sent meanwhile arrives" do
    cluster = cluster(:full, @nodes - 1)
    [hostile, victim | _] = nodes = Map.keys(cluster.vms)
    pid = "whereis(caravan_broadcast_app)"
    before = Vm.eval(cluster.vms[victim], pid)
    bomb = "term_to_binary(lists:duplicate(100000, x), [compressed])"

    for message <- [
          "hello",
          "{caravan, 1, gossip, app, #{pid}, {#{pid}, 1}, message, <<131, 255>>}",
          "{caravan, 1, gossip, app, #{pid}, {#{pid}, 1}, message, #{bomb}}",
          "{caravan, 1, gossip, app, self(), x, message, <<>>}",
          "{caravan, 1, ihave, app, #{pid}, [x | y]}",
          "{caravan, 1, ihave, app, #{pid}, [{#{pid}, N, N} || N <- lists:seq(1, 100000)]}",
          "{caravan, 1, graft, other, #{pid}, []}",
          "{'$gen_cast', {connected, [1 | 2]}}",
          "{'$gen_call', {self(), make_ref()}, {broadcast, x}}"
        ] do
      send = "{caravan_broadcast_app, '#{victim}'} ! #{message}, ok"
      assert Vm.eval(cluster.vms[hostile], send) == :ok
    end

    messages = for node <- nodes, do: {node, :hello}
    for message <- messages, do: broadcast(cluster, message)
    assert_received_by(cluster, nodes, messages)
    assert Vm.eval(cluster.vms[victim], pid) == before
  end

  test "a node that drains goes on to get messages" do
    cluster = cluster(:full, @nodes - 1)
    [draining, sender | _] = nodes = Map.keys(cluster.vms)
    :ok = Vm.eval(cluster.vms[draining], "'Elixir.Caravan':drain()")
    messages = for node <- [sender, draining], do: {node, :late}
    for message <- messages, do: broadcast(cluster, message)
    assert_received_by(cluster, nodes, messages)
  end

  defp cluster(mesh, links) do
    dns = DnsServer.start()
    ports = Vm.free_ports(@nodes)

    for {port, n} <- Enum.with_index(ports) do
      listed = if mesh == :full, do: ports, else: for(i <- [1, 2], do: at(ports, n + i))
      DnsServer.publish(dns, "n#{port}.test", listed, "127.0.0.1")
    end

    cluster = %{dns: dns, links: links, vms: %{}}
    vms = for port <- ports, into: %{}, do: {name(port), start(cluster, name(port))}
    cluster = %{cluster | vms: vms}
    whole(cluster)
    cluster
  end

  defp at(list, n), do: Enum.at(list, rem(n, length(list)))

  defp name(port), do: :"app-#{port}@127.0.0.1"

  defp start(%{dns: dns}, name) do
    [_, port, _] = String.split("#{name}", ["-", "@"])
    start_all([name], dns, "n#{port}.test", [])[name]
  end

  # On each a process keeps what comes, and answers with it.
  defp start_all(names, dns, query, options) do
    logger = Application.app_dir(:logger, "ebin")
    quiet = ~w(+sbwt none +sbwtdcpu none +sbwtdio none)
    vms = Vm.start_all(for name <- names, do: ~w(-connect_all false -name #{name} -pa #{logger}) ++ quiet)
    options = [query: query, nameservers: [dns.address], poll_interval: 500] ++ options
    Vm.start_topologies(vms, :app, options)

    Vm.eval_all(vms, """
    Self = self(),
    Keeper = spawn(fun() ->
      ok = 'Elixir.Caravan':subscribe(app),
      Self ! subscribed,
      (fun Keep(All) ->
        receive
          {caravan, app, Node, Message} -> Keep([{Node, Message} | All]);
          {all, From} -> From ! {all, lists:sort(All)}, Keep(All)
        end
      end)([])
    end),
    true = register(keeper, Keeper),
    receive subscribed -> ok end
    """)

    Map.new(Enum.zip(names, vms))
  end

  # Their processes for broadcasts know of all links.
  defp whole(%{vms: vms, links: links}) do
    code = """
    case maps:get(broadcasts, maps:get(app, 'Elixir.Caravan':status())) of
      \#{eager := Eager, lazy := Lazy} -> Eager + Lazy;
      nil -> starting
    end
    """

    for vm <- Map.values(vms), do: Vm.await(vm, code, links)
  end

  defp broadcast(%{vms: vms}, {node, message}) do
    encoded = message |> :erlang.term_to_binary() |> Base.encode64()
    send = "'Elixir.Caravan':broadcast(app, binary_to_term(base64:decode(\"#{encoded}\")))"
    assert Vm.eval(vms[node], send) == :ok
  end

  # One too many is seen when all are there: no node is whole sooner than its last message.
  defp assert_received_by(%{vms: vms}, nodes, messages) do
    for node <- nodes do
      Vm.eventually("#{node} has it all", fn -> length(received(vms[node])) >= length(messages) end)
      assert {node, received(vms[node])} == {node, Enum.sort(messages)}
    end
  end

  defp received(vm), do: Vm.eval(vm, "keeper ! {all, self()}, receive {all, All} -> All end")
end
