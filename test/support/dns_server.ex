defmodule Caravan.DnsServer do
  @moduledoc """
  The scripted DNS server `caravan_dns` on a port of its own on loopback, for tests. It belongs to the
  process that started it and ends with it.
  """

  alias Caravan.Netns

  @deadline 10_000

  defstruct [:port, :address]

  @doc """
  Starts one; `within` a laboratory of `Caravan.Netns` it is on port 53 of the hub, or at `at: {host, address}`. `flags`
  are more of its own, such as `["--no-tcp"]`.
  """
  def start(opts \\ []) do
    flags = opts[:flags] || []

    [executable | args] =
      case opts[:within] do
        nil -> [binary(), "--listen", "127.0.0.1:0"]
        lab -> inside(lab, Keyword.get(opts, :at, {"hub", "#{Netns.hub()}:53"}))
      end

    port =
      Port.open({:spawn_executable, System.find_executable(executable)}, [
        :binary,
        :exit_status,
        line: 65_536,
        args: args ++ flags
      ])

    address = listening(port, nil)
    %__MODULE__{port: port, address: address}
  end

  defp inside(lab, {host, address}), do: Netns.enter(lab, host) ++ [binary(), "--listen", address]

  def stop(server), do: Port.close(server.port)

  @doc "Runs one command (see `caravan_dns --help`) and returns the lines of its answer."
  def command(server, line) do
    case try_command(server, line) do
      {:ok, lines} -> lines
      {:error, sentence} -> raise "#{line}: #{sentence}"
    end
  end

  @doc """
  Publishes `ports` as the SRV records of `name`, all on `host` (127.0.0.1), and nothing else. Whoever asks meanwhile gets
  SERVFAIL, never some of them.
  """
  def publish(server, name, ports, host \\ "localhost") do
    command(server, "fault servfail for #{name}")
    # An error where there was nothing to remove.
    _ = try_command(server, "remove #{name}")
    for port <- ports, do: command(server, "add #{name} 1 SRV 0 10 #{port} #{host}")
    _ = try_command(server, "add #{host} 1 A 127.0.0.1")
    command(server, "fault none for #{name}")
    :ok
  end

  defp listening(port, address) do
    case line(port, "caravan_dns to start") do
      "listening " <> address -> listening(port, address)
      "ready" -> address
      _ -> listening(port, address)
    end
  end

  defp try_command(server, line) do
    Port.command(server.port, [line, "\n"])
    answer(server.port, line, [])
  end

  defp answer(port, command, lines) do
    case line(port, command) do
      "ok" -> {:ok, Enum.reverse(lines)}
      "ok " <> last -> {:ok, Enum.reverse(lines, [last])}
      "error " <> sentence -> {:error, sentence}
      line -> answer(port, command, [line | lines])
    end
  end

  defp line(port, awaited) do
    receive do
      {^port, {:data, {:eol, line}}} ->
        line

      {^port, {:exit_status, status}} ->
        raise "caravan_dns ended with #{status}, awaiting #{awaited}"
    after
      @deadline -> raise "caravan_dns is silent, awaiting #{awaited}"
    end
  end

  @doc "The program. bin/test tells which it has built; there may be one for each platform that shares this folder."
  def binary do
    built = Path.wildcard(Path.expand("_build/cargo/*/release/caravan_dns"))

    System.get_env("CARAVAN_DNS") || List.first(built) ||
      raise "there is no caravan_dns: run bin/test, or set CARAVAN_DNS to one that is built"
  end
end
