defmodule Caravan.Daemon do
  @moduledoc false

  # A real server of the system's, in a folder of its own. It never outlives the test, nor this VM: it ends with its
  # standard input, and its folder goes behind it.

  import ExUnit.Callbacks, only: [on_exit: 1]

  @deadline 20_000

  # The first argument is the folder, the others are the command.
  @script ~S(dir=$1; shift; "$@" </dev/null & pid=$!; cat >/dev/null; kill $pid; wait $pid; rm -rf "$dir")

  @doc """
  Starts `executable` and waits for a line of its output with `ready` in it.

  `configure` gets the folder and answers with the arguments and the files to put there. `within` goes before the
  command: `Caravan.Namespace.enter/1`.
  """
  def start(executable, ready, configure, within \\ []) do
    dir = Caravan.Vm.tmp_path(executable)
    File.mkdir_p!(dir)
    {args, files} = configure.(dir)
    for {name, text} <- files, do: File.write!(Path.join(dir, name), text)

    [command | rest] = within ++ ["/bin/sh", "-c", @script, "sh", dir, find(executable) | args]

    port =
      Port.open({:spawn_executable, find(command)}, [
        :binary,
        :stderr_to_stdout,
        line: 1_000,
        args: rest
      ])

    on_exit(fn ->
      if Port.info(port), do: Port.close(port)
      Caravan.Vm.eventually("#{executable} to end", fn -> not File.exists?(dir) end)
    end)

    await(port, executable, ready, [])
  end

  @doc "A zone file of these records."
  def zone(name, records) do
    """
    $ORIGIN #{name}.
    $TTL 60
    @ SOA ns hostmaster 1 3600 600 86400 60
    @ NS ns
    ns A 127.0.0.1
    #{records}
    """
  end

  # Servers are not on a user's PATH.
  defp find(executable) do
    System.find_executable(executable) ||
      Enum.find(["/usr/sbin/#{executable}", "/sbin/#{executable}"], &File.exists?/1) ||
      raise "no #{executable} on this machine: see bin/setup"
  end

  defp await(port, executable, ready, said) do
    receive do
      {^port, {:data, {_eol, line}}} ->
        unless line =~ ready, do: await(port, executable, ready, [said, line, "\n"])
    after
      @deadline -> raise "#{executable} did not start in time; it said: #{said}"
    end
  end
end
