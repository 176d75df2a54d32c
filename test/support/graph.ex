defmodule Caravan.Graph do
  @moduledoc "Nodes and their links, as maps of each node's neighbors. Pure."

  @type t :: %{term => Enumerable.t()}

  @doc "Which nodes a path leads to from `node`, itself among them."
  @spec reached(t, term) :: MapSet.t()
  def reached(neighbors, node), do: walk([node], MapSet.new([node]), neighbors)

  @doc "Does a path lead from each node to all others?"
  @spec connected?(t) :: boolean
  def connected?(neighbors) do
    case Map.keys(neighbors) do
      [] -> true
      [first | _] = nodes -> MapSet.subset?(MapSet.new(nodes), reached(neighbors, first))
    end
  end

  defp walk([], seen, _neighbors), do: seen

  defp walk([node | left], seen, neighbors) do
    new = Enum.reject(Map.get(neighbors, node, []), &(&1 in seen))
    walk(new ++ left, Enum.into(new, seen), neighbors)
  end
end
