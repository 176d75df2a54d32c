defmodule Mix.Tasks.Compile.CaravanTest do
  @moduledoc """
  The compiler task of `mix/`, run by real `mix` processes on a scratch copy of the project,
  with a `cargo` that records its calls and "builds" a library from the bytes of `lib.rs`.
  """

  use ExUnit.Case, async: true

  # On a busy machine a `mix` takes ten seconds to start, and some tests run six.
  @moduletag timeout: 180_000
  @moduletag :builds

  @project File.cwd!()
  @library "lib/caravan/priv/caravan_nif.so"

  @cargo """
  #!/bin/sh
  echo "cargo's own words" >&2
  [ -z "$CARGO_FAILS" ] || exit 101
  [ "$1" != --version ] || { echo "cargo 1.91.0"; echo "host: ${CARGO_HOST:-here}"; exit; }
  echo "$@" >> "$CALLS"
  [ -z "$CARGO_ELSEWHERE" ] || exit 0
  mkdir -p "$CARGO_TARGET_DIR/release"
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
    write(caravan, "native/caravan_nif/src/lib.rs", "one")
    write(caravan, "lib/application.ex", application())
    for file <- ["mix.exs", "mix"], do: File.cp_r!(Path.join(@project, file), Path.join(caravan, file))

    write(scratch, "bin/cargo", @cargo)
    File.chmod!(Path.join(scratch, "bin/cargo"), 0o755)
    %{scratch: scratch, caravan: caravan, library: Path.join([caravan, "_build/dev", @library])}
  end

  test "builds once, and again only when a source has changed", context do
    before = tree(context.caravan)

    assert {0, output} = mix(context)
    assert output =~ "Building Caravan's native library with cargo"
    assert output =~ "cargo's own words"
    assert File.read!(context.library) == "one"
    assert calls(context) == ["build --release --locked -p caravan_nif"]
    assert File.exists?(Path.join(context.caravan, "_build/cargo/here/release"))

    # Nothing to do: not even cargo, not even on PATH.
    assert {0, ""} = mix(context, [], path: without_cargo(context))

    %{inode: first} = File.stat!(context.library)
    write(context.caravan, "Cargo.lock", "# other dependencies, the same library")
    assert {0, _} = mix(context)
    assert length(calls(context)) == 2
    assert %{inode: ^first} = File.stat!(context.library)

    # A VM that has the old library mapped keeps its inode.
    write(context.caravan, "native/caravan_nif/src/lib.rs", "two")
    assert {0, _} = mix(context)
    assert File.read!(context.library) == "two"
    refute match?(%{inode: ^first}, File.stat!(context.library))

    File.rm!(context.library)
    assert {0, _} = mix(context)
    assert File.read!(context.library) == "two"

    assert tree(context.caravan) == before
    assert {0, _} = mix(context, ["clean"])
    refute File.exists?(context.library)
  end

  test "platforms that share a _build keep a build each, and none gets another's library",
       context do
    assert {0, _} = mix(context)

    [stamp] =
      Path.wildcard(Path.join(context.caravan, "_build/dev/lib/caravan/.mix/compile.caravan"),
        match_dot: true
      )

    # What the same sources leave behind on another platform.
    here = to_string(:erlang.system_info(:system_architecture))
    write("/", stamp, stamp |> File.read!() |> String.replace(here, "aarch64-apple-darwin24.1.0"))
    write("/", context.library, "for the other platform")

    assert {0, output} = mix(context)
    assert output =~ "Building"
    assert File.read!(context.library) == "one"
    assert {0, ""} = mix(context)

    # A cargo for another platform, as in a container, finds nothing here that is not its own.
    File.rm!(context.library)
    assert {0, _} = mix(context, ["compile"], env: [{"CARGO_HOST", "there"}])

    assert ~w(here there) ==
             context.caravan |> Path.join("_build/cargo") |> File.ls!() |> Enum.sort()
  end

  test "without cargo, one sentence with both ways out", context do
    assert {1, output} = mix(context, ["compile"], path: without_cargo(context))
    assert output =~ "there is no cargo on PATH: install Rust 1.91 or newer (https://rustup.rs)"
    assert output =~ "CARAVAN_NIF_PATH=/path/to/library"
    assert output =~ "CARAVAN_NIF_SHA256"
    refute output =~ "mix.exs:"
  end

  test "a cargo that fails is reported in a sentence, and tried again", context do
    assert {1, output} = mix(context, ["compile"], env: [{"CARGO_FAILS", "yes"}])
    assert output =~ "cargo's own words"
    assert output =~ "cargo could not build Caravan's native library (exit status 101"
    assert output =~ "the first time, a way to crates.io"
    refute output =~ "mix.exs:"

    assert {0, _} = mix(context)
    assert File.read!(context.library) == "one"
  end

  test "a cargo that builds for elsewhere is told in a sentence", context do
    assert {1, output} = mix(context, ["compile"], env: [{"CARGO_ELSEWHERE", "yes"}])
    assert output =~ "but not as #{context.caravan}/_build/cargo/here/release/libcaravan_nif."
    assert output =~ "build.target in cargo's config.toml"
    refute output =~ "mix.exs:"
  end

  describe "CARAVAN_NIF_PATH" do
    setup context do
      write(context.scratch, "ready.so", "ready")
      ready = Path.join(context.scratch, "ready.so")
      %{ready: ready, digest: Base.encode16(:crypto.hash(:sha256, "ready"))}
    end

    test "takes the place of cargo for as long as it is set", context do
      given = [{"CARAVAN_NIF_PATH", context.ready}, {"CARAVAN_NIF_SHA256", context.digest}]
      assert {0, _} = mix(context, ["compile"], env: given)
      assert File.read!(context.library) == "ready"
      assert {0, ""} = mix(context, ["compile"], env: given)
      assert calls(context) == []

      assert {0, _} = mix(context)
      assert File.read!(context.library) == "one"
    end

    test "is refused when its digest is another", context do
      given = [{"CARAVAN_NIF_PATH", context.ready}, {"CARAVAN_NIF_SHA256", "abc"}]
      assert {1, output} = mix(context, ["compile"], env: given)
      assert output =~ ~s(CARAVAN_NIF_SHA256 expects "abc", and #{context.ready})
      assert output =~ String.downcase(context.digest)
      refute File.exists?(context.library)
    end

    test "is refused when no file is there", context do
      assert {1, output} = mix(context, ["compile"], env: [{"CARAVAN_NIF_PATH", "/nowhere.so"}])
      assert output =~ "/nowhere.so can't be read: no such file or directory."
    end
  end

  describe "as a dependency" do
    setup context do
      app = Path.join(context.scratch, "app")
      write(app, "lib/app.ex", "defmodule App do\nend\n")

      write(app, "mix.exs", """
      defmodule App.MixProject do
        use Mix.Project
        def project, do: [app: :app, version: "0.1.0", deps: [{:caravan, path: "../caravan"}]]
        def application, do: [extra_applications: [:logger]]
      end
      """)

      %{app: app}
    end

    test "it is built in the other project's _build", context do
      before = tree(context.caravan)
      assert {0, _} = mix(context, ["compile"], in: context.app)
      assert File.read!(Path.join([context.app, "_build/dev", @library])) == "one"
      assert File.exists?(Path.join(context.app, "_build/cargo/here/release"))
      assert {0, ""} = mix(context, ["compile"], in: context.app)
      assert length(calls(context)) == 1

      write(context.caravan, "native/caravan_nif/src/lib.rs", "two")
      assert {0, _} = mix(context, ["compile"], in: context.app)
      assert File.read!(Path.join([context.app, "_build/dev", @library])) == "two"

      refute File.exists?(Path.join(context.caravan, "_build"))
      assert tree(context.caravan) == before
    end

    test "it stays inside MIX_BUILD_PATH", context do
      build = Path.join(context.scratch, "build")
      env = [{"MIX_BUILD_PATH", build}]
      assert {0, _} = mix(context, ["compile"], in: context.app, env: env)
      assert File.read!(Path.join(build, @library)) == "one"
      assert File.exists?(Path.join(build, "cargo/here/release"))
      refute File.exists?(Path.join(context.app, "_build"))
    end

    @tag :releases
    test "a release carries the library", context do
      env = [{"MIX_ENV", "prod"}]
      assert {0, _} = mix(context, ["release", "--quiet"], in: context.app, env: env)
      release = Path.join(context.app, "_build/prod/rel/app/lib/caravan-*/priv/caravan_nif.so")
      assert [library] = Path.wildcard(release)
      assert File.read!(library) == "one"
    end
  end

  defp mix(context, args \\ ["compile"], opts \\ []) do
    path = opts[:path] || Path.join(context.scratch, "bin") <> ":" <> System.fetch_env!("PATH")

    unset =
      for name <-
            ~w(MIX_ENV MIX_TARGET MIX_EXS MIX_BUILD_PATH MIX_BUILD_ROOT MIX_DEPS_PATH) ++
              ~w(CARAVAN_NIF_PATH CARAVAN_NIF_SHA256 CARGO_TARGET_DIR),
          do: {name, nil}

    env = [{"PATH", path}, {"CALLS", Path.join(context.scratch, "calls")}] ++ (opts[:env] || [])
    opts = [cd: opts[:in] || context.caravan, env: unset ++ env, stderr_to_stdout: true]
    {output, status} = System.cmd(System.find_executable("mix"), args, opts)
    {status, output}
  end

  # Directories that hold a cargo are replaced by links to everything else in them.
  defp without_cargo(context) do
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

  defp calls(context) do
    case File.read(Path.join(context.scratch, "calls")) do
      {:ok, calls} -> String.split(calls, "\n", trim: true)
      {:error, :enoent} -> []
    end
  end

  defp tree(dir) do
    for path <- Path.wildcard(dir <> "/**"), not String.contains?(path, "/_build"), do: path
  end

  defp write(dir, path, content) do
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
