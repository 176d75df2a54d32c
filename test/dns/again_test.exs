defmodule Caravan.AgainTest do
  use ExUnit.Case, async: true

  alias Caravan.{DnsServer, Polls}

  # Polls whose answer says what the one before it said: its records are not read, and nobody can tell.

  @moduletag :dns
  @self "app-4370@10.0.0.9"

  setup do
    {:ok, server: DnsServer.start()}
  end

  defp poller(server, type, options \\ []) do
    membership = membership(server, type, options)
    fn -> Polls.poll(membership, @self) end
  end

  defp membership(server, type, options) do
    template = if type == :srv, do: "app-{port}@{host}", else: "{sname}@{ip}"
    defaults = [queries: ["again.test"], source: type, sname: "app-4370", template: template]
    Polls.membership(server, Keyword.merge(defaults, options))
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

  test "one that another has overtaken takes nobody away", %{server: server} do
    add(server, ["again.test 60 A 10.0.0.1"])
    membership = membership(server, :a, max_members: 1, expire_after: 1)
    poll = fn -> Polls.poll(membership, @self) end
    assert %{added: [_]} = poll.()
    DnsServer.command(server, "fault delay 1000")
    overtaken = Polls.ask(membership, @self)
    # The server has it by then; if not, there is nothing to overtake.
    refute_receive {^overtaken, _}, 100
    DnsServer.command(server, "fault none")
    # Not taken in whole, so that the answer before it is the known one no more.
    add(server, ["again.test 60 A 10.0.0.2"])
    assert %{refused: [_]} = poll.()
    assert %{expired: []} = Polls.report(overtaken)
    DnsServer.command(server, "remove again.test A 10.0.0.2")
    for _ <- 1..5, do: assert(%{expired: [], members: 1, endpoints: 1} = poll.())
  end
end
