defmodule Caravan.CompilerCase do
  @moduledoc """
  For tests of the compiler task of `mix/`, run by real `mix` processes on a scratch copy of the project, with a `cargo`
  that records its calls and "builds" a library from the bytes of `lib.rs`.
  """

  use ExUnit.CaseTemplate
  alias Caravan.FakeLibrary

  @project File.cwd!()
  @library "lib/caravan/priv/caravan_nif.so"

  using do
    quote do
      import Caravan.CompilerCase
      # On a busy machine a `mix` takes ten seconds to start, and some tests run six.
      @moduletag timeout: 180_000
      @moduletag :builds
    end
  end

  @cargo """
  #!/bin/sh
  echo "cargo's own words" >&2
  [ -z "$CARGO_FAILS" ] || exit 101
  [ "$1" != --version ] || { echo "cargo 1.91.0"; echo "host: ${CARGO_HOST:-here}"; exit; }
  echo "$@" >> "$CALLS"
  echo "$RUSTFLAGS $CARGO_ENCODED_RUSTFLAGS" >> "$CALLS.flags"
  mkdir -p "$CARGO_TARGET_DIR/release"
  case "$CARGO_MAKES" in
    "") ;;
    nothing) exit ;;
    *) touch "$CARGO_TARGET_DIR/release/$CARGO_MAKES"; exit ;;
  esac
  for end in so dylib; do
    cp native/caravan_nif/src/lib.rs "$CARGO_TARGET_DIR/release/libcaravan_nif.$end"
  done
  """

  setup do
    scratch = Caravan.Vm.tmp_path("compile")
    on_exit(fn -> File.rm_rf!(scratch) end)
    caravan = Path.join(scratch, "caravan")

    write(caravan, "Cargo.toml", "[workspace]")
    write(caravan, "Cargo.lock", "")
    write(caravan, "native/caravan_nif/Cargo.toml", "[package]")
    write(caravan, "native/caravan_nif/src/lib.rs", FakeLibrary.here("one"))
    write(caravan, "lib/application.ex", application())

    # What users have of it.
    for file <- Mix.Project.config()[:package][:files],
        file in ["mix.exs", "mix"],
        do: File.cp_r!(Path.join(@project, file), Path.join(caravan, file))

    write(scratch, "bin/cargo", @cargo)
    File.chmod!(Path.join(scratch, "bin/cargo"), 0o755)
    %{scratch: scratch, caravan: caravan, library: Path.join([caravan, "_build/dev", @library])}
  end

  @doc "Runs `mix` in the scratch copy, or `in:` another folder: `{exit status, output}`."
  def mix(context, args \\ ["compile"], opts \\ []) do
    path = opts[:path] || Path.join(context.scratch, "bin") <> ":" <> System.fetch_env!("PATH")

    unset =
      for name <-
            ~w(MIX_ENV MIX_TARGET MIX_EXS MIX_BUILD_PATH MIX_BUILD_ROOT MIX_DEPS_PATH) ++
              ~w(CARAVAN_NIF_PATH CARAVAN_NIF_SHA256 CARAVAN_BUILD CARAVAN_TARGET) ++
              ~w(CARGO_TARGET_DIR CARGO_ENCODED_RUSTFLAGS RUSTFLAGS),
          do: {name, nil}

    env = [{"PATH", path}, {"CALLS", Path.join(context.scratch, "calls")}] ++ (opts[:env] || [])
    opts = [cd: opts[:in] || context.caravan, env: unset ++ env, stderr_to_stdout: true]
    {output, status} = System.cmd(System.find_executable("mix"), args, opts)
    {status, output}
  end

  @doc "A PATH whose folders that hold a cargo are replaced by links to everything else in them."
  def without_cargo(context) do
    System.fetch_env!("PATH")
    |> String.split(":")
    |> Enum.with_index()
    |> Enum.map_join(":", fn {dir, index} ->
      if File.exists?(Path.join(dir, "cargo")) do
        links = Path.join(context.scratch, "path#{index}")
        File.mkdir_p!(links)

        for name <- File.ls!(dir),
            name != "cargo",
            do: File.ln_s(Path.join(dir, name), Path.join(links, name))

        links
      else
        dir
      end
    end)
  end

  @doc "The arguments of each call of cargo."
  def calls(context) do
    case File.read(Path.join(context.scratch, "calls")) do
      {:ok, calls} -> String.split(calls, "\n", trim: true)
      {:error, :enoent} -> []
    end
  end

  def tree(dir) do
    for path <- Path.wildcard(dir <> "/**"), not String.contains?(path, "/_build"), do: path
  end

  def write(dir, path, content) do
    path = Path.join(dir, path)
    File.mkdir_p!(Path.dirname(path))
    File.write!(path, content)
  end

  defp application do
    """
    defmodule Caravan.Application do
      use Application
      def start(_, _), do: Supervisor.start_link([], strategy: :one_for_one)
    end
    """
  end
end
