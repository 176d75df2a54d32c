defmodule Caravan.Tools.RabbitmqTest do
  use ExUnit.Case, async: false
  import Caravan.Tools, only: [names: 1, no_epmd_stays: 1, run: 4]
  alias Caravan.{Tools, Vm}

  @moduletag :tools
  @moduletag timeout: 180_000
  setup do: Vm.no_epmd()
  setup do: Tools.host()

  @node "rabbit-25601@127.0.0.1"

  # What is written there is gone with the test; /mnt has Caravan.
  @mounts """
  mount --rbind /dev "$0/dev"
  mount -t proc proc "$0/proc"
  for dir in tmp mnt var/lib/rabbitmq var/log/rabbitmq; do mount -t tmpfs -o mode=1777 tmpfs "$0/$dir"; done
  cp -r "$1" "$0/mnt/caravan"
  """

  setup %{within: host} do
    cache = System.get_env("XDG_CACHE_HOME", Path.join(System.user_home!(), ".cache"))
    system = Path.join(cache, "caravan/rabbitmq")
    assert File.dir?(system), "no #{system}: run bin/rabbitmq"
    dir = Path.join(System.tmp_dir!(), "caravan-rabbitmq-#{System.pid()}")
    on_exit(fn -> File.rm_rf!(dir) end)
    Tools.readable_copy(dir)
    run(host, "sh", ["-euc", @mounts, system, Path.join(dir, "caravan")], [])

    env = [
      RABBITMQ_NODENAME: @node,
      RABBITMQ_USE_LONGNAME: "true",
      HOME: "/var/lib/rabbitmq",
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
      LC_ALL: "C.UTF-8"
    ]

    %{host: host, within: host ++ ["chroot", system], env: env}
  end

  test "RabbitMQ 4 and its tools, without -erl_epmd_port", context do
    %{host: host, within: within, env: env} = context

    flags =
      "-start_epmd false -epmd_module caravan_epmd -caravan epmd localhost -pa /mnt/caravan/ebin"

    server = [{:RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS, flags} | env]
    server = Vm.open("rabbitmq-server", [], [within: within, env: server], [])
    Vm.eventually("it is there", fn -> names(host) == [{"rabbit-25601", 25_601}] end, 60_000)
    ctl = &run(within, "rabbitmqctl", &1, env: env)
    ctl.(["await_startup"])

    for {command, expected} <- [
          {["status"], "RabbitMQ version: 4."},
          {["eval", "node()."], "'#{@node}'"},
          {["add_user", "anna", "secret"], "Adding user"},
          {["list_users"], "anna"},
          {["cluster_status"], @node},
          {["list_queues"], "Listing queues"}
        ] do
      output = ctl.(command)
      assert output =~ expected, "#{command}: #{output}"
    end

    assert run(within, "rabbitmq-diagnostics", ["ping"], env: env) =~ "Ping succeeded"
    no_epmd_stays(host)
    ctl.(["stop"])
    assert_receive {^server, {:exit_status, 0}}, 60_000
    assert names(host) == nil
  end
end
