for part <- ~w(target library), do: Code.require_file("mix/#{part}.exs")

defmodule Caravan.Build.LibraryTest do
  use ExUnit.Case, async: true

  alias Caravan.Build.{Library, Target}
  alias Caravan.FakeLibrary

  @version Mix.Project.config()[:version]
  @targets ~w(x86_64-unknown-linux-gnu x86_64-unknown-linux-musl aarch64-unknown-linux-gnu aarch64-unknown-linux-musl
              x86_64-apple-darwin aarch64-apple-darwin x86_64-pc-windows-gnu)

  for {what, library, fits} <- [
        {"an ELF library for x86_64 with glibc", FakeLibrary.elf("x86_64", :glibc), [0]},
        {"an ELF library for x86_64 with musl", FakeLibrary.elf("x86_64", :musl), [1]},
        {"an ELF library for x86_64 with musl", FakeLibrary.elf("x86_64", "libc.musl-x86_64.so.1"), [1]},
        {"an ELF library for x86_64", FakeLibrary.elf("x86_64", nil), [0, 1]},
        {"an ELF library for aarch64 with glibc", FakeLibrary.elf("aarch64", :glibc), [2]},
        {"an ELF library for aarch64 with musl", FakeLibrary.elf("aarch64", :musl), [3]},
        {"an ELF library for riscv64gc with glibc", FakeLibrary.elf("riscv64gc", :glibc), []},
        {"a Mach-O library for x86_64", FakeLibrary.mach_o(["x86_64"]), [4]},
        {"a Mach-O library for aarch64", FakeLibrary.mach_o(["aarch64"]), [5]},
        {"a Mach-O library for x86_64 and aarch64", FakeLibrary.mach_o(["x86_64", "aarch64"]), [4, 5]},
        {"a PE library", FakeLibrary.pe(), [6]},
        {"not a native library", "", []},
        {"not a native library", "!<arch>\nlibcaravan_nif.rlib " <> FakeLibrary.mark(), []},
        {"not a native library", "#!/bin/sh\n# " <> FakeLibrary.mark(), []}
      ] do
    @library library
    test "#{what}, #{byte_size(library)} bytes, fits #{inspect(fits)}" do
      fits = for at <- unquote(fits), do: Enum.at(@targets, at)
      assert for(name <- @targets, Library.check(@library, @version, Target.parse(name)) == :ok, do: name) == fits

      for name <- @targets -- fits,
          do: assert(Library.check(@library, @version, Target.parse(name)) == {:error, unquote(what)})
    end
  end

  test "an unknown processor fits an unknown one" do
    library = put_machine(FakeLibrary.elf("x86_64", :glibc), 258)
    assert check(library, "loongarch64-unknown-linux-gnu") == :ok
    assert check(library, "x86_64-unknown-linux-gnu") == {:error, "an ELF library for another processor with glibc"}
    assert {:error, _} = check(FakeLibrary.elf("x86_64", :glibc), "loongarch64-unknown-linux-gnu")
    assert {:error, _} = check(FakeLibrary.elf("x86_64", :glibc), "x86-64-linux-gnu")
  end

  test "the bytes of other word sizes and orders tell the processor, too" do
    <<magic::binary-size(4), _class, _order, rest::binary>> = FakeLibrary.elf("x86_64", :glibc)
    assert check(put_machine(magic <> <<1, 1>> <> rest, 40), "armv7-unknown-linux-gnueabihf") == :ok
    assert check(magic <> <<2, 2>> <> rest, "s390x-ibm-linux-gnu") == :ok
  end

  test "one of another version, and one that isn't Caravan's, are named as such" do
    library = FakeLibrary.elf("x86_64", :glibc)
    other = String.replace(library, FakeLibrary.mark(), "caravan_nif 1.9.9-dev\n")
    assert check(other, "x86_64-unknown-linux-gnu") == {:error, "that of Caravan 1.9.9-dev"}

    # Programs are ELF files of the same type, with the same C library.
    for file <- [String.replace(library, "caravan_nif", "another_nif"), File.read!(:os.find_executable(~c"erlexec"))],
        do: assert(check(file, "x86_64-unknown-linux-gnu") == {:error, "not Caravan's native library"})
  end

  test "one that is cut short anywhere is never taken for a whole one, and nothing raises" do
    library = FakeLibrary.elf("x86_64", :glibc, "the rest of it")
    target = Target.parse("x86_64-unknown-linux-gnu")

    for size <- 0..(byte_size(library) - 1) do
      assert {:error, what} = Library.check(binary_part(library, 0, size), @version, target)
      assert what in ["not a native library", "an ELF file that is cut short"]
    end
  end

  test "bytes that lie don't raise" do
    library = FakeLibrary.elf("x86_64", :glibc)
    target = Target.parse("x86_64-unknown-linux-gnu")

    for at <- 0..(byte_size(library) - 1), byte <- [0, 1, 0x7F, 0xFF] do
      changed = binary_part(library, 0, at) <> <<byte>> <> binary_part(library, at + 1, byte_size(library) - at - 1)

      with {:error, what} <- Library.check(changed, @version, target),
           do: assert(what =~ ~r/^(an ELF |not |that of Caravan )/)
    end
  end

  test "the library that these tests run with is for this system" do
    library = File.read!(Application.app_dir(:caravan, "priv/caravan_nif.so"))
    here = to_string(:erlang.system_info(:system_architecture))
    assert check(library, here) == :ok
    other = if here =~ "x86_64", do: String.replace(here, "x86_64", "aarch64"), else: "x86_64-pc-linux-gnu"
    assert {:error, "an ELF library for " <> _} = check(library, other)
    # What a linker writes last, the loader doesn't read.
    assert check(binary_part(library, 0, byte_size(library) - 1), here) == {:error, "an ELF file that is cut short"}
  end

  defp check(file, target), do: Library.check(file, @version, Target.parse(target))

  defp put_machine(<<before::binary-size(18), _machine::16, rest::binary>>, machine),
    do: <<before::binary, machine::little-16, rest::binary>>
end
