defmodule Caravan.Topology.MailboxTest do
  # What reaches a topology's process late, twice, for nobody or never.
  use Caravan.TopologyCase, async: true
  alias Caravan.{PacketServer, Vm}

  # Whom the answers of `held/0` name.
  @found :"app-4001@127.0.0.9"

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
    topology = start(context, held())
    await_event([:lookup, :start])
    [ref] = Map.keys(:sys.get_state(topology).queries.pending)
    send(topology, {:overdue, ref})
    await_event([:lookup, :exception])
    release()
    assert {:ok, [@found]} = Caravan.await(context.name)
    Vm.eventually("all are there", fn -> :sys.get_state(topology).queries.late == %{} end)
  end

  test "two that come after all count both: only the first tells what it changed", context do
    topology = start(context, held())

    for _ <- 1..2 do
      await_event([:lookup, :start])
      [ref] = Map.keys(:sys.get_state(topology).queries.pending)
      send(topology, {:overdue, ref})
      assert :ok = Caravan.poll(context.name)
    end

    release()
    assert {:ok, [@found]} = Caravan.await(context.name)
  end

  # The options of a topology whose DNS server answers nothing before `release/0`.
  defp held do
    test = self()

    address =
      PacketServer.start(fn _, question ->
        unless Process.get(:released) do
          send(test, {:held, self()})
          receive do: (:release -> Process.put(:released, true))
        end

        [PacketServer.answer(question)]
      end)

    [nameservers: [address], type: :a, node_sname: "app-4001", timeout: 60_000]
  end

  defp release do
    assert_receive {:held, server}, @wait
    send(server, :release)
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
    # On a busy machine there have been more look-ups by now. Each woke it once; a few wakes are for something else.
    :sys.get_state(topology)
    assert wakes(0) in 4..(5 + starts(0) + 2)
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

  defp starts(count) do
    receive do
      {[:caravan, :lookup, :start], _, _} -> starts(count + 1)
    after
      0 -> count
    end
  end
end
