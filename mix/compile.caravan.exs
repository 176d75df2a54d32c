defmodule Mix.Tasks.Compile.Caravan do
  @moduledoc false
  # Puts the native library into the build's priv: built by cargo, or the one that CARAVAN_NIF_PATH names.

  use Mix.Task.Compiler

  @sources ~w(.cargo/config.toml Cargo.toml Cargo.lock native/caravan_nif/Cargo.toml native/caravan_nif/src/**)

  @impl true
  def run(args) do
    {stamp, fetch} =
      case System.get_env("CARAVAN_NIF_PATH", "") do
        "" -> {"built from #{sources_digest()} for #{platform()}", &build/0}
        path -> given(Path.expand(path))
      end

    if "--force" not in args and File.read(stamp_path()) == {:ok, stamp} and
         File.exists?(library_path()) do
      {:noop, []}
    else
      install(fetch.())
      write(stamp_path(), stamp)
      {:ok, []}
    end
  end

  @impl true
  def manifests, do: [stamp_path()]

  # What cargo made stays: other environments share it, and cargo itself knows what is stale.
  @impl true
  def clean, do: Enum.each([stamp_path(), library_path()], &File.rm/1)

  defp build do
    cargo =
      System.find_executable("cargo") ||
        Mix.raise(
          "Caravan's native library is built by cargo, and there is no cargo on PATH: install Rust 1.91 or newer " <>
            "(https://rustup.rs), or give a library that is already built with CARAVAN_NIF_PATH=/path/to/library " <>
            "(checked against CARAVAN_NIF_SHA256 when that is set)."
        )

    # A target set for other crates would move the library to where nobody looks for it.
    target_dir = target_dir(cargo)
    env = [{"CARGO_TARGET_DIR", target_dir}, {"CARGO_BUILD_TARGET", nil}]
    Mix.shell().info("Building Caravan's native library with cargo")

    case System.cmd(cargo, ~w(build --release --locked -p caravan_nif), env: env) do
      {_, 0} ->
        built(Path.join([target_dir, "release", built_name()]))

      {_, status} ->
        Mix.raise(
          "cargo could not build Caravan's native library (exit status #{status}, its reasons are above): " <>
            "Rust 1.91 or newer is needed and, the first time, a way to crates.io; or CARAVAN_NIF_PATH=/path/to/library " <>
            "with a library that is already built."
        )
    end
  end

  defp built(path) do
    with {:error, reason} <- File.read(path) do
      Mix.raise(
        "cargo has built Caravan's native library, but not as #{path} (#{:file.format_error(reason)}): remove what " <>
          "moves it, such as build.target in cargo's config.toml, or build it by hand and set CARAVAN_NIF_PATH=/path/to/library."
      )
    else
      {:ok, library} -> library
    end
  end

  defp given(path) do
    library =
      case File.read(path) do
        {:ok, library} ->
          library

        {:error, reason} ->
          Mix.raise(
            "CARAVAN_NIF_PATH should name Caravan's native library, " <>
              "and #{path} can't be read: #{:file.format_error(reason)}."
          )
      end

    found = sha256(library)
    expected = System.get_env("CARAVAN_NIF_SHA256", found) |> String.trim() |> String.downcase()

    if expected != found do
      Mix.raise(
        "CARAVAN_NIF_SHA256 expects #{inspect(expected)}, and #{path} (CARAVAN_NIF_PATH) has #{inspect(found)}: " <>
          "give the right library or the right digest."
      )
    end

    {"given " <> found, fn -> library end}
  end

  # A rename gives the name to a new file: running VMs keep the one they have mapped, and writing into that would
  # crash them.
  defp install(library) do
    if File.read(library_path()) != {:ok, library} do
      partial = "#{Mix.Project.app_path()}/caravan_nif.#{System.pid()}"
      write(partial, library)
      File.mkdir_p!(Path.dirname(library_path()))
      File.rename!(partial, library_path())
    end
  end

  defp write(path, content) do
    File.mkdir_p!(Path.dirname(path))
    File.write!(path, content)
  end

  defp sources_digest do
    sources = for glob <- @sources, path <- Path.wildcard(glob), File.regular?(path), do: path
    sources |> Enum.map(&{&1, File.read!(&1)}) |> :erlang.term_to_binary() |> sha256()
  end

  defp sha256(binary) do
    # Since Elixir 1.15 Mix takes what the project doesn't use off the code path.
    if function_exported?(Mix, :ensure_application!, 1), do: Mix.ensure_application!(:crypto)
    Base.encode16(:crypto.hash(:sha256, binary), case: :lower)
  end

  # The `_build` of the outermost project, beside its environments. Platforms that share the folder, as a machine and a
  # container on it do, each have a build of their own there.
  defp target_dir(cargo) do
    build = Mix.Project.build_path()
    shared = if System.get_env("MIX_BUILD_PATH"), do: build, else: Path.dirname(build)

    case System.cmd(cargo, ~w(--version --verbose), stderr_to_stdout: true) do
      {versions, 0} -> Path.join([shared, "cargo" | host(versions)])
      # The build will fail for the same reason, and tell it.
      {_reason, _status} -> Path.join(shared, "cargo")
    end
  end

  defp host(versions), do: Regex.run(~r/^host: (\S+)$/m, versions, capture: :all_but_first) || []

  # Architecture, system and C library of the VM that loads the library.
  defp platform, do: :erlang.system_info(:system_architecture)

  # The VM looks for .so on macOS, too.
  defp library_path do
    extension = if match?({:win32, _}, :os.type()), do: "dll", else: "so"
    Path.join(Mix.Project.app_path(), "priv/caravan_nif.#{extension}")
  end

  defp stamp_path, do: Path.join(Mix.Project.manifest_path(), "compile.caravan")

  defp built_name do
    case :os.type() do
      {:unix, :darwin} -> "libcaravan_nif.dylib"
      {:win32, _} -> "caravan_nif.dll"
      _ -> "libcaravan_nif.so"
    end
  end
end
