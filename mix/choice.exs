defmodule Caravan.Build.Choice do
  @moduledoc false
  # Where the native library comes from, and whether what came is right: facts in, decision out.

  alias Caravan.Build.{Library, Manifest, Target}

  @rust "Rust 1.91 or newer"
  @ready "CARAVAN_NIF_PATH=/path/to/library"
  @again "fetch it again (`mix deps.clean caravan`, then `mix deps.get`), or build the library with cargo " <>
           "(CARAVAN_BUILD=1, with #{@rust})."

  @typedoc """
  The environment's CARAVAN_NIF_PATH, CARAVAN_NIF_SHA256, CARAVAN_BUILD and CARAVAN_TARGET, `nil` where one is empty;
  what the VM calls its system; Caravan's version; and the text of the package's MANIFEST, `nil` in a checkout.
  """
  @type facts :: %{
          path: String.t() | nil,
          sum: String.t() | nil,
          build: String.t() | nil,
          target: String.t() | nil,
          host: String.t(),
          version: String.t(),
          manifest: String.t() | nil
        }

  @typedoc "For cargo, the reason: it begins the sentences of what stands in the way."
  @type source ::
          {:given, %{path: String.t(), sum: String.t() | nil}}
          | {:packaged, Manifest.library()}
          | {:cargo, reason :: String.t()}

  @spec choose(facts) :: {:ok, source, Target.t()} | {:error, sentence :: String.t()}
  def choose(facts) do
    host = Target.parse(facts.host)
    target = if facts.target, do: Target.parse(facts.target), else: host

    case facts do
      %{build: build} when build not in [nil, "1"] ->
        {:error,
         "CARAVAN_BUILD should be 1, to build Caravan's native library with cargo, or not be set, and is " <>
           "#{inspect(build)}."}

      %{path: nil, sum: sum} when sum != nil ->
        {:error,
         "CARAVAN_NIF_SHA256 is the digest of the library that CARAVAN_NIF_PATH names, and that isn't set: set both or " <>
           "neither."}

      %{build: nil, path: nil, manifest: nil} ->
        cargo("Caravan's native library is built by cargo", target, host)

      %{build: nil, path: nil} ->
        package(facts, target, host)

      %{build: nil, path: path} ->
        {:ok, {:given, %{path: path, sum: facts.sum}}, target}

      %{path: nil} ->
        cargo("CARAVAN_BUILD=1 asks for cargo", target, host)

      _both ->
        {:error,
         "CARAVAN_BUILD asks to build Caravan's native library, and CARAVAN_NIF_PATH names one that is already " <>
           "built: unset one of them."}
    end
  end

  defp package(facts, target, host) do
    %{version: version} = facts
    %{name: name} = target

    case Manifest.parse(facts.manifest) do
      {:ok, %{version: ^version, libraries: %{^name => library}}} ->
        {:ok, {:packaged, library}, target}

      {:ok, %{version: ^version, libraries: libraries}} ->
        list = libraries |> Map.keys() |> Enum.sort() |> Enum.join(", ")
        cargo("Caravan's package has no native library for #{name} (only for #{list})", target, host)

      {:ok, %{version: other}} ->
        {:error,
         "The native libraries of Caravan's package belong to Caravan #{other}, and this is #{version}: #{@again}"}

      {:error, reason} ->
        {:error, "The MANIFEST of the native libraries in Caravan's package #{reason}: #{@again}"}
    end
  end

  defp cargo(reason, %{name: name} = target, %{name: name}), do: {:ok, {:cargo, reason}, target}

  defp cargo(reason, target, host) do
    {:error,
     "#{reason}, and cargo builds it only for this system, #{host.name}, not for CARAVAN_TARGET, #{target.name}: " <>
       "correct CARAVAN_TARGET, or build the library there and name it with #{@ready}."}
  end

  @doc "Whether what came from the source, with its SHA-256 sum, is the library of that version for the target."
  @spec check(source, library :: binary, sum :: String.t(), version :: String.t(), Target.t()) ::
          :ok | {:error, sentence :: String.t()}
  def check(source, library, sum, version, target) do
    with :ok <- check_sum(source, sum),
         {:error, what} <- Library.check(library, version, target),
         do: {:error, misfit(source, what, "that of Caravan #{version} for #{target.name}")}
  end

  defp check_sum({:packaged, %{sum: expected} = library}, found) when expected != found do
    {:error,
     "#{library.file} in Caravan's package is not the library that was packaged: its SHA-256 should be #{expected}, " <>
       "and is #{found}. It was changed or damaged after packaging: #{@again}"}
  end

  defp check_sum({:given, %{path: path, sum: expected}}, found) when expected not in [nil, found] do
    {:error,
     "CARAVAN_NIF_SHA256 expects #{inspect(expected)}, and #{path} (CARAVAN_NIF_PATH) has #{inspect(found)}: " <>
       "give the right library or the right digest."}
  end

  defp check_sum(_source, _found), do: :ok

  defp misfit({:packaged, library}, what, expected),
    do: "#{library.file} in Caravan's package is #{what}, and should be #{expected}: #{@again}"

  defp misfit({:given, given}, what, expected) do
    "CARAVAN_NIF_PATH names #{given.path}, which is #{what}, and should be #{expected}: name that, or set " <>
      "CARAVAN_TARGET if the build is for another system."
  end

  defp misfit({:cargo, _reason}, what, expected) do
    "cargo has built #{what}, and should have built #{expected}: put the cargo of a Rust for that system on PATH, or " <>
      "name a library that is already built with #{@ready}."
  end

  ## What else stands in the way

  def unreadable({:given, given}, reason) do
    "CARAVAN_NIF_PATH should name Caravan's native library, and #{given.path} can't be read: #{:file.format_error(reason)}."
  end

  def unreadable({:packaged, library}, reason) do
    "#{library.file} in Caravan's package can't be read (#{:file.format_error(reason)}), and its MANIFEST lists it: " <>
      @again
  end

  def no_cargo({:cargo, reason}) do
    "#{reason}, and there is no cargo on PATH: install #{@rust} (https://rustup.rs), or give a library that is already " <>
      "built with #{@ready} (checked against CARAVAN_NIF_SHA256 when that is set)."
  end

  def cargo_failed(status) do
    "cargo could not build Caravan's native library (exit status #{status}, its reasons are above): #{@rust} is " <>
      "needed and, the first time, a way to crates.io; or #{@ready} with a library that is already built."
  end

  @doc "cargo has ended well without the library. If it has made the other kind of it, rustc has refused to make this one."
  def nothing_built(path, reason, other_kind?) do
    cure =
      if other_kind?,
        do:
          "rustc makes no shared library where C is linked statically, so take +crt-static out of RUSTFLAGS or cargo's",
        else: "remove what moves it, such as build.target in cargo's"

    "cargo has built Caravan's native library, but not as #{path} (#{:file.format_error(reason)}): #{cure} " <>
      "config.toml, or build it by hand and set #{@ready}."
  end
end
