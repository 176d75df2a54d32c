defmodule Caravan.Bind do
  @moduledoc false

  # An authoritative server (BIND's named) with one zone; it refuses all others, but for broken.test, which did not load.

  alias Caravan.{Daemon, Vm}

  @doc "On a port of 127.0.0.1 and ::1; answers with the former."
  def start(zone, records) do
    [port] = Vm.free_ports(1)
    Daemon.start("named", "all zones loaded", &configure(&1, zone, records, port))
    "127.0.0.1:#{port}"
  end

  defp configure(dir, zone, records, port) do
    config = """
    options {
      directory "#{dir}";
      managed-keys-directory "#{dir}";
      pid-file none;
      session-keyfile none;
      listen-on port #{port} { 127.0.0.1; };
      listen-on-v6 port #{port} { ::1; };
      recursion no;
      minimal-responses no;
      dnssec-validation no;
      max-records-per-type 0;
    };
    controls { };
    zone "#{zone}" { type primary; file "zone"; notify no; };
    zone "broken.test" { type primary; file "missing"; notify no; };
    """

    {["-g", "-n", "1", "-c", Path.join(dir, "named.conf")],
     [{"named.conf", config}, {"zone", Daemon.zone(zone, records)}]}
  end
end
