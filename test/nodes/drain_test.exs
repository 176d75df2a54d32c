defmodule Caravan.Nodes.DrainTest do
  use ExUnit.Case, async: true
  alias Caravan.{DnsServer, Vm}

  @moduletag :nodes
  @moduletag timeout: 90_000
  setup do: Vm.no_epmd()

  setup do
    dns = DnsServer.start()

    # `a` is the node that goes away. It looks nobody up, so whatever is linked to it came by itself.
    {a, a_name, a_port} = Vm.start_node(logger())
    DnsServer.publish(dns, "app.test", [a_port], "127.0.0.1")
    Vm.eval(a, "{ok, _} = application:ensure_all_started(caravan), ok")
    {:ok, dns: dns, a: a, a_name: a_name}
  end

  test "peers leave a node alone that says good-bye", %{dns: dns, a: a, a_name: a_name} do
    b = peer(dns)
    Vm.await(b, peers(), [{a_name, :connected}])
    drain(a)
    Vm.await(b, peers(), [{a_name, :leaving}])
    Vm.stop(a)
    Vm.await(b, "nodes()", [])
    Vm.await(b, peers(), [{a_name, :leaving}])
  end

  test "who connects to a node that is draining hears it, too", %{dns: dns, a: a, a_name: a_name} do
    drain(a)
    b = peer(dns)
    Vm.await(b, "nodes()", [a_name])
    Vm.await(b, peers(), [{a_name, :leaving}])
  end

  test "a node that is stopped in order says good-bye by itself", %{
    dns: dns,
    a: a,
    a_name: a_name
  } do
    b = peer(dns)
    Vm.await(b, peers(), [{a_name, :connected}])
    assert {0, _} = Vm.terminate(a)
    Vm.await(b, "nodes()", [])
    Vm.await(b, peers(), [{a_name, :leaving}])
  end

  test "a node that was draining and stays is a peer again", %{dns: dns, a: a, a_name: a_name} do
    b = peer(dns)
    Vm.await(b, peers(), [{a_name, :connected}])
    drain(a)
    Vm.await(b, peers(), [{a_name, :leaving}])
    Vm.eval(a, "ok = application:stop(caravan), ok = application:start(caravan)")
    Vm.await(b, peers(), [{a_name, :connected}])
    assert Vm.eval(b, "'Elixir.Caravan':await(app, [{timeout, 0}])") == {:ok, [a_name]}
  end

  test "a crash takes back no good-bye", %{dns: dns, a: a, a_name: a_name} do
    b = peer(dns)
    Vm.await(b, peers(), [{a_name, :connected}])
    drain(a)
    Vm.await(b, peers(), [{a_name, :leaving}])
    crash(a)
    Vm.await(b, peers(), [{a_name, :leaving}])

    # Who comes only now hears it, too.
    c = peer(dns)
    Vm.await(c, peers(), [{a_name, :leaving}])
    Vm.eval(a, "ok = application:stop(caravan), ok = application:start(caravan)")
    for vm <- [b, c], do: Vm.await(vm, peers(), [{a_name, :connected}])
  end

  # What its successor says has arrived at the peers when this returns.
  defp crash(vm) do
    Vm.eval(vm, "persistent_term:put(old, whereis(caravan)), exit(whereis(caravan), kill), ok")
    Vm.await(vm, "lists:member(whereis(caravan), [undefined, persistent_term:get(old)])", false)

    Vm.eval(
      vm,
      "sys:get_state(caravan), [rpc:call(N, sys, get_state, [caravan]) || N <- nodes()], ok"
    )
  end

  defp logger, do: ["-pa", Application.app_dir(:logger, "ebin")]
  defp drain(vm), do: :ok = Vm.eval(vm, "'Elixir.Caravan':drain()")

  # A node that looks for `a`.
  defp peer(dns) do
    {vm, _, _} = Vm.start_node(logger())
    options = [query: "app.test", nameservers: [dns.address], poll_interval: 500]
    Vm.start_topology(vm, :app, options)
    vm
  end

  defp peers do
    "[{maps:get(node, P), maps:get(state, P)} || P <- maps:get(peers, maps:get(app, 'Elixir.Caravan':status()))]"
  end
end
