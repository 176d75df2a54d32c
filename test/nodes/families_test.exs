defmodule Caravan.Nodes.FamiliesTest do
  use ExUnit.Case, async: false
  alias Caravan.{Knot, Vm}

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
      [a_port, b_port] = ports = Vm.free_ports(2)

      server =
        Knot.start("family.test", """
        _app._tcp SRV 0 0 #{a_port} a
        _app._tcp SRV 0 0 #{b_port} b
        a A #{unquote(v4)}
        a AAAA #{unquote(v6)}
        b A #{unquote(v4)}
        b AAAA #{unquote(v6)}
        """)

      [a_name, b_name] =
        for {host, port} <- Enum.zip(["a", "b"], ports), do: :"app-#{port}@#{host}.family.test"

      [a, b] = for name <- [a_name, b_name], do: start(name, unquote(proto), ip)
      assert {:ok, _} = Vm.eval(a, topology(server))

      Vm.eventually("the nodes are connected", fn -> Vm.eval(a, "nodes()") == [b_name] end)
      assert Vm.eval(b, "nodes()") == [a_name]

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

  defp topology(server) do
    options = [query: "_app._tcp.family.test", nameservers: [server], poll_interval: 500]

    """
    {ok, _} = application:ensure_all_started(caravan),
    {ok, Topologies} = 'Elixir.Caravan':start_link(#{:io_lib.format("~p", [[topologies: [app: options]]])}),
    unlink(Topologies),
    {ok, Topologies}
    """
  end
end
