# Whom each node of a bounded mesh picks, computed independently of the library, by the rule in membership/rank.rs.

defmodule Bench.Mesh.Picks do
  import Bitwise

  @word 0xFFFF_FFFF_FFFF_FFFF

  @doc "By name, the least that a node is linked with: its `n` picks, and those that pick it."
  def neighbours(names, n) do
    hashes = Map.new(names, &{&1, hash("#{&1}")})

    pairs =
      for name <- names, pick <- picks(name, hashes, n), pair <- [{name, pick}, {pick, name}] do
        pair
      end

    Enum.group_by(Enum.uniq(pairs), &elem(&1, 0), &elem(&1, 1))
  end

  defp picks(name, hashes, n) do
    seed = mix(hashes[name])

    hashes
    |> Map.delete(name)
    |> Enum.sort_by(fn {_name, hash} -> mix(bxor(seed, hash)) end, :desc)
    |> Enum.take(n)
    |> Enum.map(&elem(&1, 0))
  end

  @doc "Does a path lead from each node to each? `links` is by name, too."
  def connected?(links) do
    [first | _] = Map.keys(links)
    MapSet.size(reached([first], MapSet.new([first]), links)) == map_size(links)
  end

  defp reached([], seen, _links), do: seen

  defp reached([name | left], seen, links) do
    new = Enum.reject(Map.get(links, name, []), &(&1 in seen))
    reached(new ++ left, MapSet.union(seen, MapSet.new(new)), links)
  end

  defp hash(name) do
    for <<byte <- name>>, reduce: 0xCBF2_9CE4_8422_2325 do
      hash -> bxor(hash, byte) * 0x0000_0100_0000_01B3 &&& @word
    end
  end

  defp mix(bits) do
    bits = bxor(bits, bits >>> 30) * 0xBF58_476D_1CE4_E5B9 &&& @word
    bits = bxor(bits, bits >>> 27) * 0x94D0_49BB_1331_11EB &&& @word
    bxor(bits, bits >>> 31)
  end
end
