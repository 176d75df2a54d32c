defmodule Caravan.VmArgs do
  @moduledoc false
  # A vm.args file, or its template, as text: which flags it gives the VM, and on which lines. Pure.

  @type flag :: {name :: String.t(), value :: String.t(), line :: pos_integer}

  @doc """
  The flags of `text` in their order, each with its first value. A parameter of an application is a flag of its own:
  `-caravan base_port 5000 epmd localhost` is `-caravan base_port` and `-caravan epmd`.
  """
  @spec flags(String.t()) :: [flag]
  def flags(text), do: text |> words() |> flags([])

  defp words(text) do
    for {line, number} <- Enum.with_index(lines(text), 1),
        word <- line |> String.replace(~r/#.*/, "") |> String.split(),
        do: {word, number}
  end

  @doc "The lines of a text."
  @spec lines(String.t()) :: [String.t()]
  def lines(text), do: String.split(text, ~r/\r?\n/)

  # What follows it is for the program, not for the VM.
  defp flags([{"-extra", _} | _], flags), do: flags([], flags)

  defp flags([{"-" <> _ = name, line} | words], flags) do
    {values, words} = Enum.split_while(words, fn {word, _} -> not String.starts_with?(word, ["-", "+"]) end)
    flags(words, Enum.reverse(flag(name, line, values), flags))
  end

  defp flags([_word | words], flags), do: flags(words, flags)
  defp flags([], flags), do: Enum.reverse(flags)

  defp flag(name, _line, [_, _ | _] = values) when name in ["-caravan", "-kernel"] do
    for [{parameter, line} | value] <- Enum.chunk_every(values, 2),
        do: {"#{name} #{parameter}", Enum.map_join(value, &elem(&1, 0)), line}
  end

  defp flag(name, line, [{value, _} | _]), do: [{name, value, line}]
  defp flag(name, line, []), do: [{name, "", line}]
end
