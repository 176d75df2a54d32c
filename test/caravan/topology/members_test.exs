defmodule Caravan.Topology.MembersTest do
  use Caravan.TopologyCase, async: true

  alias Caravan.Vm

  # Which names become atoms and members, with real probes.

  # The names are made as text, since none of them is to be an atom by that.
  defp name(context, port), do: "#{sname(context)}-#{port}@127.0.0.1"
  defp sname(context), do: "new#{:erlang.phash2(context.test)}"

  defp atom?(name) do
    _ = String.to_existing_atom(name)
    true
  rescue
    ArgumentError -> false
  end

  defp members(context), do: context.name |> Caravan.members() |> Enum.map(&Atom.to_string/1)

  defp publish_ports(context, ports),
    do: DnsServer.publish(context.server, "app.test", ports, "127.0.0.1")

  # Hangs up when the other side does.
  defp listener do
    {:ok, listener} = :gen_tcp.listen(0, ip: {127, 0, 0, 1}, active: true, backlog: 64)
    {:ok, port} = :inet.port(listener)
    spawn_link(fn -> accept(listener) end)
    port
  end

  defp accept(listener) do
    {:ok, _hangs_up} = :gen_tcp.accept(listener)
    accept(listener)
  end

  test "names beyond half the budget join when their hosts answer, and stay text if not",
       context do
    {trusted, later} = Enum.split(Vm.free_ports(10), 4)
    live = for _ <- 1..3, do: listener()

    publish_ports(context, trusted)
    options = [node_sname: sname(context), max_members: 8, poll_interval: 60_000]
    start(context, options, %{})
    for _ <- trusted, do: await_event([:member, :added])

    log =
      capture_log(fn ->
        publish_ports(context, trusted ++ later ++ live)
        :ok = Caravan.poll(context.name)
        # Long before the next look-up.
        for _ <- live, do: await_event([:member, :added])
        joined = trusted ++ live
        assert Enum.sort(members(context)) == Enum.sort(Enum.map(joined, &name(context, &1)))
        refute Enum.any?(later, &atom?(name(context, &1)))

        # Refused are those whose probes have failed by the time of an answer.
        Vm.eventually("all of the others are refused", fn ->
          :ok = Caravan.poll(context.name)
          match?(%{count: 6}, Enum.find(status(context).refused, &(&1.reason == :no_answer)))
        end)

        assert length(later) == 6
        await_event([:member, :refused], &(&1.reason == :no_answer))
        refute Enum.any?(later, &atom?(name(context, &1)))
      end)

    assert log =~ "of the names in the answer for app.test are waiting to join, such as"
    assert log =~ "these join once their hosts answer a probe"
  end

  test "probes of new names end with their topology", context do
    {:ok, silent} = :gen_tcp.listen(0, ip: {127, 0, 0, 1}, active: false, exit_on_close: false)
    {:ok, port} = :inet.port(silent)
    [dead] = Vm.free_ports(1)
    publish_ports(context, [dead])
    start(context, [node_sname: sname(context), max_members: 2, poll_interval: 60_000], %{})
    await_event([:member, :added])

    publish_ports(context, [dead, port])
    :ok = Caravan.poll(context.name)
    {:ok, probe} = :gen_tcp.accept(silent, @wait)
    assert :ok = :gen_tcp.send(probe, "still there?")
    start = System.monotonic_time(:millisecond)
    stop_supervised!(context.name)
    Vm.eventually("it is gone", fn -> :gen_tcp.send(probe, "?") != :ok end)
    # It had two seconds.
    assert System.monotonic_time(:millisecond) - start < 1_900
    refute atom?(name(context, port))
  end

  test "a member that never answered makes room for a name that does", context do
    [dead] = Vm.free_ports(1)
    live = listener()
    # Names that are atoms cost none.
    for port <- [dead, live], do: _ = String.to_atom(name(context, port))
    publish_ports(context, [dead])
    start(context, [node_sname: sname(context), max_members: 1], %{})
    await_event([:member, :added])

    publish_ports(context, [dead, live])
    gone = await_event([:member, :expired]).node
    assert Atom.to_string(gone) == name(context, dead)
    assert members(context) == [name(context, live)]

    # It doesn't come back in its place, however often it is listed.
    drop_lookups()
    for _ <- 1..5, do: await_event([:lookup, :stop])
    assert members(context) == [name(context, live)]
    refute_received {[:caravan, :member, :expired], _, _}
  end
end
