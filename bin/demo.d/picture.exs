# What was on the screen, as an SVG that plays it again and again: for bin/demo --record.
#
# A picture may be shown where it can't be played, or mustn't move. Then it is the last screen.

defmodule Demo.Picture do
  # Of a character, at 13 px.
  @width 7.8
  @height 18
  @margin 16
  @bar 30

  # How long the last screen stays, in ms.
  @rest 6_000

  # Between two events only the clocks change. Once a second is often enough to see them run.
  @tick 1_000
  @clocks ~r/\d+(\.\d)? s$|in \d+ checks/m

  @style """
  text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#c9d1d9;white-space:pre}
  .bold{font-weight:bold;fill:#fff}.dim{fill:#8b949e}.green{fill:#3fb950}.red{fill:#ff7b72}
  .off{visibility:hidden}
  @media(prefers-reduced-motion:reduce){text{animation:none!important}}
  """

  @doc """
  The SVG of `frames`, each a time in ms and the lines on the screen from then on, with the escape sequences of their
  colors. `columns` is how wide the screen is, `title` what its bar says, and `about` is for those who can't see it.
  """
  def svg(frames, columns, title, about) do
    frames = thin(frames)
    [{start, _} | _] = frames
    {last, lines} = List.last(frames)
    total = last - start + @rest
    shown = frames |> shown(start, total) |> Enum.sort()
    # What comes and goes together has one name.
    names = for {_run, times} <- shown, times != [{0, total}], uniq: true, do: times
    names = Map.new(Enum.with_index(names))
    {width, height} = {round(columns * @width) + 2 * @margin, length(lines) * @height + @bar + @margin}

    IO.iodata_to_binary([
      ~s(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 #{width} #{height}" width="#{width}" height="#{height}" ),
      ~s(role="img">\n<title>#{escape(about)}</title>\n<style>\n),
      @style,
      "text{animation:#{total}ms step-end infinite}.still{animation:none}\n",
      for({times, index} <- Enum.sort_by(names, &elem(&1, 1)), do: keyframes(index, times, total)),
      "</style>\n",
      ~s(<rect width="#{width}" height="#{height}" rx="8" fill="#0d1117" stroke="#30363d"/>\n),
      for(
        {color, x} <- [{"#ff5f57", 16}, {"#febc2e", 34}, {"#28c840", 52}],
        do: ~s(<circle cx="#{x}" cy="16" r="5.5" fill="#{color}"/>\n)
      ),
      ~s(<text x="#{div(width, 2)}" y="20" text-anchor="middle" class="dim still">#{escape(title)}</text>\n),
      for({run, times} <- shown, do: text(run, names[times], List.last(times) |> elem(1) == total)),
      "</svg>\n"
    ])
  end

  defp thin([first | frames]) do
    {kept, last} =
      Enum.reduce(frames, {[first], first}, fn {at, lines} = frame, {[{kept_at, kept} | _] = all, _} ->
        if at - kept_at >= @tick or still(lines) != still(kept), do: {[frame | all], frame}, else: {all, frame}
      end)

    # Whatever it has, the last one stays.
    kept = if hd(kept) == last, do: kept, else: [last | kept]
    Enum.reverse(kept)
  end

  defp still(lines), do: Enum.map(lines, &Regex.replace(@clocks, &1, ""))

  # When each run of characters was on the screen: its row, column, class and text, and from when until when.
  defp shown(frames, start, total) do
    ends = Enum.map(tl(frames), fn {at, _} -> at - start end) ++ [total]

    seen =
      for {{at, lines}, until} <- Enum.zip(frames, ends),
          {line, row} <- Enum.with_index(lines),
          run <- runs(line),
          do: {Tuple.insert_at(run, 0, row), {at - start, until}}

    seen
    |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
    |> Enum.map(fn {run, times} -> {run, times |> Enum.sort() |> joined()} end)
  end

  defp joined([{a, b}, {b, c} | times]), do: joined([{a, c} | times])
  defp joined([time | times]), do: [time | joined(times)]
  defp joined([]), do: []

  # The runs of a line, without the gaps between them.
  defp runs(line) do
    {runs, _column, _class} =
      Regex.split(~r/\e\[\d+m|  +/, line, include_captures: true, trim: true)
      |> Enum.reduce({[], 0, ""}, fn
        "\e[" <> code, {runs, column, _class} -> {runs, column, class(code)}
        "  " <> _ = gap, {runs, column, class} -> {runs, column + String.length(gap), class}
        text, {runs, column, class} -> {[{column, class, text} | runs], column + String.length(text), class}
      end)

    for {_, _, text} = run <- runs, String.trim(text) != "", do: run
  end

  defp class("1m"), do: "bold"
  defp class("2m"), do: "dim"
  defp class("31m"), do: "red"
  defp class("32m"), do: "green"
  defp class("0m"), do: ""

  # Fonts differ in width, so each run is told its own.
  defp text({row, column, class, text}, name, last?) do
    spaces = String.length(text) - String.length(String.trim_leading(text))
    text = String.trim(text)
    x = round((column + spaces) * @width) + @margin
    y = row * @height + @bar + 14
    length = Float.round(String.length(text) * @width, 1)

    classes =
      [if(name, do: "k#{name}", else: "still"), class | if(last?, do: [], else: ["off"])]
      |> Enum.reject(&(&1 == ""))
      |> Enum.join(" ")

    ~s(<text x="#{x}" y="#{y}" textLength="#{length}" class="#{classes}">#{escape(text)}</text>\n)
  end

  defp keyframes(name, times, total) do
    on = for {from, until} <- times, {at, state} <- [{from, "visible"}, {until, "hidden"}], do: {at, state}
    on = if match?([{0, _} | _], on), do: on, else: [{0, "hidden"} | on]
    steps = for {at, state} <- on, at < total, do: "#{Float.round(at * 100 / total, 2)}%{visibility:#{state}}"
    ["@keyframes k#{name}{", steps, "}.k#{name}{animation-name:k#{name}}\n"]
  end

  defp escape(text),
    do: text |> String.replace("&", "&amp;") |> String.replace("<", "&lt;") |> String.replace(">", "&gt;")
end
