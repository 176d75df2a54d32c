defmodule Caravan.Hosts do
  @moduledoc false
  # Tells the connected nodes where a host is. They ask in `:caravan_epmd`, for a host that isn't in their address
  # book.
  #
  # `global` connects each node with all that its peers are connected with, often before the node's own
  # discovery has heard of them. Where only a topology's DNS servers know the hosts, such a connection fails,
  # and OTP takes down healthy links then, to prevent overlapping partitions. But who told of the node knows
  # where it is.
  #
  # They also ask for a host that is in it, when they try that again: DNS may be wrong, and a link is where it is.
  #
  # The name of this process, the questions `{Caravan.Hosts, :where | :linked, reply_to, host, family}` and the answer
  # `{reply_to, {:ok, address} | :unknown}` are spoken between nodes of different versions: none of them changes.

  use GenServer
  alias Caravan.Native

  @spec start_link(term) :: GenServer.on_start()
  def start_link(_), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @impl true
  def init([]), do: {:ok, []}

  @impl true
  def handle_info({__MODULE__, question, reply_to, host, family}, state)
      when question in [:where, :linked] and is_reference(reply_to) and is_list(host) and
             family in [:inet, :inet6] do
    answer = if question == :where, do: where(host, family), else: linked(host, family)
    # Neither waits nor connects.
    :erlang.send(reply_to, {reply_to, answer}, [:noconnect, :nosuspend])
    {:noreply, state}
  end

  def handle_info(_other, state), do: {:noreply, state}

  defp where(host, family) do
    case Native.address(host, family) do
      {:ok, address} -> {:ok, address}
      _unknown -> linked(host, family)
    end
  end

  # A node that found this one by itself: its link says where it is.
  defp linked(host, family) do
    Enum.find_value(:erlang.nodes(:connected), :unknown, fn node ->
      with [_, ^host] <- node |> Atom.to_charlist() |> :string.split("@"),
           {:ok, {:net_address, {address, _port}, _, _, ^family}} <-
             :net_kernel.node_info(node, :address) do
        {:ok, address}
      else
        _ -> nil
      end
    end)
  end
end
