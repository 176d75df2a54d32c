defmodule Caravan.PeersSteps do
  @moduledoc "Steps for the tests of a topology's peers, which are pure."

  alias Caravan.Topology.Peers

  def new, do: Peers.new(0, :seed)

  @doc "A peer's state; nil if there is no such peer."
  def state(peers, node), do: Map.get(peers.by_node[node] || %{}, :state)

  @doc "Makes the changes, `function: arguments`: the events of each, and the peers after all of them."
  def run(peers \\ new(), changes) do
    Enum.reduce(changes, {[], peers}, fn {function, args}, {events, peers} ->
      {more, peers} = apply(Peers, function, [peers | args])
      {events ++ List.wrap(more), peers}
    end)
  end

  @doc "Peers of which one is being dialed."
  def dialling(node), do: elem(run(add: [0, node, false], due: [0, 9]), 1)
end
