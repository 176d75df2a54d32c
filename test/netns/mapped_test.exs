defmodule Caravan.Netns.MappedTest do
  @moduledoc false
  # Nodes in containers whose port is another one on their host, as in ECS or with Docker's -p.
  use ExUnit.Case, async: true
  alias Caravan.{DnsServer, Netns, ReleaseApp, Vm}

  @moduletag :netns
  @moduletag timeout: 180_000

  @query "_app._tcp.netns.test"
  @inner 3434

  setup do
    lab = Netns.start()
    for n <- 1..2, do: Netns.add_host(lab, "n#{n}", n)
    dns = DnsServer.start(within: lab)
    for n <- 1..2, do: DnsServer.command(dns, "add h#{n}.netns.test 1 A 10.77.0.#{n}")
    # Two containers on one host, one on another.
    for {host, number} <- [{"n1", 1}, {"n1", 2}, {"n2", 3}],
        do: Netns.add_container(lab, host, "c#{number}", number)

    {:ok, lab: lab, dns: dns}
  end

  test "find each other by the outer ports, and their tools them by the inner one", context do
    vms =
      for {c, outer, h} <- [{1, 31_001, 1}, {2, 31_002, 1}, {3, 31_003, 2}],
          do: node(context, c, outer, h)

    names = [:"app-31001@h1.netns.test", :"app-31002@h1.netns.test", :"app-31003@h2.netns.test"]

    for {vm, name} <- Enum.zip(vms, names),
        do: await(vm, "lists:sort(nodes())", &(&1 == names -- [name]))

    # Its own record leads a node to itself.
    for {vm, name} <- Enum.zip(vms, names) do
      own = "[maps:get(node, P) || P <- #{peers()}, maps:get(state, P) == self]"
      await(vm, own, &(&1 == [name]))
    end

    # A tool of the second container asks its own node, and the node of the first through the host.
    [first, second, third] = names

    for name <- [second, first, third],
        do: assert(ask(context, 2, second, name) == {0, "'#{name}'"})

    # The first container comes again, on another port.
    Vm.stop(hd(vms))
    await(List.last(vms), "nodes()", &(&1 == [second]))
    Netns.unpublish(context.lab, "n1")
    Netns.publish(context.lab, "n1", 2, {31_002, @inner})
    DnsServer.command(context.dns, "remove #{@query}")
    for {port, h} <- [{31_002, 1}, {31_003, 2}], do: record(context, port, h)
    again = node(context, 1, 31_011, 1)
    new = :"app-31011@h1.netns.test"
    await(again, "lists:sort(nodes())", &(&1 == [second, third]))
    for vm <- tl(vms), do: await(vm, "lists:member('#{new}', nodes())", & &1)
  end

  test "what DNS calls the host otherwise is the node itself", context do
    DnsServer.command(context.dns, "add #{@query} 1 SRV 0 10 31001 alias.netns.test")
    DnsServer.command(context.dns, "add alias.netns.test 1 A 10.77.0.1")
    vm = node(context, 1, 31_001, 1)
    states = "[{maps:get(node, P), maps:get(state, P)} || P <- #{peers()}]"
    await(vm, states, &(&1 == [{:"app-31001@h1.netns.test", :self}]))
    error = Vm.eval(vm, "[maps:get(error, P) || P <- #{peers()}]")
    assert error == ["DNS lists this node as app-31001@alias.netns.test"]
  end

  @tag :releases
  @tag :tmp_dir
  test "releases are asked by bin/app rpc in their containers, and stopped by bin/app stop",
       %{lab: lab, dns: dns, tmp_dir: dir} do
    bin = ReleaseApp.build(dir, Enum.join(flags(), " ") <> "\n")

    [a, b] =
      for {container, outer, host} <- [{1, 31_001, 1}, {3, 31_003, 2}] do
        Netns.publish(lab, "n#{host}", container, {outer, @inner})
        DnsServer.command(dns, "add tiny.test 1 SRV 0 10 #{outer} h#{host}.netns.test")

        ReleaseApp.instance(bin, dir, outer, "#{Netns.hub()}:53",
          host: Netns.address(host),
          within: Netns.enter(lab, "c#{container}")
        )
      end

    Enum.each([a, b], &ReleaseApp.start/1)

    for {app, other} <- [{a, b}, {b, a}] do
      assert ReleaseApp.rpc(app, "node()") == ":\"#{app.node}\""
      await = "Caravan.await(:tiny, min: 1, timeout: 20_000)"
      assert ReleaseApp.rpc(app, await) == "{:ok, [:\"#{other.node}\"]}"
    end

    assert {0, _} = ReleaseApp.run(a, ["stop"])
    Vm.eventually("the other one is alone", fn -> ReleaseApp.rpc(b, "Node.list()") == "[]" end)
  end

  defp node(%{lab: lab} = context, container, outer, host) do
    Netns.publish(lab, "n#{host}", container, {outer, @inner})
    record(context, outer, host)
    logger = ["-pa", :logger |> :code.lib_dir() |> Path.join("ebin")]
    args = ["-name", "app-#{outer}@h#{host}.netns.test"] ++ flags() ++ logger
    vm = Vm.start(args, within: Netns.enter(lab, "c#{container}"), ip: {0, 0, 0, 0})
    options = [query: @query, nameservers: ["#{Netns.hub()}:53"], poll_interval: 500]
    Vm.eval(vm, "logger:remove_handler(default)")
    Vm.start_topology(vm, :app, options)
    vm
  end

  defp record(%{dns: dns}, port, host),
    do: DnsServer.command(dns, "add #{@query} 1 SRV 0 10 #{port} h#{host}.netns.test")

  defp flags, do: ~w(-caravan listen_port #{@inner})

  # What `bin/app rpc` does. It has no topology to tell it where other hosts are, but the system may know them.
  defp ask(%{lab: lab}, container, own, node) do
    ask = "io:format(\"~w\", [rpc:call('#{node}', erlang, node, [])]), halt()."
    tool = ["-noinput", "-hidden", "-name", "rpc-1a-#{own}"] ++ flags()
    hosts = ["-kernel", "inetrc", "\"#{inetrc()}\""]

    Vm.run_to_exit(tool ++ hosts ++ ["-eval", ask],
      within: Netns.enter(lab, "c#{container}"),
      ip: {0, 0, 0, 0}
    )
  end

  defp inetrc do
    path = Vm.tmp_path("inetrc")

    File.write!(path, """
    {host, {10,77,0,1}, ["h1.netns.test"]}.
    {host, {10,77,0,2}, ["h2.netns.test"]}.
    {lookup, [file]}.
    """)

    ExUnit.Callbacks.on_exit(fn -> File.rm(path) end)
    path
  end

  defp peers, do: "maps:get(peers, maps:get(app, 'Elixir.Caravan':status()))"

  defp await(vm, code, true?),
    do: Vm.eventually(code, fn -> true?.(Vm.eval(vm, code)) end, 30_000)
end
