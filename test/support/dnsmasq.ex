defmodule Caravan.Dnsmasq do
  @moduledoc false

  # The forwarder of many routers and containers: everything goes to one other server, but for these lines of its
  # configuration.

  alias Caravan.{Daemon, Vm}

  def start(forwarder, lines \\ "") do
    [port] = Vm.free_ports(1)
    Daemon.start("dnsmasq", "started, version", &configure(&1, forwarder, lines, port))
    "127.0.0.1:#{port}"
  end

  defp configure(dir, forwarder, lines, port) do
    config = """
    port=#{port}
    listen-address=127.0.0.1
    bind-interfaces
    user=root
    pid-file
    no-resolv
    no-hosts
    server=#{String.replace(forwarder, ":", "#")}
    #{lines}
    """

    {[
       "--keep-in-foreground",
       "--log-facility=-",
       "--conf-file=#{Path.join(dir, "dnsmasq.conf")}"
     ], [{"dnsmasq.conf", config}]}
  end
end
