# What /proc tells about this machine: epmd, and the listening ports.

defmodule Demo.Machine do
  @first_port 4501
  @epmd_port 4369

  @doc """
  Looks for a new epmd ten times a second and tells `demo` each time. One that is started stays, so that
  it can't slip through between two looks.
  """
  def watch_epmd(demo) do
    before = epmd()
    spawn_link(fn -> watch(demo, before) end)
  end

  defp watch(demo, before) do
    send(demo, {:epmd, epmd() -- before})
    Process.sleep(100)
    watch(demo, before)
  end

  # Live processes of that name, and sockets that listen on its port.
  defp epmd do
    processes =
      for stat <- Path.wildcard("/proc/[0-9]*/stat"),
          {:ok, text} <- [File.read(stat)],
          text =~ ~r/\A\d+ \(epmd\) [^ZX]/,
          do: stat

    processes ++ for {table, @epmd_port, inode} <- listeners(), do: {table, inode}
  end

  @doc "The TCP ports that an OS process listens on."
  def listens_on(os_pid) do
    inodes =
      for fd <- Path.wildcard("/proc/#{os_pid}/fd/*"),
          {:ok, "socket:[" <> inode} <- [File.read_link(fd)],
          do: String.trim_trailing(inode, "]")

    for {_, port, inode} <- listeners(), inode in inodes, do: port
  end

  @listen "0A"

  defp listeners do
    for table <- ["/proc/net/tcp", "/proc/net/tcp6"],
        {:ok, text} <- [File.read(table)],
        line <- String.split(text, "\n"),
        [_, local, _, @listen, _, _, _, _, _, inode | _] <- [String.split(line)],
        [_, port] = String.split(local, ":"),
        do: {table, String.to_integer(port, 16), inode}
  end

  def free_ports, do: Stream.filter(@first_port..(@first_port + 500), &free?/1)

  defp free?(port) do
    with {:ok, socket} <- :gen_tcp.listen(port, ip: {127, 0, 0, 1}),
         do: :gen_tcp.close(socket) == :ok,
         else: (_ -> false)
  end
end
