defmodule Caravan.Doctor.Listener do
  @moduledoc false
  # Who holds a port of this machine. On Linux /proc tells which process does; elsewhere only whether one does.

  # The state of a listening socket in /proc/net/tcp (include/net/tcp_states.h).
  @listen "0A"

  @type holder :: {:process, pid :: String.t(), command :: String.t()} | :unknown | nil

  @doc "The process that listens on `port`; `:unknown` if it isn't visible to this user, `nil` if nobody does."
  @spec holder(:inet.port_number()) :: holder
  def holder(port) do
    case tables() do
      [] -> if held?(port), do: :unknown
      tables -> tables |> Enum.flat_map(&inodes(&1, port)) |> process()
    end
  end

  @doc "As part of a sentence."
  @spec describe(holder) :: String.t()
  def describe({:process, pid, command}), do: "the process #{pid} (#{command})"
  def describe(:unknown), do: "a process of another user or in another container"
  def describe(nil), do: "no process"

  @doc "The inodes of the sockets that listen on `port`, from the text of /proc/net/tcp or tcp6. Pure."
  @spec inodes(String.t(), :inet.port_number()) :: [String.t()]
  def inodes(table, port) do
    hex = port |> Integer.to_string(16) |> String.pad_leading(4, "0")

    for line <- String.split(table, "\n"),
        [_row, local, _remote, @listen, _queues, _timer, _retries, _uid, _timeout, inode | _] <- [String.split(line)],
        String.ends_with?(local, ":" <> hex),
        do: inode
  end

  defp tables, do: for(path <- ~w(/proc/net/tcp /proc/net/tcp6), {:ok, table} <- [File.read(path)], do: table)

  defp process([]), do: nil

  defp process(inodes) do
    sockets = MapSet.new(inodes, &"socket:[#{&1}]")

    with {:ok, entries} <- File.ls("/proc") do
      entries |> Enum.filter(&(&1 =~ ~r/^\d+$/)) |> Enum.find_value(:unknown, &holding(&1, sockets))
    else
      _ -> :unknown
    end
  end

  defp holding(pid, sockets) do
    with {:ok, descriptors} <- File.ls("/proc/#{pid}/fd"),
         true <- Enum.any?(descriptors, &holds?("/proc/#{pid}/fd/#{&1}", sockets)),
         {:ok, command} <- File.read("/proc/#{pid}/comm") do
      {:process, pid, String.trim(command)}
    else
      _ -> nil
    end
  end

  defp holds?(descriptor, sockets) do
    case File.read_link(descriptor) do
      {:ok, target} -> MapSet.member?(sockets, target)
      {:error, _} -> false
    end
  end

  defp held?(port) do
    case :gen_tcp.listen(port, reuseaddr: true) do
      {:ok, socket} -> :gen_tcp.close(socket) != :ok
      {:error, reason} -> reason == :eaddrinuse
    end
  end
end
