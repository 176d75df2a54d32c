defmodule Caravan.Top.Rows do
  @moduledoc false
  # Peers as the rows of a table. All columns are as wide as what is in them; the name gives way first, then the last
  # columns. Pure.

  alias Caravan.Status
  alias Caravan.Top.{Text, Triage}

  import Text, only: [mark: 1, printable: 1, span: 1]

  @doc "A line for each peer, in their order."
  @spec lines([Status.peer()], pos_integer) :: [Text.line()]
  def lines(peers, width) do
    cells = Enum.map(peers, &cells/1)
    widths = widths(cells)

    columns = Enum.find_value([{4, 24}, {3, 20}, {2, 12}], Enum.take(widths, 1), &fitting(widths, &1, width))
    others = columns |> tl() |> Enum.map(&(&1 + 2)) |> Enum.sum()
    name = min(hd(columns), max(width - 2 - others, 1))

    common = cells |> Enum.map(&hd/1) |> Text.common_end()

    for {peer, [node | cells]} <- Enum.zip(peers, cells) do
      level = Triage.peer_level(peer)
      shown = node |> Text.squeeze(name, common) |> Text.pad(name)
      rest = for {cell, width} <- Enum.zip(cells, tl(columns)), do: "  " <> Text.pad(cell, width)
      {state, times} = Enum.split(rest, 1)
      style = if level == :good, do: :dim, else: level
      trimmed([{level, peer_mark(peer, level)}, {:plain, shown}, {style, Enum.join(state)}, {:dim, Enum.join(times)}])
    end
  end

  defp trimmed(line) do
    {rest, [{style, text}]} = Enum.split(line, -1)

    case String.trim_trailing(text) do
      "" -> trimmed(rest)
      text -> rest ++ [{style, text}]
    end
  end

  # So many columns, if at least so much of the name is left.
  defp fitting(widths, {count, least}, width) do
    [name | others] = columns = Enum.take(widths, count)
    if 2 + min(name, least) + Enum.sum(others) + 2 * length(others) <= width, do: columns
  end

  defp peer_mark(%{state: :connected}, _level), do: "● "
  defp peer_mark(_peer, :good), do: "· "
  defp peer_mark(_peer, level), do: mark(level)

  defp cells(peer) do
    [
      printable(peer.node),
      state(peer),
      if(peer.attempts > 0, do: "#{peer.attempts} failed", else: ""),
      next(peer)
    ]
  end

  defp state(%{state: :self}), do: "this node"
  defp state(%{state: :connected, pick: false} = peer), do: "connected #{span(peer.state_age)}, no pick"
  defp state(peer), do: "#{Status.state(peer.state)} #{span(peer.state_age)}"

  defp next(%{next_dial: nil}), do: ""
  defp next(%{next_dial: ms}) when ms < 1_000, do: "next dial now"
  defp next(%{next_dial: ms}), do: "next dial in #{span(ms)}"

  defp widths([]), do: [0, 0, 0, 0]
  defp widths(cells), do: Enum.zip_with(cells, fn column -> column |> Enum.map(&Text.width/1) |> Enum.max() end)
end
