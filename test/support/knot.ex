defmodule Caravan.Knot do
  @moduledoc false

  # An authoritative server (knotd) with one zone; it refuses all others, but for broken.test, which did not load.

  alias Caravan.{Daemon, Vm}

  @doc "On a port of 127.0.0.1 and ::1; answers with the former."
  def start(zone, records) do
    [port] = Vm.free_ports(1)
    start(zone, records, ["127.0.0.1@#{port}", "::1@#{port}"])
    "127.0.0.1:#{port}"
  end

  def start(zone, records, listen, within \\ []) do
    Daemon.start("knotd", "server started", &configure(&1, zone, records, listen), within)
  end

  defp configure(dir, zone, records, listen) do
    config = """
    server:
      rundir: "#{dir}"
      listen: [ #{Enum.join(listen, ", ")} ]
      udp-workers: 1
      tcp-workers: 1
      background-workers: 1
    log:
      - target: stdout
        any: info
    database:
      storage: "#{dir}"
    zone:
      - domain: "#{zone}."
        storage: "#{dir}"
        file: "zone"
      - domain: broken.test
        storage: "#{dir}"
        file: "missing"
    """

    {["-c", Path.join(dir, "knot.conf")], [{"knot.conf", config}, {"zone", Daemon.zone(zone, records)}]}
  end
end
