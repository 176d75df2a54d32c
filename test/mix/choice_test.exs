for part <- ~w(target library manifest choice), do: Code.require_file("mix/#{part}.exs")

defmodule Caravan.Build.ChoiceTest do
  use ExUnit.Case, async: true

  alias Caravan.Build.{Choice, Target}
  alias Caravan.FakeLibrary

  @gnu "x86_64-unknown-linux-gnu"
  @musl "x86_64-unknown-linux-musl"
  @sum String.duplicate("a", 64)

  @manifest """
  version 2.0.0
  rustc 1.97.0 (2d8144b78 2026-07-07)
  #{@sum}  9  caravan_nif-#{@gnu}.so
  #{@sum}  9  caravan_nif-#{@musl}.so
  """

  # A checkout on Debian.
  @checkout %{
    path: nil,
    sum: nil,
    build: nil,
    target: nil,
    host: "x86_64-pc-linux-gnu",
    version: "2.0.0",
    manifest: nil
  }
  @package %{@checkout | manifest: @manifest}

  describe "choose" do
    test "a checkout is built by cargo" do
      assert {:ok, {:cargo, "Caravan's native library is built by cargo"}, target} = Choice.choose(@checkout)
      assert target == Target.parse(@gnu)
      assert {:ok, {:cargo, _}, ^target} = Choice.choose(%{@checkout | target: @gnu})
      assert {:ok, {:cargo, _}, ^target} = Choice.choose(%{@checkout | build: "1"})
    end

    test "a package has libraries of its own" do
      for {facts, name} <- [
            {@package, @gnu},
            {%{@package | host: "x86_64-alpine-linux-musl"}, @musl},
            {%{@package | target: @musl}, @musl},
            {%{@package | target: "x86_64-nerves-linux-musl"}, @musl},
            {%{@package | host: "aarch64-apple-darwin24.1.0", target: @gnu}, @gnu}
          ] do
        assert {:ok, {:packaged, library}, target} = Choice.choose(facts)
        assert library == %{file: "caravan_nif-#{name}.so", sum: @sum}
        assert target == Target.parse(name)
      end
    end

    test "CARAVAN_BUILD prefers cargo, and doesn't care about a broken package" do
      for manifest <- [@manifest, "", "version 1.0.0"],
          do:
            assert(
              {:ok, {:cargo, "CARAVAN_BUILD=1 asks for cargo"}, _} =
                Choice.choose(%{@package | build: "1", manifest: manifest})
            )
    end

    test "CARAVAN_NIF_PATH comes before the package" do
      assert {:ok, {:given, given}, target} = Choice.choose(%{@package | path: "/x.so", sum: @sum, target: @musl})
      assert given == %{path: "/x.so", sum: @sum}
      assert target.name == @musl
    end

    test "what the package lacks is built by cargo, if that is for this system" do
      assert {:ok, {:cargo, reason}, target} = Choice.choose(%{@package | host: "s390x-ibm-linux-gnu"})
      assert target.name == "s390x-unknown-linux-gnu"

      assert reason ==
               "Caravan's package has no native library for s390x-unknown-linux-gnu (only for #{@gnu}, #{@musl})"
    end

    test "cargo builds for no other system" do
      for {facts, reason} <- [
            {@checkout, "Caravan's native library is built by cargo"},
            {%{@package | build: "1"}, "CARAVAN_BUILD=1 asks for cargo"},
            {@package, "Caravan's package has no native library for aarch64-apple-darwin (only for #{@gnu}, #{@musl})"}
          ] do
        assert {:error, sentence} = Choice.choose(%{facts | target: "aarch64-apple-darwin"})

        assert sentence ==
                 reason <>
                   ", and cargo builds it only for this system, #{@gnu}, not for CARAVAN_TARGET, aarch64-apple-darwin: " <>
                   "correct CARAVAN_TARGET, or build the library there and name it with CARAVAN_NIF_PATH=/path/to/library."
      end
    end

    test "what makes no sense is refused with its cure" do
      for {change, sentence} <- [
            {%{build: "yes"}, ~r/^CARAVAN_BUILD should be 1, to build .* with cargo, or not be set, and is "yes"\.$/},
            {%{sum: @sum}, ~r/^CARAVAN_NIF_SHA256 is .* that CARAVAN_NIF_PATH names, .*: set both or neither\.$/},
            {%{build: "1", path: "/x.so"},
             ~r/^CARAVAN_BUILD asks .*, and CARAVAN_NIF_PATH names .*: unset one of them\.$/},
            {%{version: "2.1.0"},
             ~r/package belong to Caravan 2\.0\.0, and this is 2\.1\.0: fetch it again \(`mix deps/},
            {%{manifest: "nonsense"},
             ~r/^The MANIFEST of .* has a line that makes no sense, "nonsense": fetch it again/},
            {%{manifest: ""},
             ~r/^The MANIFEST of .* is missing or names no version: fetch it again .* \(CARAVAN_BUILD=1, with Rust 1/}
          ] do
        assert {:error, found} = Choice.choose(Map.merge(@package, change))
        assert found =~ sentence
      end
    end
  end

  describe "check" do
    @library String.replace(FakeLibrary.elf("x86_64", :glibc), FakeLibrary.mark(), "caravan_nif 2.0.0\n")
    @packaged {:packaged, %{file: "caravan_nif-#{@gnu}.so", sum: @sum}}
    @given {:given, %{path: "/x.so", sum: nil}}

    test "what fits is taken" do
      for source <- [@packaged, @given, {:given, %{path: "/x.so", sum: @sum}}, {:cargo, "because"}],
          do: assert(Choice.check(source, @library, @sum, "2.0.0", Target.parse(@gnu)) == :ok)
    end

    test "another sum is a library that somebody has changed" do
      assert {:error, sentence} = Choice.check(@packaged, @library, "abc", "2.0.0", Target.parse(@gnu))

      assert sentence =~
               "caravan_nif-#{@gnu}.so in Caravan's package is not the library that was packaged: its SHA-256 should be " <>
                 "#{@sum}, and is abc. It was changed or damaged after packaging: fetch it again"

      assert {:error, sentence} =
               Choice.check({:given, %{path: "/x.so", sum: "abc"}}, @library, @sum, "2.0.0", Target.parse(@gnu))

      assert sentence =~ ~s(CARAVAN_NIF_SHA256 expects "abc", and /x.so \(CARAVAN_NIF_PATH\) has "#{@sum}")
    end

    test "a wrong library is named as such, with a cure for where it comes from" do
      what = "an ELF library for x86_64 with glibc"
      expected = "that of Caravan 2.0.0 for #{@musl}"

      for {source, sentence} <- [
            {@packaged,
             "caravan_nif-#{@gnu}.so in Caravan's package is #{what}, and should be #{expected}: fetch it again"},
            {@given, "CARAVAN_NIF_PATH names /x.so, which is #{what}, and should be #{expected}: name that, or set"},
            {{:cargo, "because"}, "cargo has built #{what}, and should have built #{expected}: put the cargo of"}
          ] do
        assert {:error, found} = Choice.check(source, @library, @sum, "2.0.0", Target.parse(@musl))
        assert String.starts_with?(found, sentence)
      end
    end
  end
end
