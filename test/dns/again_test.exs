defmodule Caravan.AgainTest do
  use ExUnit.Case, async: true

  alias Caravan.{DnsServer, Native}

  # Polls whose answer says what the one before it said: its records are not read, and nobody can tell.

  @moduletag :dns

  setup do
    {:ok, server: DnsServer.start()}
  end

  defp poller(server, type, options \\ []) do
    spec =
      Map.merge(
        %{
          queries: ["again.test"],
          type: type,
          nameservers: [server.address],
          transport: :auto,
          timeout: 10_000,
          sname: "app-4370",
          template: if(type == :srv, do: "app-{port}@{host}", else: "{sname}@{ip}"),
          expire_after: 300_000,
          withdraw_after: nil,
          max_members: 100,
          allow: []
        },
        Map.new(options)
      )

    {:ok, membership} = Native.membership_new(spec)

    fn ->
      ref = make_ref()
      :ok = Native.poll(membership, 0, ref, "app-4370@10.0.0.9")
      assert_receive {^ref, {:ok, report}}, 20_000
      report
    end
  end

  defp add(server, records), do: Enum.each(records, &DnsServer.command(server, "add " <> &1))

  test "a report is complete, and a change is seen", %{server: server} do
    add(server, ["again.test 60 A 10.0.0.1", "again.test 60 A 10.0.0.2"])
    poll = poller(server, :a)
    assert Enum.sort(poll.().added) == ["app-4370@10.0.0.1", "app-4370@10.0.0.2"]
    first = poll.()
    assert %{added: [], endpoints: 2, members: 2, ttl: 60, transport: :udp, refused: []} = first
    assert first.server == server.address

    # The order and the TTL are no news, but the TTL is told.
    DnsServer.command(server, "remove again.test")
    add(server, ["again.test 7 A 10.0.0.2", "again.test 7 A 10.0.0.1"])
    assert %{added: [], expired: [], endpoints: 2, members: 2, ttl: 7} = poll.()
    add(server, ["again.test 7 A 10.0.0.3"])
    assert %{added: ["app-4370@10.0.0.3"], endpoints: 3, members: 3} = poll.()
  end

  test "who is missing expires while the answer stays the same", %{server: server} do
    add(server, ["again.test 60 A 10.0.0.1", "again.test 60 A 10.0.0.2"])
    poll = poller(server, :a, expire_after: 1)
    poll.()
    DnsServer.command(server, "remove again.test A 10.0.0.2")
    expired = Enum.find_value(1..1_000, fn _ -> with %{expired: []} <- poll.(), do: nil end)
    assert %{expired: ["app-4370@10.0.0.2"], members: 1, endpoints: 1} = expired
    assert %{expired: [], members: 1, endpoints: 1} = poll.()
    add(server, ["again.test 60 A 10.0.0.2"])
    assert %{added: ["app-4370@10.0.0.2"], members: 2} = poll.()
  end

  test "a target that moved, in the additional section or asked for", %{server: server} do
    for additional <- ~w(on off) do
      DnsServer.command(server, "clear")
      DnsServer.command(server, "additional #{additional}")
      add(server, ["again.test 60 SRV 0 10 4001 n1.test", "n1.test 60 A 10.0.0.1"])
      add(server, ["again.test 60 SRV 0 10 4002 n2.test"])
      poll = poller(server, :srv)
      assert Enum.sort(poll.().added) == ["app-4001@n1.test", "app-4002@n2.test"]
      assert %{moved: [], endpoints: 2, unresolved: ["n2.test"]} = poll.()
      DnsServer.command(server, "remove n1.test")
      add(server, ["n1.test 60 A 10.0.0.2", "n2.test 60 A 10.0.0.3"])
      assert %{moved: moved, endpoints: 2, unresolved: []} = poll.()
      assert Enum.sort(moved) == ["app-4001@n1.test", "app-4002@n2.test"]
      assert %{moved: [], endpoints: 2, unresolved: []} = poll.()
    end
  end

  test "what is refused is told each time", %{server: server} do
    add(server, ["again.test 60 A 10.0.0.1", "again.test 60 A 10.0.0.2"])
    poll = poller(server, :a, max_members: 1)
    for _ <- 1..3, do: assert(%{refused: [%{reason: :max_members, count: 1}]} = poll.())
  end
end
