defmodule Caravan.Broadcast.Subscribers do
  @moduledoc false
  # Who wants the broadcasts of a topology on this node. A process of the application, so that a topology that is started
  # again has the subscribers it had. They are monitored, not linked; whoever delivers reads the table. That is sorted:
  # to find a process among all others of the same key takes few steps, where in a bag it takes as many as there are.

  use GenServer

  @table __MODULE__

  @type key :: {topology :: term, channel :: atom}

  @spec start_link(term) :: GenServer.on_start()
  def start_link(_), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @doc "The calling process wants it. Once is as good as twice."
  @spec subscribe(key) :: :ok
  def subscribe(key), do: GenServer.call(__MODULE__, {:subscribe, key, self()})

  @doc "The calling process doesn't want it any more."
  @spec unsubscribe(key) :: :ok
  def unsubscribe(key), do: GenServer.call(__MODULE__, {:unsubscribe, key, self()})

  @doc "Sends each subscriber the message. Waits for nobody."
  @spec deliver(key, term) :: :ok
  def deliver(key, message) do
    # Whatever the key is made of, no part of it is a pattern. A number is less than any pid.
    deliver(:ets.next(@table, {key, 0}), key, message)
  rescue
    # The table is gone while the application stops.
    ArgumentError -> :ok
  end

  defp deliver({key, pid} = entry, key, message) do
    send(pid, message)
    deliver(:ets.next(@table, entry), key, message)
  end

  defp deliver(_another_or_none, _key, _message), do: :ok

  @doc "How many subscribers a topology has, on all channels."
  @spec count(topology :: term) :: non_neg_integer
  def count(topology) do
    :ets.select_count(@table, [{{{{:"$1", :_}, :_}}, [{:"=:=", :"$1", {:const, topology}}], [true]}])
  rescue
    ArgumentError -> 0
  end

  @impl true
  def init([]) do
    _ = :ets.new(@table, [:named_table, :ordered_set, :protected, read_concurrency: true])
    # By the pid: its monitor and what it wants.
    {:ok, %{}}
  end

  @impl true
  def handle_call({:subscribe, key, pid}, _from, state) when is_pid(pid) and node(pid) == node() do
    true = :ets.insert(@table, {{key, pid}})

    {monitor, keys} = Map.get_lazy(state, pid, fn -> {Process.monitor(pid), MapSet.new()} end)

    {:reply, :ok, Map.put(state, pid, {monitor, MapSet.put(keys, key)})}
  end

  def handle_call({:unsubscribe, key, pid}, _from, state) do
    true = :ets.delete(@table, {key, pid})

    with %{^pid => {monitor, keys}} <- state do
      keys = MapSet.delete(keys, key)

      if MapSet.size(keys) == 0 do
        Process.demonitor(monitor, [:flush])
        {:reply, :ok, Map.delete(state, pid)}
      else
        {:reply, :ok, %{state | pid => {monitor, keys}}}
      end
    else
      _never_subscribed -> {:reply, :ok, state}
    end
  end

  # Anyone in the cluster may call and cast, too, and would end this by that, and with it all subscriptions.
  def handle_call(_no_question_of_ours, _from, state), do: {:noreply, state}

  @impl true
  def handle_cast(_no_message_of_ours, state), do: {:noreply, state}

  @impl true
  def handle_info({:DOWN, monitor, :process, pid, _reason}, state) do
    case state do
      %{^pid => {^monitor, keys}} ->
        for key <- keys, do: :ets.delete(@table, {key, pid})
        {:noreply, Map.delete(state, pid)}

      _ ->
        {:noreply, state}
    end
  end

  def handle_info(_no_message_of_ours, state), do: {:noreply, state}
end
