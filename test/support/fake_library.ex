defmodule Caravan.FakeLibrary do
  @moduledoc "What looks like a library of some system, as far as `mix/library.exs` looks: headers, then a text."

  @mark "caravan_nif #{Mix.Project.config()[:version]}\n"
  @machines %{"x86_64" => 62, "aarch64" => 183, "riscv64gc" => 243}
  @cpus %{"x86_64" => 0x01000007, "aarch64" => 0x0100000C}
  # Where the file is mapped: addresses aren't offsets.
  @base 0x10000

  @doc "For this system, if that is Linux on a processor with 64 bits."
  def here(text) do
    target = host()
    elf(target.cpu, target.libc, text)
  end

  @doc "The same system with the other C library."
  def other_libc(text) do
    target = host()
    elf(target.cpu, if(target.libc == :musl, do: :glibc, else: :musl), text)
  end

  @doc "Rust's name of this system."
  def target, do: host().name

  defp host do
    Code.require_file("mix/target.exs")
    apply(Caravan.Build.Target, :parse, [to_string(:erlang.system_info(:system_architecture))])
  end

  @doc "What tells the file as Caravan's, as nif.rs puts it there."
  def mark, do: @mark

  @doc "An ELF library that is linked with the C library: `:glibc`, `:musl`, another name, or none (`nil`)."
  def elf(cpu, libc, text \\ "") do
    headers = 64 + 2 * 56
    needed = if libc, do: [{1, byte_size("\0libm.so\0")}], else: []
    tags = [{1, 1} | needed] ++ [{5, @base + headers + 16 * (length(needed) + 3)}, {0, 0}]
    dynamic = for {tag, value} <- tags, into: <<>>, do: <<tag::little-64, value::little-64>>
    content = dynamic <> "\0libm.so\0" <> name(libc) <> "\0" <> @mark <> text
    size = headers + byte_size(content)

    <<0x7F, "ELF", 2, 1, 1, 0::72>> <>
      <<3::little-16, @machines[cpu]::little-16, 1::little-32, 0::64, 64::little-64, 0::64, 0::32, 64::little-16,
        56::little-16, 2::little-16,
        0::48>> <>
      segment(1, 0, size) <> segment(2, headers, byte_size(dynamic)) <> content
  end

  defp segment(type, offset, size) do
    <<type::little-32, 0::32, offset::little-64, @base + offset::little-64, 0::64, size::little-64, size::little-64,
      0::64>>
  end

  defp name(:glibc), do: "libc.so.6"
  defp name(:musl), do: "libc.so"
  defp name(nil), do: ""
  defp name(other), do: other

  @doc "A Mach-O library; a universal one if it is for several processors."
  def mach_o([cpu]), do: <<0xFEEDFACF::little-32, @cpus[cpu]::little-32, 0::192, @mark>>

  def mach_o(cpus) do
    archs = for cpu <- cpus, into: <<>>, do: <<@cpus[cpu]::32, 0::128>>
    <<0xCAFEBABE::32, length(cpus)::32, archs::binary, 0::512, @mark>>
  end

  @doc "A library of Windows."
  def pe, do: <<"MZ", 0::512, @mark>>
end
