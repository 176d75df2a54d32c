defmodule Caravan.Chaos.Mesh do
  @moduledoc "Who is there and linked to whom, as the nodes themselves tell. Pure."

  defstruct alive: MapSet.new(), links: MapSet.new()

  @type t :: %__MODULE__{
          alive: MapSet.t(pos_integer),
          links: MapSet.t({pos_integer, pos_integer})
        }

  @spec new() :: t
  def new, do: %__MODULE__{}

  @doc "Takes in what a node tells or what became of it (see `Caravan.Chaos.Verdict`)."
  @spec change(t, pos_integer | :lab, term) :: t
  def change(mesh, node, :hello), do: %{without(mesh, node) | alive: MapSet.put(mesh.alive, node)}
  def change(mesh, node, {:ended, _}), do: without(mesh, node)
  def change(mesh, node, {:up, peer}), do: %{mesh | links: MapSet.put(mesh.links, {node, peer})}

  def change(mesh, node, {:down, peer, _}),
    do: %{mesh | links: MapSet.delete(mesh.links, {node, peer})}

  def change(mesh, _who, _what), do: mesh

  @doc "Is there anybody, and is each linked to all others, in the eyes of both?"
  @spec whole?(t) :: boolean
  def whole?(mesh), do: MapSet.size(mesh.alive) > 0 and gaps(mesh) == []

  @doc "What a mesh lacks, as a sentence."
  @spec missing(t) :: String.t()
  def missing(mesh) do
    case gaps(mesh) do
      [] -> "nobody is there"
      gaps -> "no link " <> Enum.map_join(gaps, ", ", fn {a, b} -> "#{a}-#{b}" end)
    end
  end

  defp gaps(mesh) do
    for a <- mesh.alive, b <- mesh.alive, a != b, {a, b} not in mesh.links, do: {a, b}
  end

  defp without(mesh, node) do
    links = MapSet.reject(mesh.links, fn {a, _} -> a == node end)
    %{mesh | alive: MapSet.delete(mesh.alive, node), links: links}
  end
end
