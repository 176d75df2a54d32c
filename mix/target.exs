defmodule Caravan.Build.Target do
  @moduledoc false
  # The system that a library is for, from whatever it is called: Rust says x86_64-unknown-linux-gnu, and the VM of
  # Debian x86_64-pc-linux-gnu, that of Alpine x86_64-alpine-linux-musl, those of macOS arm-apple-darwin20.3.0 or
  # aarch64-apple-darwin24.1.0, and Nerves aarch64-nerves-linux-gnu.

  # `name` is Rust's where we know it, and what was given elsewhere. `cpu` and `libc` are nil where we don't know them.
  defstruct [:name, :system, :cpu, :libc]

  @type t :: %__MODULE__{
          name: String.t(),
          system: :linux | :darwin | :windows | :other,
          cpu: String.t() | nil,
          libc: :glibc | :musl | nil
        }

  @spec parse(String.t()) :: t
  def parse(text) do
    [machine | rest] = parts = String.split(text, "-")

    case system(parts) do
      :linux ->
        # The vendor between the two is left out by some.
        abi = rest |> Enum.drop_while(&(&1 != "linux")) |> Enum.drop(1) |> Enum.join("-")
        arch = arch(machine)
        name = if abi == "", do: text, else: "#{arch}-unknown-linux-#{abi}"
        %__MODULE__{name: name, system: :linux, cpu: cpu(arch), libc: libc(abi)}

      :darwin ->
        arch = with "arm" <- arch(machine), do: "aarch64"
        %__MODULE__{name: "#{arch}-apple-darwin", system: :darwin, cpu: cpu(arch)}

      other ->
        %__MODULE__{name: text, system: other, cpu: cpu(arch(machine))}
    end
  end

  @doc "What the VM, for whatever reason, adds to the path: on macOS, too, it looks for .so."
  @spec extension(t) :: String.t()
  def extension(%{system: :windows}), do: "dll"
  def extension(_target), do: "so"

  @doc "The name that cargo gives the library."
  @spec built_name(t) :: String.t()
  def built_name(%{system: :darwin}), do: "libcaravan_nif.dylib"
  def built_name(%{system: :windows}), do: "caravan_nif.dll"
  def built_name(_target), do: "libcaravan_nif.so"

  defp system(parts) do
    cond do
      "linux" in parts -> :linux
      Enum.any?(parts, &String.starts_with?(&1, "darwin")) -> :darwin
      # The VM says win32 on every Windows.
      Enum.any?(parts, &String.starts_with?(&1, ["win", "mingw"])) -> :windows
      true -> :other
    end
  end

  defp arch("amd64"), do: "x86_64"
  defp arch("arm64"), do: "aarch64"
  defp arch("riscv64"), do: "riscv64gc"
  defp arch(machine), do: machine

  # Those that Caravan.Build.Library tells apart.
  defp cpu(arch) when arch in ~w(x86_64 aarch64 riscv64gc), do: arch
  defp cpu("arm" <> _version), do: "arm"
  defp cpu(<<"i", digit, "86">>) when digit in ?3..?6, do: "i686"
  defp cpu(_arch), do: nil

  defp libc("gnu" <> _abi), do: :glibc
  defp libc("musl" <> _abi), do: :musl
  defp libc(_abi), do: nil
end
