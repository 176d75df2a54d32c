defmodule Caravan.KnotTest do
  use ExUnit.Case, async: false

  @moduletag :dns

  setup_all do
    many_a = for n <- 1..1_000, do: "many A 10.0.#{div(n, 250)}.#{rem(n, 250) + 1}\n"

    many_srv =
      for n <- 1..500,
          do: "_many._tcp SRV 0 0 3434 h#{n}\nh#{n} A 10.1.#{div(n, 250)}.#{rem(n, 250) + 1}\n"

    server =
      Caravan.Knot.start("caravan.test", """
      app A 127.0.0.2
      app A 127.0.0.3
      app AAAA ::1
      alias CNAME app
      _app._tcp SRV 1 5 3434 n1
      _app._tcp SRV 0 5 3435 n2
      n1 A 127.0.0.4
      n2 AAAA ::1
      _none._tcp SRV 0 0 0 .
      #{many_a}
      #{many_srv}
      """)

    {:ok, server: server}
  end

  defp lookup(context, query, opts),
    do: Caravan.lookup(query <> ".caravan.test", [nameservers: [context.server]] ++ opts)

  test "addresses", context do
    assert {:ok, %{endpoints: endpoints, ttl: 60, transport: :udp}} =
             lookup(context, "app", type: :a)

    assert Enum.map(endpoints, & &1.addresses) == [[{127, 0, 0, 2}], [{127, 0, 0, 3}]]
    assert {:ok, %{endpoints: [_, _, six]}} = lookup(context, "app", type: :ip)
    assert six.addresses == [{0, 0, 0, 0, 0, 0, 0, 1}]
    assert {:ok, %{endpoints: [_, _]}} = lookup(context, "alias", type: :a)
  end

  test "services in order, with the addresses of their targets", context do
    assert {:ok, %{endpoints: [second, first]}} = lookup(context, "_app._tcp", type: :srv)
    assert %{host: "n2.caravan.test", port: 3435, priority: 0, weight: 5} = second
    assert second.addresses == [{0, 0, 0, 0, 0, 0, 0, 1}]
    assert %{host: "n1.caravan.test", port: 3434, addresses: [{127, 0, 0, 4}]} = first
  end

  test "big answers arrive whole, over TCP", context do
    assert {:ok, %{endpoints: endpoints, transport: :tcp}} = lookup(context, "many", type: :a)
    assert length(endpoints) == 1_000

    assert {:ok, %{endpoints: services, unresolved: []}} =
             lookup(context, "_many._tcp", type: :srv, timeout: 10_000)

    assert length(services) == 500
    assert Enum.all?(services, &match?([_], &1.addresses))
  end

  test "failures are told apart", context do
    assert {:error, %Caravan.Error{kind: :nxdomain}} = lookup(context, "nope", type: :a)
    assert {:error, %Caravan.Error{kind: :nodata}} = lookup(context, "n1", type: :aaaa)
    assert {:error, %Caravan.Error{kind: :nodata}} = lookup(context, "_none._tcp", type: :srv)

    assert {:error, %Caravan.Error{kind: :refused, message: message}} =
             Caravan.lookup("elsewhere.test", type: :a, nameservers: [context.server])

    assert message =~ context.server
  end
end
