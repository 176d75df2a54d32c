defmodule Caravan.Top.Triage do
  @moduledoc false
  # What is wrong in a status, worst first. Pure.

  alias Caravan.Status

  @typedoc "`:bad`: something fails; `:odd`: it may be on its way, or is worth a look."
  @type level :: :bad | :odd | :good

  @doc """
  A status, whatever version it comes from, with its peers in order: those in trouble first, and then by the numbers in
  their names.
  """
  @spec status({atom, map}) :: Status.t()
  def status({name, status}) do
    known = Status.known(name, status)
    %{known | peers: in_order(known.peers), queries: Enum.sort_by(known.queries, &order(query_level(&1)))}
  end

  @doc "The statuses of all topologies, the worst first."
  @spec statuses(%{atom => map}) :: [Status.t()]
  def statuses(statuses), do: statuses |> Enum.map(&status/1) |> Enum.sort_by(&{order(level(&1)), &1.name})

  # Those with the same fault stay together, where the first of them is.
  defp in_order(peers) do
    levels = peers |> Enum.sort_by(&{order(peer_level(&1)), natural(&1.node)}) |> Enum.chunk_by(&peer_level/1)

    for level <- levels do
      alike = Enum.group_by(level, &fault/1)
      for cause <- level |> Enum.map(&fault/1) |> Enum.uniq(), do: alike[cause]
    end
    |> List.flatten()
  end

  @doc "What is wrong with a peer, without what differs from peer to peer: its name and its numbers."
  @spec fault(Status.peer()) :: String.t() | nil
  def fault(peer) do
    if peer_level(peer) != :good and peer.error do
      [base | host] = peer.node |> to_string() |> String.split("@")
      peer.error |> String.replace([base | host], "") |> String.replace(~r/\d+/, "")
    end
  end

  defp order(:bad), do: 0
  defp order(:odd), do: 1
  defp order(:good), do: 2

  # host2 comes before host10.
  defp natural(node) do
    for part <- Regex.split(~r/\d+/, to_string(node), include_captures: true, trim: true) do
      case Integer.parse(part) do
        {number, ""} -> {0, number}
        _text -> {1, part}
      end
    end
  end

  @spec peer_level(Status.peer()) :: level
  def peer_level(%{state: :connected}), do: :good
  def peer_level(%{state: :self, error: error}), do: if(error, do: :odd, else: :good)
  def peer_level(%{state: :leaving}), do: :odd
  # Nobody here wants a link with it.
  def peer_level(%{pick: false}), do: :good
  def peer_level(%{state: :backing_off}), do: :bad
  def peer_level(%{attempts: attempts, error: error}) when attempts > 0 or error != nil, do: :bad
  def peer_level(_dialed_for_the_first_time), do: :odd

  @doc "Is this node to be connected with it?"
  @spec wanted?(Status.peer()) :: boolean
  def wanted?(peer), do: peer.pick and peer.state != :self

  @spec query_level(Status.query()) :: level
  def query_level(%{outcome: {:error, _}}), do: :bad
  def query_level(%{outcome: :ok, unresolved: [], incomplete: nil}), do: :good
  def query_level(_), do: :odd

  @spec level(Status.t()) :: level
  def level(status), do: [status] |> faults() |> worst()

  defp worst([]), do: :good
  defp worst(faults), do: if(Enum.any?(faults, &match?({:bad, _}, &1)), do: :bad, else: :odd)

  @doc "All of it in a sentence."
  @spec verdict([Status.t()]) :: {level, String.t()}
  def verdict([]), do: {:odd, "no topology runs on this node"}

  def verdict(statuses) do
    case Enum.sort_by(faults(statuses), fn {level, _} -> order(level) end) do
      [] -> {:good, well(Enum.count(peers(statuses), &wanted?/1))}
      faults -> {worst(faults), Enum.map_join(faults, ", ", &elem(&1, 1))}
    end
  end

  defp well(0), do: "nothing is wrong, and there are no peers"
  defp well(1), do: "the only peer is connected"
  defp well(2), do: "both peers are connected"
  defp well(wanted), do: "all #{wanted} peers are connected"

  defp faults(statuses) do
    peers = peers(statuses)
    queries = Enum.flat_map(statuses, & &1.queries)
    wanted = Enum.count(peers, &wanted?/1)
    missing = Enum.count(peers, &(peer_level(&1) == :bad))
    stuck = Enum.reject(statuses, & &1.responding)
    failing = Enum.count(queries, &(query_level(&1) == :bad))

    List.flatten([
      for(status <- stuck, do: {:bad, "#{inspect(status.name)} is not responding"}),
      fault(missing, :bad, &"#{&1} of #{Status.count(wanted, "peer")} not connected"),
      fault(failing, :bad, &"#{Status.count(&1, "lookup")} failed"),
      fault(waiting(peers), :odd, &"#{Status.count(&1, "peer")} being dialed"),
      fault(Enum.count(peers, &(&1.state == :leaving)), :odd, &"#{Status.count(&1, "peer")} leaving"),
      fault(Enum.count(peers, &misnamed?/1), :odd, fn _ -> "DNS has another name for this node" end),
      fault(Enum.count(queries, &(&1.outcome == nil)), :odd, &"#{Status.count(&1, "query")} not looked up yet"),
      fault(partial(queries), :odd, &"#{Status.count(&1, "answer")} incomplete"),
      fault(statuses |> Enum.flat_map(& &1.refused) |> Enum.map(& &1.count) |> Enum.sum(), :odd, &refused/1),
      fault(Enum.count(statuses, & &1.draining), :odd, fn _ -> "draining" end)
    ])
  end

  defp peers(statuses), do: Enum.flat_map(statuses, & &1.peers)
  defp misnamed?(peer), do: peer.state == :self and peer.error != nil
  defp waiting(peers), do: Enum.count(peers, &(peer_level(&1) == :odd and &1.state not in [:leaving, :self]))
  defp partial(queries), do: Enum.count(queries, &(&1.outcome == :ok and query_level(&1) == :odd))
  defp refused(count), do: "#{Status.count(count, "name")} refused or waiting"

  defp fault(0, _level, _sentence), do: []
  defp fault(count, level, sentence), do: {level, sentence.(count)}
end
