defmodule Mix.Tasks.Compile.CaravanTest do
  use Caravan.CompilerCase, async: true
  alias Caravan.FakeLibrary

  @library "lib/caravan/priv/caravan_nif.so"
  @version Mix.Project.config()[:version]
  @one FakeLibrary.here("one")
  @two FakeLibrary.here("two")

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
end
