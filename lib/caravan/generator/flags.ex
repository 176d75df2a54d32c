defmodule Caravan.Generator.Flags do
  @moduledoc false
  # Adds flags to the text of a vm.args template. What is there stays. Pure.

  alias Caravan.VmArgs

  @type wanted :: {flag :: String.t(), value :: String.t(), why :: String.t()}
  @type given :: {path :: String.t(), VmArgs.flag()}

  # The same by another name.
  @aliases %{"-connect_all" => "-kernel connect_all"}

  @doc "The flags in a file's text, with the file's path."
  @spec given(String.t(), String.t()) :: [given]
  def given(path, text), do: for(flag <- VmArgs.flags(text), do: {path, flag})

  @doc """
  The text with the flags that it lacks, and a sentence for each of its flags that contradicts. `elsewhere` are flags
  that the same VMs get from another file.
  """
  @spec amend(String.t(), String.t(), [wanted], [given]) :: {String.t(), contradictions :: [String.t()]}
  def amend(path, text, wanted, elsewhere \\ []) do
    given = given(path, text) ++ elsewhere
    found = for {flag, value, why} <- wanted, do: {{flag, value, why}, having(given, flag)}
    missing = for {flag, []} <- found, do: flag
    {add(text, missing), Enum.flat_map(found, &contradictions/1) ++ names(given)}
  end

  defp having(given, flag), do: Enum.filter(given, fn {_, {name, _, _}} -> name in [flag, @aliases[flag]] end)

  defp contradictions({{flag, value, _why}, found}) do
    wrong =
      for {path, {name, other, line}} <- found,
          other != value,
          do: "#{path}:#{line}: expected #{flag} #{value}, got #{String.trim("#{name} #{other}")}"

    wrong ++ if(wrong == [], do: twice(flag, found), else: [])
  end

  # OTP 25 takes none of several, and uses IPv4 without TLS; later ones take the first.
  defp twice("-proto_dist", [{first, {_, _, at}}, {path, {_, _, line}} | _]),
    do: ["#{path}:#{line}: expected -proto_dist once, got it here and in #{first}:#{at}; OTP 25 then ignores both"]

  defp twice(_flag, _found), do: []

  # The release's script names the node. The VM would get two names.
  defp names(given) do
    for {path, {flag, name, line}} <- given,
        flag in ["-name", "-sname"],
        do: "#{path}:#{line}: expected no #{flag}, since RELEASE_NODE has the node's name, got #{flag} #{name}"
  end

  defp add(text, []), do: text

  defp add(text, missing) do
    block =
      for [{_, _, why} | _] = flags <- Enum.chunk_by(missing, &elem(&1, 2)) do
        ["# #{why}\n" | for({flag, value, _} <- flags, do: "#{flag} #{value}\n")]
      end

    {before, rest} = split_at_extra(text)
    IO.iodata_to_binary([ended(before), Enum.intersperse(block, "\n"), if(rest == "", do: "", else: "\n"), rest])
  end

  # The VM reads no flags behind -extra.
  defp split_at_extra(text) do
    case Regex.run(~r/^[ \t]*-extra\b/m, text, return: :index) do
      [{at, _}] -> String.split_at(text, text |> binary_part(0, at) |> String.length())
      nil -> {text, ""}
    end
  end

  @doc "The text with the end of its last line and an empty one, so that more can follow."
  @spec ended(String.t()) :: String.t()
  def ended(text) do
    cond do
      text == "" or String.ends_with?(text, "\n\n") -> text
      String.ends_with?(text, "\n") -> text <> "\n"
      true -> text <> "\n\n"
    end
  end
end
