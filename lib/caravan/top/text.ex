defmodule Caravan.Top.Text do
  @moduledoc false
  # Text for a terminal: how many columns it takes, cut or wrapped to what there is, in colors or without. Pure.

  @type style :: :plain | :bold | :dim | :good | :odd | :bad | :alarm
  @type line :: [{style, String.t()}]

  # The characters that take two columns, in ranges wide enough for names: Hangul, CJK, full-width forms, emoji.
  @wide [
    0x1100..0x115F,
    0x2E80..0x303E,
    0x3041..0xA4CF,
    0xA960..0xA97F,
    0xAC00..0xD7A3,
    0xF900..0xFAFF,
    0xFE30..0xFE6F,
    0xFF00..0xFF60,
    0xFFE0..0xFFE6,
    0x1F300..0x1FAFF,
    0x20000..0x3FFFD
  ]

  @doc "Without what would do something to a terminal rather than be seen. Names and errors come from elsewhere."
  @spec printable(term) :: String.t()
  def printable(text) do
    text = if is_binary(text), do: text, else: to_string(text)
    if String.valid?(text), do: String.replace(text, ~r/[\p{C}\p{Zl}\p{Zp}]/u, "?"), else: inspect(text)
  end

  @spec width(String.t() | line) :: non_neg_integer
  def width(line) when is_list(line), do: line |> Enum.map(fn {_style, text} -> width(text) end) |> Enum.sum()
  def width(text), do: text |> String.graphemes() |> Enum.map(&columns/1) |> Enum.sum()

  defp columns(<<code::utf8, _rest::binary>>) do
    if code >= 0x1100 and Enum.any?(@wide, &(code in &1)), do: 2, else: 1
  end

  @doc "Padded to `width`; longer text is left as it is."
  @spec pad(String.t(), non_neg_integer) :: String.t()
  def pad(text, width), do: text <> String.duplicate(" ", max(width - width(text), 0))

  @doc "Cut to `width`, with a mark at its end."
  @spec cut(String.t(), non_neg_integer) :: String.t()
  def cut(text, width) do
    cond do
      width(text) <= width -> text
      width < 1 -> ""
      true -> first(text, width - 1) <> "…"
    end
  end

  @doc "The same with the mark in the middle: node names and domains differ at both ends."
  @spec squeeze(String.t(), non_neg_integer) :: String.t()
  def squeeze(text, width) do
    if width(text) <= width or width < 3 do
      cut(text, width)
    else
      last = last(text, div(width - 1, 2))
      first(text, width - 1 - width(last)) <> "…" <> last
    end
  end

  @doc "The same for one of several names: the part of it that is its own stays, all but the last `common` bytes."
  @spec squeeze(String.t(), non_neg_integer, non_neg_integer) :: String.t()
  def squeeze(text, width, common) do
    own = binary_part(text, 0, max(byte_size(text) - common, 0))

    cond do
      width(text) <= width or common in [0, byte_size(text)] -> squeeze(text, width)
      width(own) < width -> cut(text, width)
      width > 2 -> "…" <> last(own, width - 2) <> "…"
      true -> cut(text, width)
    end
  end

  @doc "How many bytes all of the texts, if they are several, have in common at their end."
  @spec common_end([String.t()]) :: non_neg_integer
  def common_end([_, _ | _] = texts) do
    common = :binary.longest_common_suffix(texts)
    text = hd(texts)
    whole_characters(binary_part(text, byte_size(text), -common))
  end

  def common_end(_texts), do: 0

  defp whole_characters(<<0b10::2, _::6, rest::binary>>), do: whole_characters(rest)
  defp whole_characters(text), do: byte_size(text)

  defp last(text, width), do: text |> String.reverse() |> first(width) |> String.reverse()

  defp first(text, width) do
    text
    |> String.graphemes()
    |> Enum.reduce_while({[], width}, fn char, {chars, left} ->
      if columns(char) <= left, do: {:cont, {[chars, char], left - columns(char)}}, else: {:halt, {chars, left}}
    end)
    |> elem(0)
    |> IO.iodata_to_binary()
  end

  @doc "In lines of at most `width`, at most `count` of them; what is left out is marked."
  @spec wrap(String.t(), pos_integer, pos_integer) :: [String.t()]
  def wrap(text, width, count) do
    lines = text |> String.split(" ", trim: true) |> words(width, [])

    case Enum.split(lines, count) do
      {lines, []} -> lines
      {lines, [next | _]} -> List.update_at(lines, -1, &cut("#{&1} #{next}…", width))
    end
  end

  defp words([], _width, lines), do: Enum.reverse(lines)
  defp words([word | words], width, []), do: words(words, width, [cut(word, width)])

  defp words([word | words], width, [line | lines]) do
    longer = line <> " " <> word

    if width(longer) <= width,
      do: words(words, width, [longer | lines]),
      else: words(words, width, [cut(word, width), line | lines])
  end

  @doc "The line cut to `width`."
  @spec cut_line(line, non_neg_integer) :: line
  def cut_line([], _width), do: []

  def cut_line([{style, text} | rest] = line, width) do
    cond do
      width(line) <= width -> line
      width(text) < width -> [{style, text} | cut_line(rest, width - width(text))]
      rest == [] -> [{style, cut(text, width)}]
      true -> [{style, cut(text <> "…", width)}]
    end
  end

  @doc "A time span in ms, as people say it."
  @spec span(non_neg_integer | nil) :: String.t()
  def span(nil), do: "?"
  def span(ms) when ms < 100_000, do: "#{div(ms, 1_000)} s"
  def span(ms) when ms < 6_000_000, do: "#{div(ms, 60_000)} min"
  def span(ms) when ms < 172_800_000, do: "#{div(ms, 3_600_000)} h"
  def span(ms), do: "#{div(ms, 86_400_000)} d"

  @doc "What a line begins with that tells of something good, odd or bad."
  @spec mark(:good | :odd | :bad) :: String.t()
  def mark(:bad), do: "✗ "
  def mark(:odd), do: "! "
  def mark(:good), do: "✓ "

  @doc "The line for a terminal, in colors."
  @spec paint(line) :: [iodata]
  def paint(line), do: for({style, text} <- line, text != "", do: [escape(style), text, "\e[0m"])

  defp escape(:plain), do: ""
  defp escape(:bold), do: "\e[1m"
  defp escape(:dim), do: "\e[2m"
  defp escape(:good), do: "\e[32m"
  defp escape(:odd), do: "\e[33m"
  defp escape(:bad), do: "\e[31m"
  defp escape(:alarm), do: "\e[1;31m"

  @doc "The line without colors."
  @spec plain(line) :: String.t()
  def plain(line), do: Enum.map_join(line, &elem(&1, 1))
end
