defmodule Caravan.Netns.AddressesTest do
  @moduledoc false
  # Deploys where nodes listen on other addresses than they dial from, and DNS is late. Only the topology's DNS server
  # knows the hosts. Two nodes are replaced by two on new hosts, which hear of each other from `global`.
  use ExUnit.Case, async: true
  alias Caravan.{DnsServer, Netns, Vm}

  @moduletag :netns
  @moduletag timeout: 240_000

  @query "_app._tcp.netns.test"
  @healthy 1..4
  @old 5..6
  @new 7..8
  # How late the slowest record is, in milliseconds.
  @late String.to_integer(System.get_env("CARAVAN_LATE", "10000"))

  setup do
    lab = Netns.start()
    {:ok, lab: lab, dns: DnsServer.start(within: lab)}
  end

  for {layout, late} <- [
        second_address: 500,
        virtual_address: @late,
        source_nat: 500,
        source_nat: @late
      ] do
    test "#{layout}, records #{late} ms late: no healthy link is cut", context do
      replace(context, unquote(layout), unquote(late))
    end
  end

  defp replace(%{lab: lab, dns: dns}, layout, late) do
    if layout == :source_nat, do: Netns.add_pods(lab)
    for n <- Enum.concat([@healthy, @old, @new]), do: add_host(lab, layout, n)
    for n <- Enum.concat(@healthy, @old), do: publish(dns, layout, n)

    healthy = for n <- @healthy, do: node(lab, layout, n)
    old = for n <- @old, do: node(lab, layout, n)
    for vm <- healthy ++ old, do: topology(vm)
    await_mesh(healthy ++ old, Enum.concat(@healthy, @old))
    for vm <- healthy, do: watch(vm)

    for vm <- old, do: Netns.signal(lab, "TERM", Vm.eval(vm, "os:getpid()"))
    new = for n <- @new, do: node(lab, layout, n)
    for vm <- new, do: watch(vm)
    for vm <- new, do: topology(vm)
    Process.send_after(self(), :publish, late)
    receive do: (:publish -> :ok)
    for n <- @old, do: withdraw(dns, n)
    for n <- @new, do: publish(dns, layout, n)
    published = System.monotonic_time(:millisecond)
    await_mesh(healthy ++ new, Enum.concat(@healthy, @new))
    whole = System.monotonic_time(:millisecond) - published
    assert whole < 2_000, "whole only #{whole} ms after the records"

    # The new ones may have met the old ones.
    for vm <- healthy ++ new, do: assert(downs(vm) -- Enum.map(@old, &name/1) == [])
  end

  ## Hosts

  defp add_host(lab, :source_nat, n) when n in @healthy, do: Netns.add_host(lab, "n#{n}", n)
  defp add_host(lab, :source_nat, n), do: Netns.add_pod(lab, "n#{n}", n)

  defp add_host(lab, layout, n) do
    Netns.add_host(lab, "n#{n}", n)

    case layout do
      :second_address -> Netns.add_address(lab, "n#{n}", 100 + n)
      :virtual_address -> Netns.add_virtual_address(lab, "n#{n}", n)
    end
  end

  defp address(:second_address, n), do: Netns.address(100 + n)
  defp address(:virtual_address, n), do: Netns.virtual_address(n)
  defp address(:source_nat, n) when n in @healthy, do: Netns.address(n)
  defp address(:source_nat, n), do: Netns.pod_address(n)

  defp publish(dns, layout, n) do
    DnsServer.command(dns, "add n#{n}.netns.test 1 A #{address(layout, n)}")
    DnsServer.command(dns, "add #{@query} 1 SRV 0 10 4370 n#{n}.netns.test")
  end

  defp withdraw(dns, n) do
    DnsServer.command(dns, "remove #{@query} SRV 0 10 4370 n#{n}.netns.test")
    DnsServer.command(dns, "remove n#{n}.netns.test")
  end

  ## Nodes

  defp name(n), do: :"app-4370@n#{n}.netns.test"

  defp node(lab, layout, n) do
    {:ok, ip} = layout |> address(n) |> to_charlist() |> :inet.parse_address()
    # Behind NAT nobody tells a node where to listen.
    ip = if layout == :source_nat, do: {0, 0, 0, 0}, else: ip
    logger = ["-pa", :logger |> :code.lib_dir() |> Path.join("ebin")]
    vm = Vm.start(["-name", "#{name(n)}" | logger], within: Netns.enter(lab, "n#{n}"), ip: ip)
    Vm.eval(vm, "logger:remove_handler(default), 'Elixir.Caravan.LogLines':start()")
    vm
  end

  defp topology(vm) do
    options = [query: @query, nameservers: ["#{Netns.hub()}:53"], poll_interval: 500]
    Vm.start_topology(vm, :app, options)
  end

  defp await_mesh(vms, numbers) do
    names = Enum.map(numbers, &name/1)

    Vm.eventually("the mesh is whole", fn ->
      Enum.all?(vms, &(Enum.sort(Vm.eval(&1, "[node() | nodes()]")) == names))
    end)
  end

  # Counts the links that are lost from now on.
  defp watch(vm) do
    Vm.eval(vm, """
    register(watch, spawn(fun() ->
      net_kernel:monitor_nodes(true),
      (fun Watch(Downs) ->
        receive
          {nodedown, Node} -> Watch([Node | Downs]);
          {downs, Pid} -> Pid ! {downs, Downs}, Watch(Downs);
          _ -> Watch(Downs)
        end
      end)([])
    end))
    """)
  end

  defp downs(vm), do: Vm.eval(vm, "watch ! {downs, self()}, receive {downs, Downs} -> Downs end")
end
