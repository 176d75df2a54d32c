defmodule Caravan.Nodes.PicksTest do
  # Clusters in which each node is linked with those that it picks: `mesh: [links: n]`.
  use ExUnit.Case, async: true
  alias Caravan.{DnsServer, Graph, Vm}

  @moduletag :nodes
  @moduletag timeout: 180_000
  setup do: Vm.no_epmd()

  @bounded ~w(-connect_all false)
  @links 3

  setup do: {:ok, dns: DnsServer.start()}

  test "twelve nodes are one cluster, and one that is killed is replaced until it is back", %{
    dns: dns
  } do
    ports = Vm.free_ports(12)
    vms = Map.new(ports, &{name(&1), start(name(&1), dns)})
    DnsServer.publish(dns, "app.test", ports, "127.0.0.1")
    for {_, vm} <- vms, do: settled(vm, 11)
    assert connected?(vms)
    picks = Map.new(vms, fn {name, vm} -> {name, picks(vm)} end)
    assert MapSet.subset?(MapSet.new(pairs(picks)), links(vms))
    assert MapSet.size(links(vms)) < 12 * 11 / 2

    # A spare is no atom, unless somebody is linked with it or the test has said its name.
    {name, vm} = Enum.at(vms, 0)
    known = [name | Vm.eval(vm, "nodes()")]
    spares = for port <- ports, name(port) not in known, do: "#{name(port)}"
    assert spares != []
    assert Enum.reject(spares, &atom?(vm, &1)) == spares

    # The one that most others have picked, and that isn't the first.
    victim = ports |> Enum.map(&name/1) |> Enum.max_by(&length(picked_by(picks, &1)))
    orphans = picked_by(picks, victim)
    assert orphans != []
    Vm.stop(vms[victim])
    others = Map.delete(vms, victim)

    for orphan <- orphans do
      Vm.eventually("#{orphan} has replaced #{victim}", fn ->
        linked = linked_picks(others[orphan])
        length(linked) == @links and victim not in linked
      end)
    end

    assert connected?(others)

    back = Map.put(others, victim, start(victim, dns))
    settled(back[victim], 11)

    for orphan <- orphans do
      Vm.eventually("#{orphan} has taken #{victim} back", fn ->
        picks(back[orphan]) == picks[orphan]
      end)

      # Its replacement is a spare again, and linked still.
      assert length(Vm.eval(back[orphan], "nodes()")) > @links
    end

    assert connected?(back)
  end

  test "a node that isn't linked is reached by a message, and counts as linked then", %{dns: dns} do
    ports = Vm.free_ports(8)
    vms = Map.new(ports, &{name(&1), start(name(&1), dns, links: 2)})
    DnsServer.publish(dns, "app.test", ports, "127.0.0.1")
    for {_, vm} <- vms, do: settled(vm, 7, 2)

    {name, vm, stranger} =
      Enum.find_value(vms, fn {name, vm} ->
        case Map.keys(vms) -- [name | Vm.eval(vm, "nodes()")] do
          [stranger | _] -> {name, vm, stranger}
          [] -> nil
        end
      end)

    links = status(vm).links
    assert Vm.eval(vm, "erpc:call('#{stranger}', erlang, node, [])") == stranger
    Vm.eventually("the status counts it", fn -> status(vm).links == links + 1 end)
    assert %{state: :connected, pick: false} = peer(vm, stranger)
    # Who was dialled knows of it a moment later.
    Vm.eventually("the stranger knows it", fn ->
      match?(%{state: :connected, pick: false}, peer(vms[stranger], name))
    end)

    assert stranger in Vm.eval(vm, "'Elixir.Caravan':members(app)")

    # Whoever is gone, and wasn't picked, is no peer any more.
    Vm.eval(vm, "erlang:disconnect_node('#{stranger}')")
    Vm.eventually("it is a spare again", fn -> peer(vm, stranger) == nil end)
    assert status(vm).spares == 5
  end

  test "of a spare the doctor knows that DNS lists it, and that it isn't dialed", %{dns: dns} do
    [own | ports] = Vm.free_ports(7)
    DnsServer.publish(dns, "app.test", [own | ports], "127.0.0.1")
    vm = start(name(own), dns, links: 2)
    Vm.eventually("it knows all", fn -> status(vm).members == 6 end)

    # Nobody is there, so whoever is picked gives way to a spare: it may be one only for a moment.
    Vm.eventually("the doctor knows a spare", fn ->
      [spare | _] = Enum.map(ports, &name/1) -- Vm.eval(vm, "'Elixir.Caravan':members(app)")
      findings = Vm.eval(vm, "'Elixir.Caravan.Doctor':explain('#{spare}')")
      assert [:refused] = for(%{verdict: :fault, kind: kind} <- findings, do: kind)
      assert Enum.any?(findings, &(&1.message == "listed by app.test"))
      Enum.any?(findings, &(&1.message =~ ":app: it is a spare"))
    end)
  end

  test "more than it picks nobody can wait for", %{dns: dns} do
    [port] = Vm.free_ports(1)
    vm = start(name(port), dns)

    assert %Caravan.Error{kind: :invalid_option, message: message} =
             Vm.eval(vm, "try 'Elixir.Caravan':await(app, [{min, 4}]) catch error:E -> E end")

    assert message =~ "expected at most 3, since topology :app has mesh: [links: 3], got 4"

    assert {:error, :timeout, _} = Vm.eval(vm, "'Elixir.Caravan':await(app, [{min, 3}, {timeout, 0}])")
  end

  test "where global links all with all it doesn't start, and says what to write" do
    assert {:error, message} = start_bounded([])
    assert message =~ "[links: 3] needs the kernel's connect_all to be off"
    assert message =~ "write -connect_all false in vm.args"

    # What counts is what global has started with.
    assert {:error, message} = start_bounded([], "application:set_env(kernel, connect_all, false)")
    assert message =~ "when the kernel had already started with it, as under Mix"
    assert message =~ ~s(start the VM with -connect_all false)
    assert start_bounded(~w(-kernel connect_all false)) == :ok
    assert start_bounded(@bounded, "application:set_env(kernel, connect_all, true)") == :ok
  end

  defp start_bounded(args, before \\ "ok") do
    [port] = Vm.free_ports(1)
    vm = Vm.start(["-name", "#{name(port)}", "-pa", Application.app_dir(:logger, "ebin") | args])
    Vm.eval(vm, "#{before}, {ok, _} = application:ensure_all_started(caravan), ok")
    topology = "{app, [{query, <<\"app.test\">>}, {nameservers, [<<\"127.0.0.1\">>]}, {mesh, [{links, 3}]}]}"

    start = "{ok, _} = 'Elixir.Caravan':start_link([{topologies, [#{topology}]}]), ok"

    case Vm.eval(vm, "try #{start} catch error:E -> E end") do
      :ok -> :ok
      %Caravan.Error{kind: :invalid_option, message: message} -> {:error, message}
    end
  end

  test "a full mesh of more than 60 warns once while global keeps it", %{dns: dns} do
    [port, last | others] = Vm.free_ports(63)

    for {args, lines} <- [
          {[],
           [
             "[caravan app] 61 members are many for a full mesh kept by global, which connects all of them to all, and " <>
               "drops connections between healthy nodes when others are lost. If nothing needs global's names and locks, " <>
               "write -connect_all false in vm.args, on all nodes; mesh: [links: n] then also bounds each node's connections"
           ]},
          {@bounded, []}
        ] do
      vm = Vm.start(["-name", "#{name(port)}", "-pa", Application.app_dir(:logger, "ebin") | args])
      Vm.eval(vm, "logger:remove_handler(default), 'Elixir.Caravan.LogLines':start()")
      # Not those of the VM before.
      DnsServer.publish(dns, "app.test", [port | others], "127.0.0.1")
      Vm.start_topology(vm, :app, query: "app.test", nameservers: [dns.address], poll_interval: 200)

      for ports <- [others, [last | others]] do
        DnsServer.publish(dns, "app.test", [port | ports], "127.0.0.1")
        Vm.eventually("all are members", fn -> status(vm).members == length(ports) end)
      end

      assert Vm.eval(vm, "'Elixir.Caravan.LogLines':about(<<\"members are many\">>)") == lines
      Vm.stop(vm)
    end
  end

  defp name(port), do: :"app-#{port}@127.0.0.1"

  defp start(name, dns, options \\ []) do
    args = ["-pa", Application.app_dir(:logger, "ebin"), "-name", "#{name}"]
    vm = Vm.start(args ++ Keyword.get(options, :args, @bounded))

    Vm.start_topology(vm, :app,
      query: "app.test",
      nameservers: [dns.address],
      poll_interval: 300,
      timeout: 1_000,
      mesh: [links: Keyword.get(options, :links, @links)]
    )

    vm
  end

  defp settled(vm, members, links \\ @links) do
    Vm.eventually("it knows all, and is linked with its picks", fn ->
      linked = linked_picks(vm)
      status(vm).members == members and length(linked) == links and picks(vm) == linked
    end)
  end

  defp status(vm), do: Vm.eval(vm, "maps:get(app, 'Elixir.Caravan':status())")
  defp peer(vm, node), do: Enum.find(status(vm).peers, &(&1.node == node))
  defp picks(vm), do: for(%{pick: true, node: node} <- status(vm).peers, do: node)

  defp linked_picks(vm),
    do: for(%{pick: true, state: :connected, node: node} <- status(vm).peers, do: node)

  defp picked_by(picks, node), do: for({name, all} <- picks, node in all, do: name)
  defp pairs(picks), do: for({name, all} <- picks, pick <- all, do: Enum.sort([name, pick]))

  defp links(vms) do
    for {name, vm} <- vms, peer <- Vm.eval(vm, "nodes()"), into: MapSet.new() do
      Enum.sort([name, peer])
    end
  end

  defp connected?(vms) do
    neighbours = Map.new(vms, fn {name, vm} -> {name, Vm.eval(vm, "nodes()")} end)
    Graph.connected?(neighbours)
  end

  # Without making it one.
  defp atom?(vm, text) do
    Vm.eval(
      vm,
      "try binary_to_existing_atom(<<\"#{text}\">>) of _ -> true catch _:_ -> false end"
    )
  end
end
