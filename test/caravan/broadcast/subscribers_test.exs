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
      :ets.lookup(Subscribers, key) == [{key, test}]
    end)

    refute is_map_key(:sys.get_state(Subscribers), pid)
  end

  test "what is no question of ours changes nothing" do
    before = Process.whereis(Subscribers)
    send(Subscribers, {:DOWN, make_ref(), :process, self(), :hello})
    GenServer.cast(Subscribers, :hello)
    send(Subscribers, {:"$gen_call", {self(), make_ref()}, :hello})
    assert is_map(:sys.get_state(Subscribers))
    assert Process.whereis(Subscribers) == before
  end
end
