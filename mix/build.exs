for part <- ~w(target library manifest choice), do: Code.require_file("#{part}.exs", __DIR__)

defmodule Caravan.Build do
  @moduledoc false
  # Puts the native library into the build's priv: the package's own for the target, the one that cargo builds, or the
  # one that CARAVAN_NIF_PATH names.

  alias Caravan.Build.{Choice, Target}

  @sources ~w(.cargo/config.toml Cargo.toml Cargo.lock native/caravan_nif/Cargo.toml native/caravan_nif/src/**)
  @package "native/prebuilt"

  def run(args) do
    {source, target} =
      case Choice.choose(facts()) do
        {:ok, source, target} -> {source, target}
        {:error, sentence} -> Mix.raise(sentence)
      end

    {stamp, fetch} = plan(source, target)

    if "--force" not in args and File.read(stamp_path()) == {:ok, stamp} and File.exists?(library_path(target)) do
      {:noop, []}
    else
      install(fetch.(), library_path(target))
      write(stamp_path(), stamp)
      {:ok, []}
    end
  end

  def manifests, do: [stamp_path()]

  # What cargo made stays: other environments share it, and cargo itself knows what is stale.
  def clean, do: Enum.each([stamp_path() | Path.wildcard(priv("*"))], &File.rm/1)

  defp facts do
    path = env("CARAVAN_NIF_PATH")

    sum = env("CARAVAN_NIF_SHA256")

    %{
      path: path && Path.expand(path),
      sum: sum && String.downcase(sum),
      build: env("CARAVAN_BUILD"),
      target: env("CARAVAN_TARGET"),
      host: platform(),
      version: version(),
      manifest: manifest()
    }
  end

  defp manifest do
    case File.read(Path.join(@package, "MANIFEST")) do
      {:ok, manifest} -> manifest
      # Libraries without it are what is left of a package; a checkout has neither.
      {:error, _missing} -> if Path.wildcard(Path.join(@package, "*.so")) != [], do: ""
    end
  end

  defp version, do: Mix.Project.config()[:version]

  defp env(name) do
    case name |> System.get_env("") |> String.trim() do
      "" -> nil
      value -> value
    end
  end

  # What the build will have, for the stamp, and how to get it.
  defp plan({:given, %{path: path}} = source, target) do
    library = path |> read(source) |> checked(source, target)
    {"given #{sha256(library)} for #{target.name}", fn -> library end}
  end

  defp plan({:packaged, %{file: file, sum: sum}} = source, target) do
    fetch = fn -> @package |> Path.join(file) |> read(source) |> checked(source, target) end
    {"packaged #{sum} for #{target.name}", fetch}
  end

  defp plan({:cargo, _reason} = source, target) do
    fetch = fn -> source |> build(target) |> checked(source, target) end
    {"built from #{sources_digest()} for #{platform()}", fetch}
  end

  defp read(path, source) do
    case File.read(path) do
      {:ok, library} -> library
      {:error, reason} -> Mix.raise(Choice.unreadable(source, reason))
    end
  end

  defp checked(library, source, target) do
    case Choice.check(source, library, sha256(library), version(), target) do
      :ok -> library
      {:error, sentence} -> Mix.raise(sentence)
    end
  end

  ## cargo

  defp build(source, target) do
    cargo = System.find_executable("cargo") || Mix.raise(Choice.no_cargo(source))
    host = cargo_host(cargo)
    # Platforms that share the folder, as a machine and a container on it do, each have a build of their own there.
    target_dir = Path.join([shared_build() | host])
    # A target set for other crates would move the library to where nobody looks for it.
    env = [{"CARGO_TARGET_DIR", target_dir}, {"CARGO_BUILD_TARGET", nil} | linking(host)]
    built = Path.join([target_dir, "release", Target.built_name(target)])
    Mix.shell().info("Building Caravan's native library with cargo")

    with {:cargo, {_, 0}} <- {:cargo, System.cmd(cargo, ~w(build --release --locked -p caravan_nif), env: env)},
         {:ok, library} <- File.read(built) do
      library
    else
      {:cargo, {_, status}} ->
        Mix.raise(Choice.cargo_failed(status))

      {:error, reason} ->
        static? = File.exists?(Path.join([target_dir, "release/libcaravan_nif.rlib"]))
        Mix.raise(Choice.nothing_built(built, reason, static?))
    end
  end

  # The `_build` of the outermost project, beside its environments.
  defp shared_build do
    build = Mix.Project.build_path()
    shared = if System.get_env("MIX_BUILD_PATH"), do: build, else: Path.dirname(build)
    Path.join(shared, "cargo")
  end

  # None if cargo fails: the build will fail for the same reason, and tell it.
  defp cargo_host(cargo) do
    {versions, _status} = System.cmd(cargo, ~w(--version --verbose), stderr_to_stdout: true)
    Regex.run(~r/^host: (\S+)$/m, versions, capture: :all_but_first) || []
  end

  # .cargo/config.toml has rustc link C dynamically on musl, and either of these variables takes its place.
  defp linking(host) do
    flag = "-Ctarget-feature=-crt-static"

    cond do
      not Enum.any?(host, &(&1 =~ "musl")) -> []
      flags = System.get_env("CARGO_ENCODED_RUSTFLAGS") -> [{"CARGO_ENCODED_RUSTFLAGS", join(flags, "\x1F", flag)}]
      flags = System.get_env("RUSTFLAGS") -> [{"RUSTFLAGS", join(flags, " ", flag)}]
      true -> []
    end
  end

  defp join("", _separator, flag), do: flag
  defp join(flags, separator, flag), do: flags <> separator <> flag

  defp sources_digest do
    sources = for glob <- @sources, path <- Path.wildcard(glob), File.regular?(path), do: path
    sources |> Enum.map(&{&1, File.read!(&1)}) |> :erlang.term_to_binary() |> sha256()
  end

  # Architecture, system and C library, as the VM calls them.
  defp platform, do: to_string(:erlang.system_info(:system_architecture))

  ## The build

  # A rename gives the name to a new file: running VMs keep the one they have mapped, and writing into that would
  # crash them.
  defp install(library, path) do
    if File.read(path) != {:ok, library} do
      partial = "#{Mix.Project.app_path()}/caravan_nif.#{System.pid()}"
      write(partial, library)
      File.mkdir_p!(Path.dirname(path))
      File.rename!(partial, path)
    end
  end

  defp write(path, content) do
    File.mkdir_p!(Path.dirname(path))
    File.write!(path, content)
  end

  defp sha256(binary), do: Base.encode16(:crypto.hash(:sha256, binary), case: :lower)

  defp library_path(target), do: priv(Target.extension(target))
  defp priv(extension), do: Path.join(Mix.Project.app_path(), "priv/caravan_nif.#{extension}")
  defp stamp_path, do: Path.join(Mix.Project.manifest_path(), "compile.caravan")
end
