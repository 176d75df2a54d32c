defmodule Caravan.Build.Library do
  @moduledoc false
  # What the bytes of a file tell: whether it is Caravan's native library, of which version, and for which system. Only
  # loading it would tell more, and the VM that builds may not be of that system.

  @elf %{3 => "i686", 40 => "arm", 62 => "x86_64", 183 => "aarch64", 243 => "riscv64gc"}
  @mach_o %{0x01000007 => "x86_64", 0x0100000C => "aarch64"}

  # `cpus` has a nil for one that we don't know, and is nil where we don't look.
  defstruct [:format, :cpus, :libc]

  @doc "Whether it is the library of that version for the target; if not, what it is, to stand behind a \"which is\"."
  @spec check(binary, version :: String.t(), Caravan.Build.Target.t()) :: :ok | {:error, String.t()}
  def check(file, version, target) do
    with {:ok, found} <- read(file),
         :ok <- check_mark(file, version),
         do: if(fits?(found, target), do: :ok, else: {:error, text(found)})
  end

  # nif.rs puts the mark there.
  defp check_mark(file, version) do
    case Regex.run(~r/caravan_nif (\d[^\n]*)\n/, file, capture: :all_but_first) do
      [^version] -> :ok
      [other] -> {:error, "that of Caravan #{other}"}
      nil -> {:error, "not Caravan's native library"}
    end
  end

  defp fits?(found, target) do
    found.format == format(target) and (found.cpus == nil or target.cpu in found.cpus) and
      (nil in [found.libc, target.libc] or found.libc == target.libc)
  end

  defp format(%{system: :darwin}), do: "Mach-O"
  defp format(%{system: :windows}), do: "PE"
  defp format(_unix), do: "ELF"

  defp text(found) do
    article = if found.format == "ELF", do: "an", else: "a"
    cpus = if found.cpus, do: " for " <> Enum.map_join(found.cpus, " and ", &(&1 || "another processor"))
    libc = if found.libc, do: " with #{found.libc}"
    "#{article} #{found.format} library#{cpus}#{libc}"
  end

  # 64 bits, little-endian: the only kind whose C library we look for.
  defp read(
         <<0x7F, "ELF", 2, 1, _ident_and_type::binary-size(12), machine::little-16, _version_and_entry::96,
           segments_at::little-64, sections_at::little-64, _flags_and_sizes::64, segments::little-16, _size::16,
           sections::little-16, _::binary>> = file
       ) do
    with {:ok, headers} <- slice(file, segments_at, 56 * segments),
         {:ok, _headers} <- slice(file, sections_at, 64 * sections),
         segments = segments(headers),
         :ok <- whole(file, segments),
         {:ok, needed} <- needed(file, segments) do
      {:ok, %__MODULE__{format: "ELF", cpus: [@elf[machine]], libc: Enum.find_value(needed, &libc/1)}}
    else
      :error -> {:error, "an ELF file that is cut short"}
    end
  end

  defp read(<<0x7F, "ELF", 1, 1, _ident_and_type::binary-size(12), machine::little-16, _::binary>>),
    do: {:ok, %__MODULE__{format: "ELF", cpus: [@elf[machine]]}}

  defp read(<<0x7F, "ELF", _class, 2, _ident_and_type::binary-size(12), machine::16, _::binary>>),
    do: {:ok, %__MODULE__{format: "ELF", cpus: [@elf[machine]]}}

  defp read(<<0xFEEDFACF::little-32, cpu::little-32, _::binary>>),
    do: {:ok, %__MODULE__{format: "Mach-O", cpus: [@mach_o[cpu]]}}

  # Universal: one library for each of several processors.
  defp read(<<0xCAFEBABE::32, count::32, archs::binary-size(count)-unit(160), _::binary>>) do
    cpus = for <<cpu::32, _where::binary-size(16) <- archs>>, do: @mach_o[cpu]
    {:ok, %__MODULE__{format: "Mach-O", cpus: cpus}}
  end

  # The VM doesn't tell the processor of a Windows.
  defp read(<<"MZ", _::binary>>), do: {:ok, %__MODULE__{format: "PE"}}
  defp read(_file), do: {:error, "not a native library"}

  ## ELF

  defp segments(headers) do
    for <<type::little-32, _flags::32, offset::little-64, address::little-64, _physical::64, size::little-64,
          _memory_and_alignment::128 <- headers>>,
        do: %{type: type, offset: offset, address: address, size: size}
  end

  defp whole(file, segments),
    do: if(Enum.all?(segments, &(&1.offset + &1.size <= byte_size(file))), do: :ok, else: :error)

  # The names of the libraries that it is linked with: what the entries of the dynamic segment with tag 1 find in the
  # strings, whose address has tag 5.
  defp needed(file, segments) do
    with %{offset: offset, size: size} <- Enum.find(segments, {:ok, []}, &(&1.type == 2)),
         {:ok, dynamic} <- slice(file, offset, size),
         entries = for(<<tag::little-64, value::little-64 <- dynamic>>, do: {tag, value}),
         {5, address} <- List.keyfind(entries, 5, 0, :error),
         %{} = load <- Enum.find(segments, :error, &(&1.type == 1 and address in &1.address..(&1.address + &1.size))) do
      strings = load.offset + address - load.address
      names = for {1, at} <- entries, do: string(file, strings + at)
      if :error in names, do: :error, else: {:ok, names}
    end
  end

  defp string(file, at) do
    with {:ok, rest} <- slice(file, at, byte_size(file) - at),
         [string, _rest] <- :binary.split(rest, <<0>>),
         do: string,
         else: (_no_end -> :error)
  end

  defp slice(file, at, size) when size >= 0 and at + size <= byte_size(file), do: {:ok, binary_part(file, at, size)}
  defp slice(_file, _at, _size), do: :error

  # musl's own name, and Alpine's.
  defp libc("libc.so.6"), do: :glibc
  defp libc("libc.so"), do: :musl
  defp libc("libc.musl-" <> _arch), do: :musl
  defp libc(_name), do: nil
end
