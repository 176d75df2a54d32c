# What was measured, as text: a column for each subject, and Caravan beside the best of the rivals.

defmodule Bench.Mesh.Table do
  @first 26
  @width 13

  @doc """
  `rows` are `{label, %{subject id => value}}`; a value is a number, a text, or nil where there is none.
  """
  def print(heading, subjects, rows, format) do
    IO.puts("\n#{heading}")
    IO.puts(line("", Enum.map(subjects, & &1.label) ++ ["x the best"]))

    for {label, values} <- rows do
      cells = for subject <- subjects, do: cell(subject, values[subject.id], format)
      IO.puts(line(label, cells ++ [ratio(values)]))
    end
  end

  def median(values), do: values |> Enum.sort() |> Enum.at(div(length(values), 2))

  defp cell(%{paths: nil}, _value, _format), do: "not found"
  defp cell(_subject, nil, _format), do: "-"
  defp cell(_subject, text, _format) when is_binary(text), do: text
  defp cell(_subject, value, format), do: format.(value)

  # Caravan's figure as a multiple of the best rival's.
  defp ratio(values) do
    {own, rivals} = Map.pop(values, :caravan)

    case Enum.filter(Map.values(rivals), &is_number/1) do
      [_ | _] = figures when is_number(own) ->
        best = Enum.min(figures)
        if best > 0, do: "#{:erlang.float_to_binary(own / best, decimals: 2)} x", else: "-"

      _ ->
        "-"
    end
  end

  defp line(first, cells) do
    String.pad_trailing("  " <> first, @first) <>
      Enum.map_join(cells, &String.pad_leading(&1, @width))
  end

  def seconds(us) when us < 10_000_000,
    do: "#{:erlang.float_to_binary(us / 1.0e6, decimals: 3)} s"

  def seconds(us), do: "#{:erlang.float_to_binary(us / 1.0e6, decimals: 1)} s"

  def milliseconds(us), do: "#{:erlang.float_to_binary(us / 1.0e3, decimals: 3)} ms"

  def count(number), do: Integer.to_string(number)
end
