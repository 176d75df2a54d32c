defmodule Caravan.Knot do
  @moduledoc false

  # A real authoritative server (Debian's knotd) on a loopback port, with one zone; it ends with the test.

  import ExUnit.Callbacks, only: [on_exit: 1]

  def start(zone, records) do
    dir = Path.join(System.tmp_dir!(), "caravan-knot-#{System.unique_integer([:positive])}")
    File.mkdir_p!(dir)
    [port] = Caravan.Vm.free_ports(1)

    File.write!(Path.join(dir, "#{zone}.zone"), """
    $ORIGIN #{zone}.
    $TTL 60
    @ SOA ns hostmaster 1 3600 600 86400 60
    @ NS ns
    ns A 127.0.0.1
    #{records}
    """)

    config = Path.join(dir, "knot.conf")

    File.write!(config, """
    server:
      rundir: "#{dir}"
      listen: [ 127.0.0.1@#{port} ]
      udp-workers: 1
      tcp-workers: 1
      background-workers: 1
    log:
      - target: stdout
        any: info
    database:
      storage: "#{dir}"
    zone:
      - domain: #{zone}
        storage: "#{dir}"
        file: "#{zone}.zone"
    """)

    knotd = System.find_executable("knotd") || "/usr/sbin/knotd"
    # Ends with its stdin, so that it never outlives this VM.
    script = ~s("$0" -c "$1" & pid=$!; cat >/dev/null; kill $pid; wait $pid)

    server =
      Port.open({:spawn_executable, "/bin/sh"}, [
        :binary,
        :stderr_to_stdout,
        line: 1_000,
        args: ["-c", script, knotd, config]
      ])

    await_start(server)

    on_exit(fn ->
      if Port.info(server), do: Port.close(server)
      File.rm_rf!(dir)
    end)

    "127.0.0.1:#{port}"
  end

  defp await_start(server) do
    receive do
      {^server, {:data, {_eol, line}}} ->
        unless line =~ "server started", do: await_start(server)
    after
      10_000 -> raise "knotd did not start within 10 s"
    end
  end
end
