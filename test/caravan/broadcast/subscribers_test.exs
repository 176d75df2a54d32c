defmodule Caravan.Broadcast.SubscribersTest do
  use ExUnit.Case, async: true
  alias Caravan.Broadcast.Subscribers

  setup context, do: {:ok, key: {context.test, :message}}

  test "who subscribes gets each message once, who unsubscribes none", %{key: key} do
    for _ <- 1..2, do: :ok = Subscribers.subscribe(key)
    :ok = Subscribers.subscribe({key, :other})
    Subscribers.deliver(key, :hello)
    assert_receive :hello
    refute_received :hello
    :ok = Subscribers.unsubscribe(key)
    :ok = Subscribers.unsubscribe(key)
    Subscribers.deliver(key, :hello)
    Subscribers.deliver({key, :other}, :other)
    assert_receive :other
    refute_received :hello
  end

  test "who ends is forgotten, and no subscriber is held up by another", %{key: key} do
    test = self()

    {pid, monitor} =
      spawn_monitor(fn ->
        :ok = Subscribers.subscribe(key)
        send(test, :subscribed)
        Process.sleep(:infinity)
      end)

    assert_receive :subscribed
    :ok = Subscribers.subscribe(key)
    # It can't take anything in.
    true = :erlang.suspend_process(pid)
    Subscribers.deliver(key, :hello)
    assert_receive :hello
    true = :erlang.resume_process(pid)
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}
    # The monitor of the server's was set earlier, and this comes later.
    Caravan.Vm.eventually("it is forgotten", fn ->
      :ets.match(Subscribers, {{key, :"$1"}}) == [[test]]
    end)

    refute is_map_key(:sys.get_state(Subscribers), pid)
  end

  test "thousands of subscribers to one topology come and go as fast as those to many", %{key: key} do
    count = 8_000

    # What else the machine does slows one of the two, but not each time.
    assert Enum.any?(1..5, fn _try ->
             many = come_and_go(for number <- 1..count, do: {key, number})
             come_and_go(List.duplicate(key, count)) < 5 * many
           end)
  end

  # How long it takes, in ms.
  defp come_and_go(keys) do
    test = self()

    subscribe = fn key ->
      spawn(fn ->
        :ok = Subscribers.subscribe(key)
        send(test, :subscribed)
        Process.sleep(:infinity)
      end)
    end

    before = System.monotonic_time(:millisecond)
    pids = Enum.map(keys, subscribe)
    for _ <- pids, do: assert_receive(:subscribed, 30_000)
    for pid <- pids, do: Process.exit(pid, :kill)
    gone? = fn -> not Enum.any?(pids, &is_map_key(:sys.get_state(Subscribers, 30_000), &1)) end
    Caravan.Vm.eventually("they are forgotten", gone?, 30_000)
    System.monotonic_time(:millisecond) - before
  end

  test "what is no question of ours changes nothing" do
    before = Process.whereis(Subscribers)
    send(Subscribers, {:DOWN, make_ref(), :process, self(), :hello})
    GenServer.cast(Subscribers, :hello)

    for question <- [:hello, {:subscribe, {:topology, :message}, "no process"}, {:unsubscribe, :what, "no process"}],
        do: send(Subscribers, {:"$gen_call", {self(), make_ref()}, question})

    assert is_map(:sys.get_state(Subscribers))
    assert Process.whereis(Subscribers) == before
  end
end
