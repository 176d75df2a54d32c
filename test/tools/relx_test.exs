defmodule Caravan.Tools.RelxTest do
  use ExUnit.Case, async: true
  import Caravan.Tools, only: [names: 1, no_epmd_stays: 1]
  alias Caravan.{Terminal, Tools, Vm}

  @moduletag :tools
  @moduletag timeout: 180_000
  setup do: Vm.no_epmd()
  setup do: Tools.host()

  @node "tiny-3777@127.0.0.1"

  # The script passes the flags that begin a line on to nodetool, which has no Caravan on its path. It doesn't see them
  # where a space is before them; the VM does.
  @files %{
    "rebar.config" => """
    {deps, []}.
    {relx, [{release, {tiny, "0.1.0"}, [tiny, sasl, caravan]},
            {lib_dirs, LIBS},
            {dev_mode, false},
            {include_erts, false},
            {extended_start_script, true},
            {vm_args, "vm.args"}]}.
    """,
    "vm.args" => """
    -name #{@node}
    -setcookie tiny
    -kernel inet_dist_use_interface {127,0,0,1}
     -start_epmd false
     -epmd_module caravan_epmd
     -caravan epmd localhost
    """,
    "src/tiny.app.src" => """
    {application, tiny, [{vsn, "0.1.0"}, {applications, [kernel, stdlib]}]}.
    """,
    "src/tiny.erl" => """
    -module(tiny).
    """
  }

  setup_all do
    dir = Vm.tmp_path("relx")
    File.rm_rf!(dir)
    on_exit(fn -> File.rm_rf!(dir) end)
    Tools.readable_copy(Path.join(dir, "libs"))
    libs = [Path.join(dir, "libs"), :elixir |> :code.lib_dir() |> Path.dirname()]

    for {path, text} <- @files do
      path = Path.join(dir, path)
      File.mkdir_p!(Path.dirname(path))
      libs = :io_lib.format("~0p", [Enum.map(libs, &to_charlist/1)])
      File.write!(path, String.replace(text, "LIBS", to_string(libs)))
    end

    # Nothing is fetched: the network of a host of ours has no way out.
    %{within: within} = Tools.host()
    env = [HOME: dir, REBAR_COLOR: "none"]
    Tools.run(within, "env", ["-C", dir, "rebar3", "release"], env: env)
    %{dir: dir, script: Path.join(dir, "_build/default/rel/tiny/bin/tiny")}
  end

  for {tool, nodetool} <- [{"erl_call", nil}, {"nodetool", "1"}] do
    test "a release of rebar3, its script with #{tool}", context do
      %{within: within, dir: dir, script: script} = context
      run = &Vm.command(script, &1, within: within, env: &2, timeout: 60_000)

      env = [PIPE_DIR: Path.join(dir, "pipes/")]

      # It ends when the node answers. First it asks whether one is there already, for which nodetool would start an epmd.
      assert {0, _} = run.(["daemon"], env)
      assert names(within) == [{"tiny-3777", 3777}]

      with_tool = [{:USE_NODETOOL, unquote(nodetool)} | env]

      for {command, expected} <- [
            {["ping"], "pong"},
            {["rpc", "erlang", "node"], @node},
            {["eval", "node()."], @node},
            {["pid"], ~r/^\d+$/m}
          ] do
        assert {0, output} = run.(command, with_tool)
        assert output =~ expected, "#{command}: #{output}"
      end

      Terminal.in_shell(
        "#{script} remote_console",
        ~s|io:format("this is ~s~n", [node()]).\r|,
        "this is #{@node}",
        within: within,
        env: with_tool
      )

      no_epmd_stays(within)
      # `stop` waits for the end of a process that nobody here has to bury.
      assert {0, _} = run.(["rpc", "init", "stop"], with_tool)
      Vm.eventually("it has ended", fn -> names(within) == nil end)
    end
  end
end
