defmodule Caravan.Link.SetUps do
  @moduledoc false
  # Why links could not be set up. net_kernel tells whoever wants a link only that there is none; the reason is that with
  # which the process ended that was setting it up, such as `{:recv_challenge_ack_failed, …}` for another cookie. That
  # process calls `:caravan_epmd`, which has it watched here.

  use GenServer

  # How long a reason is kept, in ms. Whoever was waiting for the link wants to know it at once.
  @keep 60_000

  @spec start_link(term) :: GenServer.on_start()
  def start_link(_), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @doc """
  How the set-up of a link to `node` ended, if at or after `since`, in ms of monotonic time: `:under_way` if it hasn't,
  `:unknown` if nobody saw it.
  """
  @spec ended(node, integer) :: {:ended, term} | :under_way | :unknown
  def ended(node, since) do
    case :ets.lookup(__MODULE__, Atom.to_charlist(node)) do
      [{_node, _set_up, :under_way}] -> :under_way
      [{_node, _set_up, {:ended, reason, at}}] when at >= since -> {:ended, reason}
      _none_or_an_earlier_one -> :unknown
    end
  rescue
    # The process, and the table with it, is just being restarted.
    ArgumentError -> :unknown
  end

  @impl true
  def init([]) do
    _ = :ets.new(__MODULE__, [:named_table, :protected, read_concurrency: true])
    {:ok, %{}}
  end

  @impl true
  def handle_info({:watch, set_up, node}, watched) when is_pid(set_up) do
    :ets.insert(__MODULE__, {node, set_up, :under_way})
    {:noreply, Map.put(watched, Process.monitor(set_up), node)}
  end

  # It has given up, or has lost the link that it had made.
  def handle_info({:DOWN, ref, :process, set_up, reason}, watched) when is_map_key(watched, ref) do
    {node, watched} = Map.pop!(watched, ref)

    case :ets.lookup(__MODULE__, node) do
      [{_node, ^set_up, :under_way}] -> note(node, set_up, reason)
      _of_a_later_one -> :ok
    end

    {:noreply, watched}
  end

  def handle_info(_message, watched), do: {:noreply, watched}

  defp note(node, set_up, reason) do
    now = :erlang.monotonic_time(:millisecond)
    over = {{:_, :_, {:ended, :_, :"$1"}}, [{:<, :"$1", now - @keep}], [true]}
    _ = :ets.select_delete(__MODULE__, [over])
    :ets.insert(__MODULE__, {node, set_up, {:ended, reason, now}})
  end
end
