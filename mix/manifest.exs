defmodule Caravan.Build.Manifest do
  @moduledoc false
  # The list of the package's libraries, as text:
  #
  #     version 2.0.0
  #     rustc 1.97.0 (...)
  #     <sha256>  <size>  caravan_nif-<target>.so

  @type t :: %{version: String.t(), libraries: %{(target :: String.t()) => library}}
  @type library :: %{file: String.t(), sum: String.t()}

  @doc "Its content, or what is wrong with it."
  @spec parse(String.t()) :: {:ok, t} | {:error, String.t()}
  def parse(text) do
    lines = String.split(text, ["\r\n", "\n"], trim: true)

    with {:ok, manifest} <- parse(lines, %{version: nil, libraries: %{}}) do
      if manifest.version, do: {:ok, manifest}, else: {:error, "is missing or names no version"}
    end
  end

  defp parse([], manifest), do: {:ok, manifest}
  defp parse(["version " <> version | lines], manifest), do: parse(lines, %{manifest | version: version})
  defp parse(["rustc " <> _version | lines], manifest), do: parse(lines, manifest)

  defp parse([line | lines], manifest) do
    case Regex.run(~r/^([0-9a-f]{64})  \d+  (caravan_nif-([\w.-]+)\.so)$/, line, capture: :all_but_first) do
      [sum, file, target] -> parse(lines, put_in(manifest.libraries[target], %{file: file, sum: sum}))
      nil -> {:error, "has a line that makes no sense, #{inspect(line)}"}
    end
  end
end
