defmodule Mix.Tasks.Compile.Caravan.PackageTest do
  use Caravan.CompilerCase, async: true
  alias Caravan.FakeLibrary

  @version Mix.Project.config()[:version]
  @one FakeLibrary.here("one")
  @here FakeLibrary.target()
  @other "riscv64gc-unknown-linux-musl"

  setup context do
    package(context, %{@here => FakeLibrary.here("packaged"), @other => FakeLibrary.elf("riscv64gc", :musl)})
    %{path: without_cargo(context), packaged: "native/prebuilt/caravan_nif-#{@here}.so"}
  end

  test "a package has the library, and nobody needs cargo", context do
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

  test "a package has those for other machines", context do
    assert {0, _} = mix(context, ["compile"], env: [{"CARAVAN_TARGET", "riscv64-nerves-linux-musl"}])
    assert File.read!(context.library) == FakeLibrary.elf("riscv64gc", :musl)

    assert {1, output} = mix(context, ["compile"], env: [{"CARAVAN_TARGET", "s390x-ibm-linux-gnu"}])
    assert output =~ "no native library for s390x-unknown-linux-gnu (only for "
    assert output =~ "and cargo builds it only for this system, #{@here}"

    assert {0, _} = mix(context)
    assert File.read!(context.library) == FakeLibrary.here("packaged")
    assert calls(context) == []
  end

  test "a package whose library was changed, or is for another system, isn't installed", context do
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

  test "a package without a library for this system needs cargo", context do
    package(context, %{@other => FakeLibrary.elf("riscv64gc", :musl)})
    assert {1, output} = mix(context, ["compile"], path: context.path)

    assert output =~
             "Caravan's package has no native library for #{@here} (only for #{@other}), and there is no cargo"

    assert output =~ "CARAVAN_NIF_PATH=/path/to/library"
    assert {0, _} = mix(context)
    assert File.read!(context.library) == @one
  end

  test "a package has lost its MANIFEST", context do
    package(context, [{"x86_64-unknown-linux-gnu", @one}])
    File.rm!(Path.join(context.caravan, "native/prebuilt/MANIFEST"))
    assert {1, output} = mix(context)
    assert output =~ "The MANIFEST of the native libraries in Caravan's package is missing"
    assert calls(context) == []
  end

  test "a package has what cargo builds the library from" do
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
