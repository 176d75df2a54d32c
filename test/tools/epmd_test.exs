defmodule Caravan.Tools.EpmdTest do
  use ExUnit.Case, async: true
  import Caravan.Tools, except: [host: 0, node: 2, node: 3]
  alias Caravan.{Netns, Terminal, Tools, Vm}

  @moduletag :tools
  @moduletag timeout: 120_000
  setup do: Vm.no_epmd()
  setup do: Tools.host()

  @cookie Vm.cookie()

  test "erl_call -n", %{within: within} do
    _node = Tools.node(within, "app-3999")
    call = ["-n", "app-3999@127.0.0.1", "-c", @cookie, "-a", "erlang node []"]
    assert run(within, "erl_call", call) == "'app-3999@127.0.0.1'"
  end

  @tag :tmp_dir
  test "ei_connect, in C", %{within: within, tmp_dir: dir} do
    source = Path.join(dir, "connect.c")
    program = Path.join(dir, "connect")

    File.write!(source, """
    #include <ei.h>
    #include <stdio.h>

    int main(int count, char **arguments) {
      ei_cnode self;
      ei_x_buff answer;
      char name[MAXATOMLEN];
      int fd, index = 0;
      if (count != 3 || ei_init() || ei_connect_init(&self, "c_node", arguments[2], 0) < 0) return 2;
      if ((fd = ei_connect(&self, arguments[1])) < 0) return 3;
      ei_x_new(&answer);
      ei_x_buff none;
      ei_x_new(&none);
      ei_x_encode_empty_list(&none);
      if (ei_rpc(&self, fd, "erlang", "node", none.buff, none.index, &answer) < 0) return 4;
      if (ei_decode_atom(answer.buff, &index, name)) return 5;
      puts(name);
      return 0;
    }
    """)

    otp = Path.join(:code.root_dir(), "usr")
    flags = ["-I#{otp}/include", "-L#{otp}/lib", "-lei", "-lpthread"]
    assert {0, _warnings} = Vm.command("cc", ["-o", program, source | flags])

    _node = Tools.node(within, "app-3999")
    assert run(within, program, ["app-3999@127.0.0.1", @cookie]) == "app-3999@127.0.0.1"
  end

  test "a shell without any flag of Caravan's: erl -remsh and iex --remsh", %{within: within} do
    # The node that iex reaches has to have it, too.
    iex = Path.join(:code.lib_dir(:iex), "ebin")
    start = "{ok, _} = application:ensure_all_started(iex)"
    _node = Tools.node(within, "app-3999", ["-pa", iex, "-eval", start])

    Terminal.in_shell(
      "erl -name me@127.0.0.1 -setcookie #{@cookie} -remsh app-3999@127.0.0.1",
      ~s|io:format("this is ~s~n", [node()]).\r|,
      "this is app-3999@127.0.0.1",
      within: within
    )

    Terminal.in_shell(
      "iex --name you@127.0.0.1 --cookie #{@cookie} --remsh app-3999@127.0.0.1",
      ~s|IO.puts("this is " <> to_string(node()))\r|,
      "this is app-3999@127.0.0.1",
      within: within
    )
  end

  test "two nodes and a plain one: each is known, and killed in turn", %{within: within} do
    a = Tools.node(within, "app-3999")
    await_names(within, ["app-3999"])
    # Not linked yet, but known: while another one answers it is registered there.
    b = Tools.node(within, "app-4001")
    await_names(within, ["app-3999", "app-4001"])
    plain = plain_node(within, "plain")
    # Nobody has told of the port of app-4001: it is in the name.
    assert Vm.eval(plain, "net_kernel:connect_node('app-4001@127.0.0.1')") == true
    assert Vm.eval(plain, "net_kernel:connect_node('app-3999@127.0.0.1')") == true
    await_names(within, ["app-3999", "app-4001", "plain"])
    assert {"app-4001", 4001} in names(within)
    port = List.keyfind!(names(within), "plain", 0) |> elem(1)
    assert port > 4_001

    kill(within, a)
    await_names(within, ["app-4001", "plain"])
    # The plain node has registered again: its port is its own, and follows from nothing.
    Vm.eventually("plain is where it was", fn -> {"plain", port} in names(within) end)
    assert Vm.eval(b, "net_adm:ping('plain@127.0.0.1')") == :pong
    call = ["-n", "plain@127.0.0.1", "-c", @cookie, "-a", "erlang node []"]
    assert run(within, "erl_call", call) == "'plain@127.0.0.1'"

    kill(within, plain)
    await_names(within, ["app-4001"])
    a = Tools.node(within, "app-3999")
    plain = plain_node(within, "plain")
    assert Vm.eval(plain, "net_kernel:connect_node('app-3999@127.0.0.1')") == true

    kill(within, b)
    await_names(within, ["app-3999", "plain"])

    assert Vm.eval(plain, "net_adm:names()") |> elem(1) |> Enum.map(&elem(&1, 0)) |> Enum.sort() ==
             [~c"app-3999", ~c"plain"]

    no_epmd_stays(within)
    for vm <- [a, plain], do: Vm.stop(vm)
    assert names(within) == nil
  end

  test "on all addresses, for hosts that are not the loopback", %{within: within} do
    [ip, hub] = [~w(-caravan epmd {0,0,0,0}), Netns.hub()]
    start = &Vm.start(["-name", "#{&1}@#{hub}" | ip], within: within, ip: {0, 0, 0, 0})
    nodes = [start.("app-3999"), start.("app-4001")]
    await_names(within, ["app-3999", "app-4001"])
    call = ["-n", "app-4001@#{hub}", "-c", @cookie, "-a", "erlang node []"]
    assert run(within, "erl_call", call) == "'app-4001@#{hub}'"
    Enum.each(nodes, &Vm.stop/1)
  end

  test "with epmd there already: a line, and another one when the node takes over",
       %{within: within} do
    epmd = Vm.open("epmd", [], [within: within], [])
    Vm.eventually("epmd answers", fn -> names(within) == [] end)
    [pid] = processes(within, "epmd")

    args = ["-noinput", "-name", "app-3999@127.0.0.1", "-caravan", "epmd", "localhost"]
    node = Vm.open("erl", Vm.arguments(args), [within: within], line: 1_000)
    assert await_line(node) =~ "epmd or another node answers there and has registered this one"
    assert names(within) == [{"app-3999", 3999}]
    run(within, "kill", [pid])
    assert_receive {^epmd, {:exit_status, _}}, 20_000
    assert await_line(node) =~ "now answering here"
    assert names(within) == [{"app-3999", 3999}]
  end

  test "a release's tools have the flags of its node, and leave the port to it",
       %{within: within} do
    for args <- [~w(-name rpc-1a-app-3999@127.0.0.1), ~w(-name app-3999@127.0.0.1 -hidden)] do
      tool = Vm.start(args ++ ~w(-caravan epmd localhost), within: within)
      assert names(within) == nil
      Vm.stop(tool)
    end
  end

  test "it ends with distribution, and begins with it", %{within: within} do
    node =
      Vm.start(~w(-caravan epmd localhost -kernel logger_level notice),
        within: within
      )

    for _life <- 1..3 do
      assert {:ok, _pid} = Vm.eval(node, "net_kernel:start(['app-3999@127.0.0.1', longnames])")

      await_names(within, ["app-3999"])
      plain = plain_node(within, "plain")
      await_names(within, ["app-3999", "plain"])
      assert Vm.eval(node, "net_kernel:stop()") == :ok
      Vm.eventually("nobody answers", fn -> names(within) == nil end)
      Vm.stop(plain)
    end
  end

  defp await_line(node) do
    receive do
      {^node, {:data, {:eol, "caravan: epmd on localhost: " <> line}}} -> line
      {^node, {:data, _other}} -> await_line(node)
    after
      20_000 -> flunk("no line")
    end
  end

  defp kill(within, vm), do: run(within, "kill", ["-KILL", "#{Vm.eval(vm, "os:getpid()")}"])
end
