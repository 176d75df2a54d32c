Code.require_file("mix/manifest.exs")

defmodule Caravan.Build.ManifestTest do
  use ExUnit.Case, async: true

  alias Caravan.Build.Manifest

  @a String.duplicate("a", 64)
  @b String.duplicate("0b", 32)
  @text """
  version 2.0.0
  rustc 1.97.0 (2d8144b78 2026-07-07) (built from a source tarball)
  #{@a}  1234567  caravan_nif-x86_64-unknown-linux-gnu.so
  #{@b}  7  caravan_nif-aarch64-apple-darwin.so
  """

  @manifest %{
    version: "2.0.0",
    libraries: %{
      "x86_64-unknown-linux-gnu" => %{file: "caravan_nif-x86_64-unknown-linux-gnu.so", sum: @a},
      "aarch64-apple-darwin" => %{file: "caravan_nif-aarch64-apple-darwin.so", sum: @b}
    }
  }

  test "lists the libraries by their targets" do
    assert Manifest.parse(@text) == {:ok, @manifest}
    assert Manifest.parse(String.replace(@text, "\n", "\r\n")) == {:ok, @manifest}
    assert Manifest.parse("version 2.0.0") == {:ok, %{@manifest | libraries: %{}}}
  end

  test "a line that isn't one of its kinds is told, and never passed over" do
    library = "#{@a}  1234567  caravan_nif-x86_64-unknown-linux-gnu.so"

    for line <- [
          String.slice(library, 1..-1//1),
          String.replace(library, "aaaa  ", "aaAA  "),
          String.replace(library, "1234567", "1.2 MB"),
          String.replace(library, "-x86_64", "-../../x86_64"),
          String.replace(library, ".so", ".so\\nx"),
          "<<<<<<< HEAD"
        ] do
      assert Manifest.parse(@text <> line) == {:error, "has a line that makes no sense, #{inspect(line)}"}
    end

    assert Manifest.parse(library) == {:error, "is missing or names no version"}
    assert Manifest.parse("") == {:error, "is missing or names no version"}
  end
end
