defmodule Caravan.Nodes.FamiliesTest do
  use ExUnit.Case, async: true
  alias Caravan.{DnsServer, Vm}

  # Hosts with addresses of both families, which only the topology's server knows. The one that doesn't fit the nodes'
  # distribution leads nowhere.

  @moduletag :nodes
  @moduletag timeout: 90_000
  setup do: Vm.no_epmd()

  for {proto, ip, v4, v6} <- [
        {"inet_tcp", {127, 0, 0, 1}, "127.0.0.1", "::9"},
        {"inet6_tcp", {0, 0, 0, 0, 0, 0, 0, 1}, "127.0.0.9", "::1"}
      ] do
    test "#{proto} nodes dial the addresses of their family" do
      ip = unquote(Macro.escape(ip))
      ports = Vm.free_ports(2)

      server = DnsServer.start()

      [a_name, b_name] =
        for {host, port} <- Enum.zip(["a.family.test", "b.family.test"], ports) do
          DnsServer.command(server, "add _app._tcp.family.test 5 SRV 0 0 #{port} #{host}")
          DnsServer.command(server, "add #{host} 5 A #{unquote(v4)}")
          DnsServer.command(server, "add #{host} 5 AAAA #{unquote(v6)}")
          :"app-#{port}@#{host}"
        end

      [a, b] = for name <- [a_name, b_name], do: start(name, unquote(proto), ip)
      assert {:ok, _} = Vm.eval(a, topology(server.address))

      Vm.eventually("the nodes are connected", fn -> Vm.eval(a, "nodes()") == [b_name] end)
      Vm.await(b, "nodes()", [a_name])

      for {family, address} <- [inet: unquote(v4), inet6: unquote(v6)] do
        {:ok, address} = :inet.parse_address(to_charlist(address))
        code = "'Elixir.Caravan.Native':address(\"b.family.test\", #{family})"
        assert Vm.eval(a, code) == {:ok, address}
      end
    end
  end

  defp start(name, proto, ip) do
    logger = :logger |> :code.lib_dir() |> Path.join("ebin")
    Vm.start(["-name", "#{name}", "-proto_dist", proto, "-pa", logger], ip: ip)
  end

  defp topology(address) do
    options = [query: "_app._tcp.family.test", nameservers: [address], poll_interval: 500]

    """
    {ok, _} = application:ensure_all_started(caravan),
    {ok, Topologies} = 'Elixir.Caravan':start_link(#{:io_lib.format("~p", [[topologies: [app: options]]])}),
    unlink(Topologies),
    {ok, Topologies}
    """
  end
end
