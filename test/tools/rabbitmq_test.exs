defmodule Caravan.Tools.RabbitmqTest do
  use ExUnit.Case, async: true
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
    dir = Vm.tmp_path("rabbitmq")
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

  @flags "-start_epmd false -epmd_module caravan_epmd -pa /mnt/caravan/ebin"

  test "RabbitMQ 4 and its tools, without -erl_epmd_port", context do
    flags = [RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "#{@flags} -caravan epmd localhost"]
    server = start(context, flags)

    Vm.eventually(
      "it is there",
      fn -> names(context.host) == [{"rabbit-25601", 25_601}] end,
      60_000
    )

    commands(context, server, [])
  end

  # RabbitMQ's server asks epmd for its own port, unless it is told.
  test "the same with Caravan's flags for the tools, and nobody who answers as epmd", context do
    flags = [RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "#{@flags} -erl_epmd_port 25601"]
    server = start(context, flags)
    commands(context, server, RABBITMQ_CTL_ERL_ARGS: @flags)
  end

  defp start(context, flags),
    do: Vm.open("rabbitmq-server", [], [within: context.within, env: flags ++ context.env], [])

  defp commands(%{host: host, within: within, env: env}, server, flags) do
    ctl = &Vm.command("rabbitmqctl", &1, within: within, env: flags ++ env, timeout: 60_000)
    Vm.eventually("it has started", fn -> match?({0, _}, ctl.(["await_startup"])) end, 60_000)

    for {command, expected} <- [
          {["status"], "RabbitMQ version: 4."},
          {["eval", "node()."], "'#{@node}'"},
          {["add_user", "anna", "secret"], "Adding user"},
          {["list_users"], "anna"},
          {["cluster_status"], @node},
          {["list_queues"], "Listing queues"}
        ] do
      assert {0, output} = ctl.(command)
      assert output =~ expected, "#{command}: #{output}"
    end

    assert run(within, "rabbitmq-diagnostics", ["ping"], env: flags ++ env) =~ "Ping succeeded"
    no_epmd_stays(host)
    assert {0, _} = ctl.(["stop"])
    assert_receive {^server, {:exit_status, 0}}, 60_000
    assert names(host) == nil
  end
end
