defmodule Caravan.Chaos.Mesh do
  @moduledoc "Which nodes are there, and which are linked, as the nodes themselves tell. Pure."

  alias Caravan.Graph

  defstruct picks: nil, alive: MapSet.new(), links: MapSet.new()

  @type t :: %__MODULE__{
          # How many members each node picks to link with; nil for all.
          picks: pos_integer | nil,
          alive: MapSet.t(pos_integer),
          links: MapSet.t({pos_integer, pos_integer})
        }

  @spec new(pos_integer | nil) :: t
  def new(picks \\ nil), do: %__MODULE__{picks: picks}

  @doc "Takes in what a node tells or what became of it (see `Caravan.Chaos.Verdict`)."
  @spec change(t, pos_integer | :lab, term) :: t
  def change(mesh, node, :hello), do: %{without(mesh, node) | alive: MapSet.put(mesh.alive, node)}
  def change(mesh, node, {:ended, _}), do: without(mesh, node)
  def change(mesh, node, {:up, peer}), do: %{mesh | links: MapSet.put(mesh.links, {node, peer})}

  def change(mesh, node, {:down, peer, _}),
    do: %{mesh | links: MapSet.delete(mesh.links, {node, peer})}

  def change(mesh, _who, _what), do: mesh

  @doc """
  Is anybody there, and is each linked with all others? If nodes pick, a path must lead from each to all others, and
  each must have as many links as it picks members. A link counts if both ends see it.
  """
  @spec whole?(t) :: boolean
  def whole?(mesh), do: MapSet.size(mesh.alive) > 0 and gaps(mesh) == []

  @doc "What a mesh lacks, as a sentence."
  @spec missing(t) :: String.t()
  def missing(mesh) do
    case gaps(mesh) do
      [] -> "nobody is there"
      gaps -> Enum.join(gaps, ", ")
    end
  end

  defp gaps(%{picks: nil} = mesh) do
    for a <- mesh.alive, b <- mesh.alive, a != b, {a, b} not in mesh.links, do: "no link #{a}-#{b}"
  end

  defp gaps(mesh) do
    neighbors = Map.new(mesh.alive, &{&1, neighbors(mesh, &1)})
    wanted = min(mesh.picks, map_size(neighbors) - 1)
    few = for {a, peers} <- neighbors, length(peers) < wanted, do: "#{a} has #{length(peers)} links, not #{wanted}"
    first = Enum.min(mesh.alive, fn -> nil end)
    reached = Graph.reached(neighbors, first)
    few ++ for(a <- mesh.alive, a not in reached, do: "no path #{first}-#{a}")
  end

  defp neighbors(mesh, a), do: for(b <- mesh.alive, {a, b} in mesh.links, {b, a} in mesh.links, do: b)

  defp without(mesh, node) do
    links = MapSet.reject(mesh.links, fn {a, _} -> a == node end)
    %{mesh | alive: MapSet.delete(mesh.alive, node), links: links}
  end
end
