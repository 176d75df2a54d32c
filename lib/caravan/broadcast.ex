defmodule Caravan.Broadcast do
  @moduledoc false
  # Messages to all nodes of a topology: what `Caravan.broadcast/2` and its kin do, for any channel.

  alias Caravan.Broadcast.{Frames, Server, Subscribers}
  alias Caravan.Error
  alias Caravan.Topology.Registry

  # The process never waits, so only one that has far too much to do takes that long.
  @timeout 5_000

  @doc "Sends the message to each node of the topology, this one among them."
  @spec broadcast(atom, atom, term) :: :ok | {:error, Error.t()}
  def broadcast(topology, channel, message) do
    with :ok <- to_others(topology, channel, message),
         do: Subscribers.deliver({topology, channel}, {:caravan, topology, node(), message})
  end

  @doc "Sends the message to each other node of the topology."
  @spec to_others(atom, atom, term) :: :ok | {:error, Error.t()}
  def to_others(topology, channel, message) do
    with {:ok, payload} <- payload(topology, message),
         do: send_off(topology, {channel, payload})
  end

  @doc "The calling process gets the messages of the channel from now on. Raises where no such topology runs."
  @spec subscribe(atom, atom) :: :ok
  def subscribe(topology, channel) do
    :ok = Registry.running!(topology)
    Subscribers.subscribe({topology, channel})
  end

  @spec unsubscribe(atom, atom) :: :ok
  def unsubscribe(topology, channel) do
    :ok = Registry.started!()
    Subscribers.unsubscribe({topology, channel})
  end

  @doc "What came of the topologies' broadcasts on this node so far; nil for those whose process doesn't say within `ms`."
  @spec stats([atom], non_neg_integer) :: %{atom => Caravan.Status.broadcasts() | nil}
  def stats(topologies, ms) do
    deadline = {:abs, System.monotonic_time(:millisecond) + ms}
    asked = for topology <- topologies, do: {topology, topology |> Frames.process() |> Server.ask_stats()}

    for {topology, id} <- asked, into: %{} do
      case :gen_server.receive_response(id, deadline) do
        {:reply, stats} -> {topology, Map.put(stats, :subscribers, Subscribers.count(topology))}
        _overloaded_or_not_there -> {topology, nil}
      end
    end
  end

  defp payload(topology, message) do
    with {:error, bytes} <- Frames.payload(message) do
      {:error,
       Error.new(
         {:too_large,
          "the message for the topology #{inspect(topology)} is too large: expected at most #{Frames.most_bytes()} " <>
            "bytes in the external term format, got #{bytes}; send a reference to the data, and let the nodes fetch it"}
       )}
    end
  end

  defp send_off(topology, message) do
    :ok = Registry.running!(topology)
    Server.broadcast(Frames.process(topology), message, @timeout)
  rescue
    error in Error -> {:error, error}
  catch
    :exit, {:timeout, _} ->
      {:error,
       Error.new(
         {:overloaded,
          "the topology #{inspect(topology)} has not taken the message within #{@timeout} ms, since it has too many " <>
            "others to hand on: send fewer; this one may still go out"}
       )}

    :exit, _not_there ->
      {:error,
       Error.new(
         {:unknown_topology,
          "the topology #{inspect(topology)} is being started or stopped on this node; try again in a second"}
       )}
  end
end
