defmodule Caravan.Unbound do
  @moduledoc false

  # A recursive server that forwards everything to one other.

  alias Caravan.{Daemon, Vm}

  def start(forwarder) do
    [port] = Vm.free_ports(1)
    Daemon.start("unbound", "start of service", &configure(&1, forwarder, port))
    "127.0.0.1:#{port}"
  end

  defp configure(dir, forwarder, port) do
    config = """
    server:
      directory: "#{dir}"
      chroot: ""
      username: ""
      pidfile: ""
      use-syslog: no
      logfile: ""
      verbosity: 1
      num-threads: 1
      interface: 127.0.0.1@#{port}
      do-not-query-localhost: no
      module-config: "iterator"
      local-zone: "test." nodefault
    remote-control:
      control-enable: no
    forward-zone:
      name: "."
      forward-addr: #{String.replace(forwarder, ":", "@")}
    """

    {["-d", "-c", Path.join(dir, "unbound.conf")], [{"unbound.conf", config}]}
  end
end
