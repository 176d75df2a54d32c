defmodule Caravan.Top.Fit do
  @moduledoc false
  # What is shown of a picture when there isn't room for all of it. Pure.

  alias Caravan.Top.Text

  @typedoc """
  Lines that are shown together, or a shorter version of them, or not at all. The lower its `rank`, the earlier it gets
  room. `group`: if only some of its units are shown, a line counts the others.
  """
  @type unit :: %{required(:rank) => term, required(:versions) => [[Text.line()], ...], optional(:group) => term}

  @doc """
  The lines of the units in their order, at most `height`. `tail` makes the line that says what is missing of a group.
  """
  @spec lines([unit], non_neg_integer, ([unit] -> Text.line())) :: [Text.line()]
  def lines(units, height, tail), do: units |> Enum.with_index() |> fit(height, [], tail)

  # A group that doesn't fit needs a line more, for which something else may have to go.
  defp fit(units, height, cut, tail) do
    chosen = choose(units, max(height - length(cut), 0))

    case Enum.filter(partial(units, chosen), &(&1 not in cut)) do
      [] -> show(units, chosen, cut, tail)
      more -> fit(units, height, cut ++ more, tail)
    end
  end

  # The units that get room, by index, with their lines.
  defp choose(units, height) do
    units
    |> Enum.sort_by(fn {unit, index} -> {unit.rank, index} end)
    |> Enum.reduce({%{}, height}, fn {unit, index}, {chosen, left} ->
      case Enum.find(unit.versions, &(length(&1) <= left)) do
        nil -> {chosen, left}
        lines -> {Map.put(chosen, index, lines), left - length(lines)}
      end
    end)
    |> elem(0)
  end

  defp partial(units, chosen) do
    grouped = for {%{group: group}, index} <- units, do: {group, is_map_key(chosen, index)}
    shown = for {group, true} <- grouped, uniq: true, do: group
    Enum.filter(shown, &({&1, false} in grouped))
  end

  defp show(units, chosen, cut, tail) do
    last = for {%{group: group}, index} <- units, group in cut, into: %{}, do: {group, index}

    Enum.flat_map(units, fn {unit, index} ->
      if Map.get(last, unit[:group]) == index,
        do: Map.get(chosen, index, []) ++ rest(units, chosen, unit.group, tail),
        else: Map.get(chosen, index, [])
    end)
  end

  defp rest(units, chosen, group, tail) do
    case for {%{group: ^group} = unit, index} <- units, not is_map_key(chosen, index), do: unit do
      [] -> []
      # It takes no more room than to say that there is one more.
      [%{versions: [[line] | _]}] -> [line]
      missing -> [tail.(missing)]
    end
  end
end
