defmodule Caravan.Farewell do
  @moduledoc false
  # Says good-bye for this node and hears it from others. The name of this process and the messages
  # `{Caravan.Farewell, :leaving | :staying, node}` are spoken between nodes of different versions: none of
  # them changes. A word that is not known is ignored.

  use GenServer
  alias Caravan.Topologies

  @spec start_link(term) :: GenServer.on_start()
  def start_link(_), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @doc "Tells `nodes` what this one is about to do. Neither waits nor connects."
  @spec tell([node], :leaving | :staying) :: :ok
  def tell(nodes, word) do
    for node <- nodes do
      :erlang.send({__MODULE__, node}, {__MODULE__, word, node()}, [:noconnect, :nosuspend])
    end

    :ok
  end

  @doc "From now on no topology of this node dials or looks up, not even after a restart."
  @spec drain() :: :ok
  def drain do
    :ok = leave()
    _ = Topologies.call_all(:drain, 5_000)
    :ok
  end

  @doc "Tells all connected nodes that this one is going away, and those that connect from now on."
  @spec leave() :: :ok
  def leave, do: GenServer.call(__MODULE__, :leave)

  @spec draining?() :: boolean
  def draining?, do: GenServer.call(__MODULE__, :draining?)

  @impl true
  def init([]) do
    # Those that heard a good-bye and are still linked have to hear that nothing came of it.
    tell(:erlang.nodes(:connected), :staying)
    {:ok, %{draining?: false}}
  end

  @impl true
  def handle_call(:leave, _from, state) do
    # Who has this node among its peers need not be among its own, and may come only later.
    unless state.draining?, do: :ok = :net_kernel.monitor_nodes(true, node_type: :all)
    tell(:erlang.nodes(:connected), :leaving)
    {:reply, :ok, %{state | draining?: true}}
  end

  def handle_call(:draining?, _from, state), do: {:reply, state.draining?, state}

  @impl true
  def handle_info({__MODULE__, word, node}, state)
      when word in [:leaving, :staying] and is_atom(node) do
    Topologies.cast_all({word, node})
    {:noreply, state}
  end

  def handle_info({:nodeup, node, _info}, state) do
    tell([node], :leaving)
    {:noreply, state}
  end

  def handle_info(_other, state), do: {:noreply, state}
end
