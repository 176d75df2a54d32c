defmodule Caravan.Nodes.NamesTest do
  use ExUnit.Case, async: true
  alias Caravan.{DnsServer, Vm}

  @moduletag :nodes
  @moduletag timeout: 120_000
  setup do: Vm.no_epmd()

  # Two nodes of a cluster, each on an address of its own: the part before the @, the port, and flags for both.
  @shapes [
    {"a number right after the base", "app%", []},
    {"an underscore before the number", "my_app_%", []},
    {"a base of digits", "1-%", []},
    {"nothing but a number", "%", []},
    {"no number", "app", ~w(-caravan base_port %)},
    {"an ordinal", "my-app-0", ~w(-caravan base_port %)},
    {"numbers that mean nothing", "app-7", ~w(-caravan dist_port %)}
  ]

  for {what, base, flags} <- @shapes do
    test "a cluster of names with #{what} forms without options" do
      [port] = Vm.free_ports(1)

      [base | flags] = for part <- [unquote(base) | unquote(flags)], do: String.replace(part, "%", "#{port}")

      dns = DnsServer.start()
      hosts = for n <- 2..3, do: {n, "n#{n}.names.test"}

      for {n, host} <- hosts do
        DnsServer.command(dns, "add app.test 1 SRV 0 10 #{port} #{host}")
        DnsServer.command(dns, "add #{host} 1 A 127.0.0.#{n}")
      end

      vms =
        for {n, host} <- hosts do
          logger = ["-pa", :logger |> :code.lib_dir() |> Path.join("ebin")]
          vm = Vm.start(["-name", "#{base}@#{host}" | logger] ++ flags, ip: {127, 0, 0, n})
          Vm.eval(vm, "logger:remove_handler(default), 'Elixir.Caravan.LogLines':start()")
          options = [query: "app.test", nameservers: [dns.address], poll_interval: 200]
          Vm.start_topology(vm, :app, options)
          vm
        end

      for {vm, own, other} <- [{hd(vms), 2, 3}, {List.last(vms), 3, 2}] do
        [own, other] = for n <- [own, other], do: :"#{base}@n#{n}.names.test"
        Vm.await(vm, "nodes()", [other])

        states =
          "[{maps:get(node, P), maps:get(state, P)} || P <- maps:get(peers, maps:get(app, 'Elixir.Caravan':status()))]"

        Vm.await(vm, states, [{own, :self}, {other, :connected}])
        assert Vm.eval(vm, "'Elixir.Caravan.LogLines':about(<<\"this node\">>)") == []
      end
    end
  end
end
