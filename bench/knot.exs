defmodule Bench.Knot do
  # A real authoritative server for the benches, on a loopback port; it ends with this VM.
  def start(zone, records) do
    dir = Path.join(System.tmp_dir!(), "caravan-bench-#{System.pid()}")
    File.mkdir_p!(dir)
    port = free_port()

    File.write!(Path.join(dir, "zone"), [
      "$ORIGIN #{zone}.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n",
      records
    ])

    # Many TCP workers, each with its own queue: one queue of 10 overflows with 64 connections at once, and then a
    # second's wait for the next SYN is all that is measured.
    File.write!(Path.join(dir, "knot.conf"), """
    server:
      rundir: "#{dir}"
      listen: [ 127.0.53.1@#{port} ]
      udp-workers: 1
      tcp-workers: 8
      tcp-reuseport: on
    log:
      - target: stdout
        any: info
    database:
      storage: "#{dir}"
    zone:
      - domain: #{zone}
        storage: "#{dir}"
        file: zone
    """)

    # Ends with its stdin, and takes its files with it.
    script = ~S(knotd -c "$0/knot.conf" & cat >/dev/null; kill $!; wait $!; rm -r "$0")
    options = [:binary, :stderr_to_stdout, line: 1_000, args: ["-c", script, dir]]
    await(Port.open({:spawn_executable, "/bin/sh"}, options))
    "127.0.53.1:#{port}"
  end

  defp await(server) do
    receive do
      {^server, {:data, {_eol, line}}} ->
        if line =~ "server started", do: :ok, else: await(server)
    after
      10_000 -> raise "knotd did not start within 10 s"
    end
  end

  # Free for TCP too, which 127.0.0.1's ports are not while connections of an earlier bench linger on them.
  defp free_port do
    {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 53, 1})
    {:ok, port} = :inet.port(socket)
    :gen_tcp.close(socket)
    port
  end
end
