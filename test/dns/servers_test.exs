defmodule Caravan.ServersTest do
  use ExUnit.Case, async: false

  @moduletag :dns
  @moduletag timeout: 120_000

  # Only a failing test waits so long.
  @patience [timeout: 60_000]

  @v6 {0, 0, 0, 0, 0, 0, 0, 1}

  # So short a name that 2,000 SRV records fit into one message.
  @zone "c.test"

  setup_all do
    records = """
    app A 127.0.0.2
    app A 127.0.0.3
    app AAAA ::1
    alias CNAME App
    alias2 CNAME alias.#{@zone}.
    away CNAME app.elsewhere.test.
    _app._tcp SRV 1 5 3434 n1
    _app._tcp SRV 0 5 3435 n2
    _app._tcp SRV 0 1 3437 N3
    _app._tcp SRV 0 1 3436 N3
    _app._tcp SRV 2 0 3438 gone
    _alias._tcp CNAME _app._tcp
    n1 A 127.0.0.4
    n2 AAAA ::1
    n3 A 127.0.0.5
    n3 AAAA ::1
    _none._tcp SRV 0 0 0 .
    sub NS ns.sub
    ns.sub A 127.0.0.1
    #{for n <- 1..4_000, do: "many A 10.0.#{div(n, 250)}.#{rem(n, 250) + 1}\n"}
    #{for n <- 1..2_000, do: "half A 10.2.#{div(n, 250)}.#{rem(n, 250) + 1}\n"}
    #{for n <- 1..2_000, do: "_many._tcp SRV 0 0 3434 h#{n}\nh#{n} A 10.1.#{div(n, 250)}.#{rem(n, 250) + 1}\n"}
    #{for n <- 1..6_000, do: "toomany A 10.0.#{div(n, 250)}.#{rem(n, 250) + 1}\n"}
    """

    knot = Caravan.Knot.start(@zone, records)

    {:ok,
     knot: knot,
     bind: Caravan.Bind.start(@zone, records),
     unbound: Caravan.Unbound.start(knot),
     dnsmasq: Caravan.Dnsmasq.start(knot)}
  end

  defp lookup(server, query, opts),
    do: Caravan.lookup(query, [nameservers: List.wrap(server)] ++ opts ++ @patience)

  defp kind(server, query, opts) do
    assert {:error, %Caravan.Error{kind: kind, message: message}} = lookup(server, query, opts)
    assert message =~ query |> String.downcase() |> String.trim_trailing(".")
    kind
  end

  for name <- [:knot, :bind, :unbound, :dnsmasq] do
    describe "#{name}:" do
      setup context, do: {:ok, server: context[unquote(name)]}

      test "addresses, whatever the letter case and the last dot", %{server: server} do
        for query <- ["app.c.test", "APP.c.Test.", ~c"app.C.test"] do
          assert {:ok, %{endpoints: endpoints, ttl: ttl, server: ^server, transport: :udp}} =
                   lookup(server, query, type: :a)

          assert ttl in 0..60
          assert Enum.map(endpoints, & &1.addresses) == [[{127, 0, 0, 2}], [{127, 0, 0, 3}]]
        end

        assert {:ok, %{endpoints: [%{host: nil, port: nil, addresses: [@v6]}]}} =
                 lookup(server, "app.c.test", type: :aaaa)

        assert {:ok, %{endpoints: [_, _, %{addresses: [@v6]}]}} = lookup(server, "app.c.test", type: :ip)
      end

      test "aliases", %{server: server} do
        for query <- ["alias.c.test", "alias2.c.test"] do
          assert {:ok, %{endpoints: [_, _, _]}} = lookup(server, query, type: :ip)
        end

        assert {:ok, %{endpoints: [_, _, _, _, _]}} = lookup(server, "_alias._tcp.c.test", [])
      end

      test "services by priority, weight and name, each target with all its addresses", %{
        server: server
      } do
        assert {:ok, found} = lookup(server, "_APP._tcp.c.test.", type: :srv)

        assert Enum.map(
                 found.endpoints,
                 &{&1.priority, &1.weight, &1.host, &1.port, &1.addresses}
               ) ==
                 [
                   {0, 1, "n3.c.test", 3436, [{127, 0, 0, 5}, @v6]},
                   {0, 1, "n3.c.test", 3437, [{127, 0, 0, 5}, @v6]},
                   {0, 5, "n2.c.test", 3435, [@v6]},
                   {1, 5, "n1.c.test", 3434, [{127, 0, 0, 4}]},
                   {2, 0, "gone.c.test", 3438, []}
                 ]

        assert found.unresolved == ["gone.c.test"]
      end

      test "no such name and no data", %{server: server} do
        for type <- [:srv, :a, :aaaa, :ip],
            do: assert(kind(server, "nope.c.test", type: type) == :nxdomain)

        assert kind(server, "n1.c.test", type: :aaaa) == :nodata
        assert kind(server, "n1.c.test", type: :srv) == :nodata
        assert kind(server, "_app._tcp.c.test", type: :ip) == :nodata
        assert kind(server, "_none._tcp.c.test", type: :srv) == :nodata
      end
    end
  end

  test "a server that is not asked to resolve refuses foreign names, behind aliases too",
       context do
    for server <- [context.knot, context.bind] do
      assert kind(server, "elsewhere.test", type: :a) == :refused

      assert {:error, %{kind: :refused, message: message}} = lookup(server, "away.c.test", type: :a)

      assert message =~ "app.elsewhere.test"
    end
  end

  test "a referral is no answer", context do
    for server <- [context.knot, context.bind] do
      assert kind(server, "app.sub.c.test", type: :a) == :servfail
    end

    assert {:error, %{message: message}} = lookup(context.bind, "app.sub.c.test", type: :a)
    assert message =~ "referral"
  end

  test "a zone that did not load, and a forwarder that is refused, are SERVFAIL", context do
    for server <- [context.knot, context.bind],
        do: assert(kind(server, "app.broken.test", type: :a) == :servfail)

    assert kind(context.unbound, "elsewhere.test", type: :a) == :servfail
  end

  test "a resolver whose forwarder is dead keeps silent; the deadline holds" do
    [port] = Caravan.Vm.free_ports(1)
    orphan = Caravan.Unbound.start("127.0.0.1:#{port}")
    assert kind(orphan, "app.c.test", type: :a, timeout: 500) == :timeout
  end

  test "big answers come whole, over TCP", context do
    # Unbound since 1.26 takes no answer with more than 2,048 compressed names.
    for {server, name, count} <- [
          {context.knot, "many", 4_000},
          {context.bind, "many", 4_000},
          {context.unbound, "half", 2_000}
        ],
        transport <- [:auto, :tcp] do
      assert {:ok, %{endpoints: addresses, transport: :tcp}} =
               lookup(server, "#{name}.c.test", type: :a, transport: transport)

      assert length(addresses) == count
    end

    for server <- [context.knot, context.bind] do
      assert {:ok, %{endpoints: services, transport: :tcp, unresolved: []}} =
               lookup(server, "_many._tcp.c.test", type: :srv)

      assert length(services) == 2_000
      assert Enum.all?(services, &match?([{10, 1, _, _}], &1.addresses))
    end
  end

  test "what no message can hold is a failure", context do
    # Both send a set of records as a whole or not at all. BIND cuts answers over TCP, too; Knot has SERVFAIL there.
    for {server, why} <- [{context.bind, "64 KiB"}, {context.knot, "answered SERVFAIL"}] do
      assert {:error, %{kind: :truncated, message: message, details: details}} =
               lookup(server, "toomany.c.test", type: :a)

      assert message =~ why and not is_map_key(details, :partial)
    end

    # Where nothing else was to be had.
    assert kind(context.knot, "toomany.c.test", type: :a, transport: :tcp) == :servfail
  end

  test "over IPv6", context do
    "127.0.0.1:" <> port = context.knot
    address = "[::1]:#{port}"

    for transport <- [:auto, :tcp] do
      assert {:ok, %{endpoints: [_, _], server: ^address}} =
               lookup(address, "app.c.test", type: :a, transport: transport)
    end
  end

  test "a closed port or a failing server first, a live one second", context do
    [port] = Caravan.Vm.free_ports(1)
    live = context.knot

    for sick <- ["127.0.0.1:#{port}", "[::1]:#{port}", context.bind],
        query = if(sick == context.bind, do: "app.broken.test", else: "app.c.test"),
        servers <- [[sick, live], [live, sick]] do
      case lookup(servers, query, type: :a) do
        {:ok, found} -> assert found.server == live and query == "app.c.test"
        # Nobody has this one: both were asked, and the failure of either is told.
        {:error, error} -> assert error.kind in [:servfail, :refused] and sick == context.bind
      end
    end
  end
end
