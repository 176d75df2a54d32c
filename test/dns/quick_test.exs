defmodule Caravan.QuickTest do
  # Lookups at a server that has answered before: they go over sockets that are open already, and must end as any other.
  use ExUnit.Case, async: true
  alias Caravan.{DnsServer, Error}

  @moduletag :dns

  setup do
    server = DnsServer.start()
    DnsServer.command(server, "add known.test 5 A 127.0.0.9")
    DnsServer.command(server, "add app.test 5 A 127.0.0.2")
    DnsServer.command(server, "add app.test 5 AAAA ::2")
    assert {:ok, _} = lookup(server, "known.test")
    %{server: server}
  end

  # The first of two values of an option counts.
  defp lookup(server, name, options \\ []),
    do: Caravan.lookup(name, options ++ [type: :a, nameservers: [server.address], timeout: 3_000])

  # Without the lookup of the setup.
  defp queries(server) do
    ["udp=" <> counts] = DnsServer.command(server, "stats")
    [udp, tcp] = String.split(counts, " tcp=")
    {String.to_integer(udp) - 1, String.to_integer(tcp)}
  end

  test "addresses of both families, whatever the letter case and the last dot", %{server: server} do
    for name <- ["app.test", "APP.test.", ~c"App.Test"] do
      assert {:ok, %{ttl: 5, transport: :udp, endpoints: [found]} = lookup} = lookup(server, name)
      assert {found.addresses, found.host, found.port} == {[{127, 0, 0, 2}], nil, nil}
      assert lookup.server == server.address and lookup.refused == [] and lookup.unresolved == []
      assert {:ok, %{endpoints: [six]}} = lookup(server, name, type: :aaaa)
      assert six.addresses == [{0, 0, 0, 0, 0, 0, 0, 2}]
    end

    assert queries(server) == {6, 0}
  end

  test "services, with the addresses that come along or are asked for", %{server: server} do
    DnsServer.command(server, "add _app._tcp.test 7 SRV 0 1 3434 app.test")

    for {additional, asked} <- [{"on", 1}, {"off", 4}] do
      DnsServer.command(server, "additional #{additional}")
      assert {:ok, %{ttl: 5, transport: :udp, endpoints: [found]}} = lookup(server, "_app._tcp.test", type: :srv)
      assert {found.host, found.port} == {"app.test", 3434}
      assert Enum.sort(found.addresses) == [{127, 0, 0, 2}, {0, 0, 0, 0, 0, 0, 0, 2}]
      assert queries(server) == {asked, 0}
    end
  end

  test "no such name, no data, and failures are asked no more often than otherwise", %{server: server} do
    assert {:error, %Error{kind: :nxdomain}} = lookup(server, "other.test")
    assert {:error, %Error{kind: :nodata}} = lookup(server, "known.test", type: :aaaa)
    assert queries(server) == {2, 0}
    DnsServer.command(server, "fault servfail")
    assert {:error, %Error{kind: :servfail, message: message}} = lookup(server, "app.test")
    assert message =~ ~s(looked up "app.test A" at #{server.address} ()
    # A server gets two attempts.
    assert queries(server) == {4, 0}
  end

  test "aliases are followed", %{server: server} do
    DnsServer.command(server, "add www.test 3 CNAME app.test")
    assert {:ok, %{ttl: 3, endpoints: [found]}} = lookup(server, "www.test")
    assert found.addresses == [{127, 0, 0, 2}]
    assert queries(server) == {1, 0}
  end

  test "what is truncated comes whole, over TCP", %{server: server} do
    for n <- 1..200, do: DnsServer.command(server, "add big.test 5 A 127.0.1.#{n}")
    assert {:ok, %{transport: :tcp, endpoints: endpoints}} = lookup(server, "big.test")
    assert length(endpoints) == 200
    assert queries(server) == {1, 1}
  end

  test "silence is an error within the time for all", %{server: server} do
    DnsServer.command(server, "fault silence")
    {us, answer} = :timer.tc(fn -> lookup(server, "app.test", timeout: 1_000) end)
    assert {:error, %Error{kind: :timeout, details: %{elapsed_ms: ms}}} = answer
    assert us in 1_000_000..1_900_000
    assert ms in 1_000..1_900
  end

  test "silence is noticed after a pause, too", %{server: server} do
    assert {:ok, _} = lookup(server, "app.test")
    DnsServer.command(server, "fault silence")
    # Longer than silent questions are looked for, while nobody asks.
    refute_receive _, 200
    assert {:error, %Error{kind: :timeout}} = lookup(server, "app.test", timeout: 1_000)
  end

  test "a server that has gone is noticed at once", %{server: server} do
    DnsServer.stop(server)
    assert {:error, %Error{kind: :network}} = until_gone(server)
  end

  defp until_gone(server) do
    with {:ok, _} <- lookup(server, "app.test"), do: until_gone(server)
  end

  test "one that drops EDNS now, or rejects it, is asked without it", %{server: server} do
    DnsServer.command(server, "fault drop-edns")
    assert {:ok, %{endpoints: [_]}} = lookup(server, "app.test")
    DnsServer.command(server, "fault none")
    assert {:ok, _} = lookup(server, "app.test")

    for fault <- ["formerr", "notimp"] do
      other = DnsServer.start()
      DnsServer.command(other, "add app.test 5 A 127.0.0.2")
      assert {:ok, _} = lookup(other, "app.test")
      DnsServer.command(other, "fault #{fault}")
      assert {:ok, %{endpoints: [_]}} = lookup(other, "app.test")
      # This one and the first were answered at once, and the last one was asked twice.
      assert queries(other) == {2, 0}
    end
  end

  test "the second server answers if the first is silent", %{server: server} do
    silent = DnsServer.start()
    DnsServer.command(silent, "add app.test 5 A 127.0.0.2")
    assert {:ok, _} = lookup(silent, "app.test")
    DnsServer.command(silent, "fault silence")
    both = [nameservers: [silent.address, server.address], type: :a, timeout: 3_000]
    assert {:ok, %{server: answered}} = Caravan.lookup("app.test", both)
    assert answered == server.address
  end

  test "many at once, each with its own answer", %{server: server} do
    for n <- 1..200, do: DnsServer.command(server, "add n#{n}.test 5 A 127.0.2.#{n}")

    answers =
      for _ <- 1..5, n <- 1..200 do
        Task.async(fn -> {n, lookup(server, "n#{n}.test")} end)
      end
      |> Task.await_many(60_000)

    for {n, {:ok, %{endpoints: [found]}}} <- answers,
        do: assert(found.addresses == [{127, 0, 2, n}])

    assert length(answers) == 1_000
  end

  test "nothing is left of a lookup whose caller is killed", %{server: server} do
    DnsServer.command(server, "fault delay 100")
    {caller, ref} = spawn_monitor(fn -> lookup(server, "app.test") end)
    Process.exit(caller, :kill)
    assert_receive {:DOWN, ^ref, _, _, _}, 5_000
    assert {:ok, _} = lookup(server, "app.test")
  end
end
