defmodule Caravan.BlockYaml do
  @moduledoc """
  The part of YAML that README.md needs: documents of mappings and lists in block style, with plain scalars, which stay
  strings. Anything else raises.
  """

  @doc "The documents of `text`."
  def parse(text) do
    for document <- String.split(text, ~r/^---\n/m) do
      lines = document |> String.split("\n") |> Enum.with_index(1) |> Enum.flat_map(&line/1)
      {value, []} = value(lines)
      value
    end
  end

  # `- key: value` is a list's mark, then a mapping two columns further in.
  defp line({text, number}) do
    body = String.trim_leading(text, " ")
    indent = byte_size(text) - byte_size(body)

    case body do
      "" ->
        []

      "- " <> entry ->
        [{indent, :item, number} | line({String.duplicate(" ", indent + 2) <> entry, number})]

      _ ->
        [{indent, entry(body, number), number}]
    end
  end

  defp entry(body, number) do
    case Regex.run(~r/^([A-Za-z_][\w.\/-]*):(?: ([^\s"'\[{&*!|>%@`#][^#]*))?$/, body, capture: :all_but_first) do
      [key] -> {key, nil}
      [key, value] -> {key, value}
      nil -> raise "line #{number} is no mapping or list in block style: #{inspect(body)}"
    end
  end

  defp value([{indent, :item, _} | _] = lines), do: list(lines, indent, [])
  defp value([{indent, {_key, _value}, _} | _] = lines), do: mapping(lines, indent, %{})

  defp list([{indent, :item, _} | lines], indent, items) do
    {item, rest} = value(lines)
    list(rest, indent, [item | items])
  end

  defp list(rest, indent, items), do: {Enum.reverse(items), ended(rest, indent)}

  defp mapping([{indent, {key, value}, number} | lines], indent, map) do
    if is_map_key(map, key), do: raise("line #{number} has #{key} a second time")
    {value, rest} = if value, do: {value, lines}, else: nested(lines, indent, number)
    mapping(rest, indent, Map.put(map, key, value))
  end

  defp mapping(rest, indent, map), do: {map, ended(rest, indent)}

  defp nested([{deeper, _, _} | _] = lines, indent, _number) when deeper > indent,
    do: value(lines)

  defp nested(_lines, _indent, number), do: raise("line #{number} has no value")

  # What follows belongs to a level further out.
  defp ended([{deeper, _, number} | _], indent) when deeper >= indent,
    do: raise("line #{number} is indented by #{deeper}, which fits no level")

  defp ended(rest, _indent), do: rest
end
