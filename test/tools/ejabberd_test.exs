defmodule Caravan.Tools.EjabberdTest do
  use ExUnit.Case, async: true
  import Caravan.Tools, only: [names: 1, no_epmd_stays: 1]
  alias Caravan.{Tools, Vm}

  @moduletag :tools
  @moduletag timeout: 180_000
  setup do: Vm.no_epmd()
  setup do: Tools.host()

  @node "ejabberd-15701@localhost"

  # Debian's script becomes the user ejabberd, which has to read all of this.
  setup do
    dir = Vm.tmp_path("ejabberd")
    File.rm_rf!(dir)
    on_exit(fn -> File.rm_rf!(dir) end)
    for part <- ~w(conf log spool), do: File.mkdir_p!(Path.join(dir, part))
    ebin = Tools.readable_copy(dir)
    File.cp!("/etc/ejabberd/inetrc", Path.join(dir, "conf/inetrc"))

    File.write!(Path.join(dir, "conf/ejabberd.yml"), """
    hosts: ["localhost"]
    loglevel: info
    listen: []
    modules: {}
    """)

    {_, 0} = System.cmd("chown", ["-R", "ejabberd", dir])
    ours = ["--config-dir", "#{dir}/conf", "--logs", "#{dir}/log", "--spool", "#{dir}/spool"]

    %{
      ctl: &(ours ++ &1),
      config: Path.join(dir, "conf/ejabberdctl.cfg"),
      flags: "-start_epmd false -epmd_module caravan_epmd -pa #{ebin}"
    }
  end

  test "Debian's ejabberd and ejabberdctl, without ERL_DIST_PORT", context do
    %{within: within, ctl: ctl, config: config, flags: flags} = context

    # MNESIA_OPTIONS are the server's alone: the commands get none of Caravan's flags.
    File.write!(config, """
    ERLANG_NODE=#{@node}
    MNESIA_OPTIONS="#{flags} -caravan epmd localhost"
    """)

    server = Vm.open("ejabberdctl", ctl.(["foreground"]), [within: within], [])
    Vm.eventually("the server answers", fn -> names(within) == [{"ejabberd-15701", 15_701}] end)
    commands(within, ctl)
    assert names(within) == [{"ejabberd-15701", 15_701}]
    stop(within, ctl, server)
  end

  test "the same with Caravan's flags for the commands, and nobody who answers as epmd",
       context do
    %{within: within, ctl: ctl, config: config, flags: flags} = context
    File.write!(config, ~s(ERLANG_NODE=#{@node}\nERL_OPTIONS="#{flags}"\nERL_DIST_PORT=15701\n))
    server = Vm.open("ejabberdctl", ctl.(["foreground"]), [within: within], [])
    commands(within, ctl)
    stop(within, ctl, server)
  end

  defp commands(within, ctl) do
    assert {0, _} = run(within, ctl, ["started"])

    for {command, expected} <- [
          {["status"], "is running in that node"},
          {["ping"], "pong"},
          {["list_cluster"], @node},
          {["get_loglevel"], "info"},
          {["registered_vhosts"], "localhost"},
          {["register", "anna", "localhost", "secret"], "successfully registered"},
          {["registered_users", "localhost"], "anna"},
          {["connected_users_number"], "0"}
        ] do
      assert {0, output} = run(within, ctl, command)
      assert output =~ expected, "#{command}: #{output}"
    end
  end

  defp stop(within, ctl, server) do
    no_epmd_stays(within)
    assert {0, _} = run(within, ctl, ["stop"])
    assert_receive {^server, {:exit_status, 0}}, 60_000
    assert names(within) == nil
  end

  defp run(within, ctl, command) do
    Vm.command("ejabberdctl", ctl.(command), within: within, timeout: 60_000)
  end
end
