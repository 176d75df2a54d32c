defmodule Caravan.Hosts do
  @moduledoc false
  # Where a host is that the address book doesn't have: asks the system and the connected nodes at the
  # same time, and answers the nodes that ask.
  #
  # `global` connects each node with all that its peers are connected with, often before the node's own
  # discovery has heard of them. Where only a topology's DNS servers know the hosts, such a connection fails,
  # and OTP takes down healthy links then, to prevent overlapping partitions. But who told of the node knows
  # where it is.
  #
  # The name of this process, the question `{Caravan.Hosts, :where, reply_to, host, family}` and the answer
  # `{reply_to, {:ok, address} | :unknown}` are spoken between nodes of different versions: none of them changes.

  use GenServer
  alias Caravan.Native

  # The connected nodes answer from memory.
  @patience 2_000

  @spec start_link(term) :: GenServer.on_start()
  def start_link(_), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  ## Asking

  @doc """
  The address of `host`, from the system's resolver or a connected node, whoever knows it first.

  Called by `:caravan_epmd` where nothing can be counted on but `:erlang` and `:inet`.
  """
  @spec find(charlist, :inet | :inet6) :: {:ok, :inet.ip_address()} | {:error, term}
  def find(host, family) do
    reply_to = :erlang.alias()
    asked = ask(:erlang.nodes(:connected), {__MODULE__, :where, reply_to, host, family}, 0)

    # The system may take long over a host that only others know.
    system =
      :erlang.spawn_opt(
        fn -> send(reply_to, {reply_to, {:system, getaddr(host, family)}}) end,
        [:link]
      )

    answer = await(reply_to, asked, :awaited, :erlang.monotonic_time(:millisecond) + @patience)
    :erlang.unalias(reply_to)
    :erlang.unlink(system)
    :erlang.exit(system, :kill)
    flush(reply_to, system)
    answer
  end

  # The link would take the caller along.
  defp getaddr(host, family) do
    :inet.getaddr(host, family)
  catch
    _class, _reason -> {:error, :einval}
  end

  # Written out, since a comprehension would call Enum.
  defp ask([node | nodes], question, count) do
    case :erlang.send({__MODULE__, node}, question, [:noconnect, :nosuspend]) do
      :ok -> ask(nodes, question, count + 1)
      _gone_or_busy -> ask(nodes, question, count)
    end
  end

  defp ask([], _question, count), do: count

  defp await(_alias, 0, {:error, _} = error, _until), do: error

  defp await(reply_to, asked, system, until) do
    receive do
      {^reply_to, {:ok, address}} -> {:ok, address}
      {^reply_to, :unknown} -> await(reply_to, asked - 1, system, until)
      {^reply_to, {:system, {:ok, address}}} -> {:ok, address}
      {^reply_to, {:system, error}} -> await(reply_to, asked, error, until)
    after
      # One that runs no application :caravan never answers.
      left(asked, until) -> await(reply_to, 0, system, until)
    end
  end

  # The kernel's own timer ends a set-up that takes too long.
  defp left(0, _until), do: :infinity
  defp left(_asked, until), do: max(until - :erlang.monotonic_time(:millisecond), 0)

  # The caller's mailbox is not ours, nor is whether it traps exits.
  defp flush(reply_to, system) do
    receive do
      {^reply_to, _} -> flush(reply_to, system)
      {:EXIT, ^system, _} -> flush(reply_to, system)
    after
      0 -> :ok
    end
  end

  ## Answering

  @impl true
  def init([]), do: {:ok, []}

  @impl true
  def handle_info({__MODULE__, :where, reply_to, host, family}, state)
      when is_reference(reply_to) and is_list(host) and family in [:inet, :inet6] do
    # Neither waits nor connects.
    :erlang.send(reply_to, {reply_to, where(host, family)}, [:noconnect, :nosuspend])
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
