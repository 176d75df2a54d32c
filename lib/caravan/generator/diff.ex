defmodule Caravan.Generator.Diff do
  @moduledoc false
  # What changes between two texts, as `diff -u` shows it and `patch` reads it. Pure.

  @context 3

  @doc "The difference as text; empty if there is none. `nil` is a file that isn't there."
  @spec unified(String.t(), String.t() | nil, String.t()) :: String.t()
  def unified(_path, text, text), do: ""

  def unified(path, old, new) do
    from = if old, do: path, else: "/dev/null"

    hunks =
      lines(old || "")
      |> List.myers_difference(lines(new))
      |> Enum.flat_map(fn {kind, lines} -> Enum.map(lines, &{kind, &1}) end)
      |> numbered({1, 1}, [])
      |> hunks()

    IO.iodata_to_binary(["--- #{from}\n+++ #{path}\n" | Enum.map(hunks, &hunk/1)])
  end

  # Each with its end, which the last one may lack.
  defp lines(text), do: Regex.scan(~r/[^\n]*\n|[^\n]+$/, text) |> List.flatten()

  defp numbered([], _at, done), do: Enum.reverse(done)

  defp numbered([{kind, line} | lines], {old, new}, done) do
    next = {old + if(kind == :ins, do: 0, else: 1), new + if(kind == :del, do: 0, else: 1)}
    numbered(lines, next, [{kind, line, {old, new}} | done])
  end

  # Changes that are near each other, with what is around them.
  defp hunks(lines) do
    lines = Enum.with_index(lines)
    changed = for {{kind, _, _}, index} <- lines, kind != :eq, do: index

    changed
    |> Enum.map(&{&1 - @context, &1 + @context})
    |> Enum.reduce([], fn
      {from, to}, [{first, last} | ranges] when from <= last + 1 -> [{first, to} | ranges]
      range, ranges -> [range | ranges]
    end)
    |> Enum.reverse()
    |> Enum.map(fn {from, to} -> for {line, index} <- lines, index in from..to, do: line end)
  end

  defp hunk([{_, _, {old, new}} | _] = lines) do
    head = "@@ -#{range(old, count(lines, :ins))} +#{range(new, count(lines, :del))} @@\n"
    [head | Enum.map(lines, &line/1)]
  end

  defp count(lines, except), do: Enum.count(lines, fn {kind, _, _} -> kind != except end)

  # An empty range is after the line that it names.
  defp range(at, 0), do: "#{at - 1},0"
  defp range(at, count), do: "#{at},#{count}"

  defp line({kind, text, _at}) do
    sign = %{eq: " ", ins: "+", del: "-"}[kind]
    if String.ends_with?(text, "\n"), do: [sign, text], else: [sign, text, "\n\\ No newline at end of file\n"]
  end
end
