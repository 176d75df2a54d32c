defmodule Caravan.Topology.MailboxTest do
  # What reaches a topology's process late, twice, for nobody or never.
  use Caravan.TopologyCase, async: true

  test "a look-up that is never answered is a failure", context do
    DnsServer.command(context.server, "fault silence")
    topology = start(context, timeout: 60_000)
    await_event([:lookup, :start])
    [ref] = Map.keys(:sys.get_state(topology).queries.pending)
    send(topology, {:overdue, ref})
    assert %{error: %{kind: :internal, message: message}} = await_event([:lookup, :exception])
    assert message =~ "please report it"
    await_event([:lookup, :start])
  end

  test "an answer that comes after all, as in a VM that was suspended for a while, counts",
       context do
    publish(context, [4001])
    DnsServer.command(context.server, "fault delay 800")
    topology = start(context, timeout: 60_000)
    await_event([:lookup, :start])
    [ref] = Map.keys(:sys.get_state(topology).queries.pending)
    send(topology, {:overdue, ref})
    await_event([:lookup, :exception])
    assert {:ok, nodes} = Caravan.await(context.name)
    assert nodes == [node_on(4001)]
    assert :sys.get_state(topology).queries.late == %{}
  end

  test "two that come after all count both: only the first tells what it changed", context do
    publish(context, [4001])
    DnsServer.command(context.server, "fault delay 1000")
    topology = start(context, timeout: 60_000)

    for _ <- 1..2 do
      await_event([:lookup, :start])
      [ref] = Map.keys(:sys.get_state(topology).queries.pending)
      send(topology, {:overdue, ref})
      assert :ok = Caravan.poll(context.name)
    end

    assert {:ok, nodes} = Caravan.await(context.name)
    assert nodes == [node_on(4001)]
  end

  test "answers and messages of nobody's are ignored", context do
    publish(context, [4001])
    topology = start(context)
    assert {:ok, [_]} = Caravan.await(context.name)

    for message <- [
          {make_ref(), {:ok, %{}}},
          {make_ref(), :ok},
          {:DOWN, make_ref(), :process, self(), :normal},
          {:EXIT, self(), :normal},
          {:overdue, make_ref()},
          {:nodeup, :other@host, []},
          {:nodedown, :other@host, nodedown_reason: {:shutdown, 1}},
          :nonsense
        ],
        do: send(topology, message)

    assert {:ok, [_]} = Caravan.await(context.name)
  end

  test "is woken once for what is due, however late it was", context do
    publish(context, [4001])
    topology = start(context)
    assert {:ok, [_]} = Caravan.await(context.name)

    # What was due is done by an event that came first, and the message of the timer comes after it.
    for _ <- 1..10 do
      :sys.suspend(topology)
      send(topology, {:nodeup, :other@host, []})
      await_messages(topology, 2)
      :sys.resume(topology)
      :sys.get_state(topology)
    end

    drop_lookups()
    :erlang.trace(topology, true, [:receive])
    for _ <- 1..5, do: await_event([:lookup, :start])
    :erlang.trace(topology, false, [:receive])
    ref = :erlang.trace_delivered(topology)
    assert_receive {:trace_delivered, _, ^ref}
    assert wakes(0) in 4..7
  end

  defp await_messages(pid, count) do
    if Process.info(pid, :message_queue_len) < {:message_queue_len, count},
      do: await_messages(pid, count)
  end

  defp wakes(count) do
    receive do
      {:trace, _, :receive, {:timeout, _, :wake}} -> wakes(count + 1)
    after
      0 -> count
    end
  end
end
