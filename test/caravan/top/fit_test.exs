defmodule Caravan.Top.FitTest do
  use ExUnit.Case, async: true
  alias Caravan.Top.Fit

  defp unit(text, rank, group \\ nil) do
    unit = %{rank: {rank}, versions: [[[{:plain, text}]]], of: text}
    if group, do: Map.put(unit, :group, group), else: unit
  end

  defp fit(units, height) do
    tail = fn missing -> [{:plain, "+#{length(missing)}"}] end
    for [{:plain, text}] <- Fit.lines(units, height, tail), do: text
  end

  test "all of it, in its order, if there is room" do
    units = [unit("a", 3, :g), unit("b", 1), unit("c", 2, :g)]
    assert fit(units, 3) == ~w(a b c)
    assert fit([], 3) == []
  end

  test "what ranks first stays, and what is missing of a group is counted" do
    units = [unit("head", 1) | for(n <- 1..9, do: unit("#{n}", if(n == 7, do: 2, else: 3), :g))] ++ [unit("end", 4)]
    assert fit(units, 11) == ~w(head 1 2 3 4 5 6 7 8 9 end)
    # Not "end", which comes last; and one that is missing takes no more room than its count.
    assert fit(units, 10) == ~w(head 1 2 3 4 5 6 7 8 9)
    assert fit(units, 9) == ~w(head 1 2 3 4 5 6 7 +2)
    assert fit(units, 4) == ~w(head 1 7 +7)
    assert fit(units, 3) == ~w(head 7 +8)
    assert fit(units, 1) == ~w(head)
    assert fit(units, 0) == []
  end

  test "a shorter version takes the place of the whole" do
    long = %{rank: {2}, versions: [for(n <- 1..3, do: [{:plain, "#{n}"}]), [[{:plain, "short"}]]]}
    assert fit([unit("a", 1), long], 4) == ~w(a 1 2 3)
    assert fit([unit("a", 1), long], 3) == ~w(a short)
    assert fit([unit("a", 1), long], 1) == ~w(a)
  end

  test "never more lines than there is room for, and nothing of a group is lost uncounted" do
    :rand.seed(:exsss, 1)

    for _ <- 1..300 do
      units = for n <- 1..:rand.uniform(30), do: unit("u#{n}", :rand.uniform(4), Enum.random([nil, :g, :h]))
      height = :rand.uniform(35) - 1
      lines = fit(units, height)
      assert length(lines) <= height

      for group <- [:g, :h], texts = for(%{group: ^group, of: text} <- units, do: text), texts != [] do
        shown = Enum.count(texts, &(&1 in lines))
        counts = for "+" <> n <- lines, do: String.to_integer(n)
        assert shown == 0 or shown == length(texts) or (length(texts) - shown) in counts
      end
    end
  end
end
