defmodule Caravan.FloodTest do
  use ExUnit.Case, async: false

  import ExUnit.CaptureLog
  alias Caravan.{DnsServer, Polls, Topology}

  # A server that hands out names without end: atoms and memory are bounded, and who is a member stays one.

  @moduletag :dns
  @moduletag timeout: 180_000

  @max_members 1_000
  # That many names become atoms although nobody answers for them.
  @trusted 500
  @batch 800

  # Atoms that have nothing to do with names: modules loaded and functions first called while the test runs.
  @other_atoms 200

  # A leak of the names alone, at 24 bytes for each and without any structure, would be more.
  @name_bytes 20

  setup do
    server = DnsServer.start()
    {:ok, server: server}
  end

  defp atoms, do: :erlang.system_info(:atom_count)

  defp resident do
    [_, pages | _] = "/proc/self/statm" |> File.read!() |> String.split()
    String.to_integer(pages) * 4_096
  end

  test "1,000,000 names through a membership", %{server: server} do
    DnsServer.command(server, "flood flood.test #{@batch}")

    # Members come and go as fast as they can.
    membership =
      Polls.membership(server,
        queries: ["flood.test"],
        transport: :tcp,
        expire_after: 1,
        max_members: @max_members
      )

    poll = fn -> Polls.poll(membership, "app-4001@self.test") end

    # Warm: what is allocated once has been.
    added = for _ <- 1..50, name <- poll.().added, do: name
    assert length(added) == @trusted
    before = {atoms(), resident()}

    for _ <- 51..div(1_000_000, @batch) do
      report = poll.()
      assert %{added: [], members: 0, endpoints: @batch} = report
      assert [%{reason: :no_answer, example: "app-61000@f" <> _}] = report.refused
    end

    {atoms, resident} = before
    assert atoms() - atoms <= @other_atoms
    assert resident() - resident <= 1_000_000 * @name_bytes
  end

  # Fewer than above: a topology takes twice the time for each.
  @names 400_000

  # The second time members expire, which gives none of the others their trust.
  for {name, expire_after, members} <- [{:kept, 300_000, @trusted + 1}, {:expired, 1_000, 1}] do
    test "#{@names} names through a topology whose members are #{name}", %{server: server} do
      name = unquote(name)
      live = start(server, name, unquote(expire_after))
      assert {:ok, [^live]} = Caravan.await(name)
      {atoms, resident} = {atoms(), resident()}

      log =
        capture_log(fn ->
          DnsServer.command(server, "flood #{name}.test #{@batch}")
          await_refused(:no_answer, @names - 10_000)
        end)

      # The live one's atom was there before.
      assert (atoms() - atoms) in (@trusted - 1)..(@trusted + @other_atoms)
      assert resident() - resident <= @names * @name_bytes

      assert {:ok, [^live]} = Caravan.await(name)
      refute_received ^live
      assert %{members: unquote(members)} = status = Caravan.status()[name]
      assert length(status.peers) == unquote(members)
      assert %{count: @batch} = Enum.find(status.refused, &(&1.reason == :no_answer))
      assert status |> inspect() |> byte_size() < 10_000

      why = "once their hosts answer a probe"
      assert [line] = for(line <- String.split(log, "\n"), line =~ why, do: line)
      assert line =~ "names in the answer for #{name}.test are waiting to join, such as"
    end
  end

  # A topology with one member that lives and was there first.
  defp start(server, name, expire_after) do
    live = :"app-4001@live.test"
    DnsServer.command(server, "add live.test 0 SRV 0 0 4001 live.test")
    DnsServer.command(server, "add live.test 0 A 127.0.0.1")
    :telemetry.listen(name)

    config = [
      # Names that no other test has made atoms of; short ones, so that an answer holds the addresses, too.
      query: ["live.test", "#{name}.test"],
      node_sname: "app",
      nameservers: [server.address],
      poll_interval: 1,
      timeout: 10_000,
      expire_after: expire_after,
      max_members: @max_members
    ]

    functions = %{
      connect: {Kernel, :==, [live]},
      disconnect: {Kernel, :send, [self()]},
      list_nodes: {List, :wrap, [live]}
    }

    start_supervised!({Topology, Map.merge(%{topology: name, config: config}, functions)})
    live
  end

  # Drops every other event, so that this process's memory says nothing.
  defp await_refused(_, left) when left <= 0, do: :ok

  defp await_refused(reason, left) do
    receive do
      {[:caravan, :member, :refused], %{count: count}, %{reason: ^reason}} ->
        await_refused(reason, left - count)

      {[:caravan | _], _, _} ->
        await_refused(reason, left)
    after
      10_000 -> flunk("#{left} names more should have been refused")
    end
  end
end
