defmodule Mix.Tasks.Compile.CaravanTest do
  @moduledoc """
  The compiler task of `mix/`, run by real `mix` processes on a scratch copy of the project,
  with a `cargo` that records its calls and "builds" a library from the bytes of `lib.rs`.
  """

  use ExUnit.Case, async: true
  alias Caravan.FakeLibrary

  # On a busy machine a `mix` takes ten seconds to start, and some tests run six.
  @moduletag timeout: 180_000
  @moduletag :builds

  @project File.cwd!()
  @library "lib/caravan/priv/caravan_nif.so"
  @version Mix.Project.config()[:version]

  @one FakeLibrary.here("one")
  @two FakeLibrary.here("two")

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
    write(caravan, "native/caravan_nif/src/lib.rs", @one)
    write(caravan, "lib/application.ex", application())

    # What users have of it.
    for file <- Mix.Project.config()[:package][:files],
        file in ["mix.exs", "mix"],
        do: File.cp_r!(Path.join(@project, file), Path.join(caravan, file))

    write(scratch, "bin/cargo", @cargo)
    File.chmod!(Path.join(scratch, "bin/cargo"), 0o755)
    %{scratch: scratch, caravan: caravan, library: Path.join([caravan, "_build/dev", @library])}
  end

  test "builds once, and again only when a source has changed", context do
    before = tree(context.caravan)

    assert {0, output} = mix(context)
    assert output =~ "Building Caravan's native library with cargo"
    assert output =~ "cargo's own words"
    assert File.read!(context.library) == @one
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
    write(context.caravan, "native/caravan_nif/src/lib.rs", @two)
    assert {0, _} = mix(context)
    assert File.read!(context.library) == @two
    refute match?(%{inode: ^first}, File.stat!(context.library))

    File.rm!(context.library)
    assert {0, _} = mix(context)
    assert File.read!(context.library) == @two

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
    assert File.read!(context.library) == @one
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
    assert File.read!(context.library) == @one
  end

  test "a cargo that leaves no library is told in a sentence, by what it has left", context do
    for {makes, cure} <- [
          {"nothing", "remove what moves it, such as build.target in cargo's config.toml"},
          {"libcaravan_nif.rlib", "take +crt-static out of RUSTFLAGS or cargo's config.toml"}
        ] do
      assert {1, output} = mix(context, ["compile"], env: [{"CARGO_MAKES", makes}])
      assert output =~ "but not as #{context.caravan}/_build/cargo/here/release/libcaravan_nif."
      assert output =~ cure
      refute output =~ "mix.exs:"
    end
  end

  test "a cargo that builds for another system is told in a sentence", context do
    write(context.caravan, "native/caravan_nif/src/lib.rs", FakeLibrary.other_libc("one"))
    assert {1, output} = mix(context)
    assert output =~ "cargo has built an ELF library for "
    assert output =~ ", and should have built that of Caravan #{@version} for #{FakeLibrary.target()}: "
    refute File.exists?(context.library)
  end

  test "on musl, flags of the user's don't take the place of the one that it takes to make a library there", context do
    musl = {"CARGO_HOST", "x86_64-unknown-linux-musl"}

    for {env, flags} <- [
          {[musl], ""},
          {[musl, {"RUSTFLAGS", "-g"}], "-g -Ctarget-feature=-crt-static"},
          {[musl, {"CARGO_ENCODED_RUSTFLAGS", "-g"}], "-g\x1F-Ctarget-feature=-crt-static"},
          {[{"RUSTFLAGS", "-g"}], "-g"}
        ] do
      assert {0, _} = mix(context, ["compile", "--force"], env: env)
      assert context.scratch |> Path.join("calls.flags") |> File.read!() |> String.trim() == flags
      File.rm!(Path.join(context.scratch, "calls.flags"))
    end
  end

  describe "CARAVAN_NIF_PATH" do
    setup context do
      library = FakeLibrary.here("ready")
      write(context.scratch, "ready.so", library)
      ready = Path.join(context.scratch, "ready.so")
      %{ready: ready, content: library, digest: Base.encode16(:crypto.hash(:sha256, library))}
    end

    test "takes the place of cargo for as long as it is set", context do
      given = [{"CARAVAN_NIF_PATH", context.ready}, {"CARAVAN_NIF_SHA256", context.digest}]
      assert {0, _} = mix(context, ["compile"], env: given)
      assert File.read!(context.library) == context.content
      assert {0, ""} = mix(context, ["compile"], env: given)
      assert calls(context) == []

      assert {0, _} = mix(context)
      assert File.read!(context.library) == @one
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

    test "is refused when it is for another system than the build", context do
      write(context.scratch, "ready.so", FakeLibrary.elf("riscv64gc", :musl))
      given = [{"CARAVAN_NIF_PATH", context.ready}]
      assert {1, output} = mix(context, ["compile"], env: given)
      assert output =~ "CARAVAN_NIF_PATH names #{context.ready}, which is an ELF library for riscv64gc with musl"
      refute File.exists?(context.library)

      given = [{"CARAVAN_TARGET", "riscv64gc-unknown-linux-musl"} | given]
      assert {0, _} = mix(context, ["compile"], env: given)
    end
  end

  describe "a package" do
    @here FakeLibrary.target()
    @other "riscv64gc-unknown-linux-musl"

    setup context do
      package(context, %{@here => FakeLibrary.here("packaged"), @other => FakeLibrary.elf("riscv64gc", :musl)})
      %{path: without_cargo(context), packaged: "native/prebuilt/caravan_nif-#{@here}.so"}
    end

    test "has the library, and nobody needs cargo", context do
      assert {0, output} = mix(context, ["compile"], path: context.path)
      refute output =~ "cargo"
      assert File.read!(context.library) == FakeLibrary.here("packaged")
      assert {0, ""} = mix(context, ["compile"], path: context.path)

      assert {0, _} = mix(context, ["compile"], env: [{"CARAVAN_BUILD", "1"}])
      assert File.read!(context.library) == @one
      assert {0, _} = mix(context)
      assert File.read!(context.library) == FakeLibrary.here("packaged")

      # A new version of the package.
      package(context, %{@here => FakeLibrary.here("packaged again")})
      assert {0, _} = mix(context)
      assert File.read!(context.library) == FakeLibrary.here("packaged again")
      assert length(calls(context)) == 1
    end

    test "has those for other machines", context do
      assert {0, _} = mix(context, ["compile"], env: [{"CARAVAN_TARGET", "riscv64-nerves-linux-musl"}])
      assert File.read!(context.library) == FakeLibrary.elf("riscv64gc", :musl)

      assert {1, output} = mix(context, ["compile"], env: [{"CARAVAN_TARGET", "s390x-ibm-linux-gnu"}])
      assert output =~ "no native library for s390x-unknown-linux-gnu (only for "
      assert output =~ "and cargo builds it only for this system, #{@here}"

      assert {0, _} = mix(context)
      assert File.read!(context.library) == FakeLibrary.here("packaged")
      assert calls(context) == []
    end

    test "whose library was changed, or is for another system, isn't installed", context do
      write(context.caravan, context.packaged, FakeLibrary.here("changed"))
      assert {1, output} = mix(context)
      assert output =~ "caravan_nif-#{@here}.so in Caravan's package is not the library that was packaged"
      refute File.exists?(context.library)

      package(context, %{@here => FakeLibrary.other_libc("packaged")})
      assert {1, output} = mix(context)
      assert output =~ "and should be that of Caravan #{@version} for #{@here}"
      refute File.exists?(context.library)

      File.rm!(Path.join(context.caravan, context.packaged))
      assert {1, output} = mix(context)
      assert output =~ "caravan_nif-#{@here}.so in Caravan's package can't be read (no such file or directory)"
      assert calls(context) == []
    end

    test "without a library for this system needs cargo", context do
      package(context, %{@other => FakeLibrary.elf("riscv64gc", :musl)})
      assert {1, output} = mix(context, ["compile"], path: context.path)

      assert output =~
               "Caravan's package has no native library for #{@here} (only for #{@other}), and there is no cargo"

      assert output =~ "CARAVAN_NIF_PATH=/path/to/library"
      assert {0, _} = mix(context)
      assert File.read!(context.library) == @one
    end

    test "has lost its MANIFEST", context do
      package(context, [{"x86_64-unknown-linux-gnu", @one}])
      File.rm!(Path.join(context.caravan, "native/prebuilt/MANIFEST"))
      assert {1, output} = mix(context)
      assert output =~ "The MANIFEST of the native libraries in Caravan's package is missing"
      assert calls(context) == []
    end

    test "has what cargo builds the library from" do
      files = Mix.Project.config()[:package][:files]
      for source <- ~w(native .cargo Cargo.toml Cargo.lock), do: assert(source in files)
    end

    defp package(context, libraries) do
      lines =
        for {target, library} <- libraries do
          write(context.caravan, "native/prebuilt/caravan_nif-#{target}.so", library)
          sum = Base.encode16(:crypto.hash(:sha256, library), case: :lower)
          "#{sum}  #{byte_size(library)}  caravan_nif-#{target}.so\n"
        end

      write(context.caravan, "native/prebuilt/MANIFEST", "version #{@version}\nrustc 1.97.0\n#{lines}")
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
      assert File.read!(Path.join([context.app, "_build/dev", @library])) == @one
      assert File.exists?(Path.join(context.app, "_build/cargo/here/release"))
      assert {0, ""} = mix(context, ["compile"], in: context.app)
      assert length(calls(context)) == 1

      write(context.caravan, "native/caravan_nif/src/lib.rs", @two)
      assert {0, _} = mix(context, ["compile"], in: context.app)
      assert File.read!(Path.join([context.app, "_build/dev", @library])) == @two

      refute File.exists?(Path.join(context.caravan, "_build"))
      assert tree(context.caravan) == before
    end

    test "it stays inside MIX_BUILD_PATH", context do
      build = Path.join(context.scratch, "build")
      env = [{"MIX_BUILD_PATH", build}]
      assert {0, _} = mix(context, ["compile"], in: context.app, env: env)
      assert File.read!(Path.join(build, @library)) == @one
      assert File.exists?(Path.join(build, "cargo/here/release"))
      refute File.exists?(Path.join(context.app, "_build"))
    end

    @tag :releases
    test "a release carries the library", context do
      env = [{"MIX_ENV", "prod"}]
      assert {0, _} = mix(context, ["release", "--quiet"], in: context.app, env: env)
      release = Path.join(context.app, "_build/prod/rel/app/lib/caravan-*/priv/caravan_nif.so")
      assert [library] = Path.wildcard(release)
      assert File.read!(library) == @one
    end
  end

  defp mix(context, args \\ ["compile"], opts \\ []) do
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
