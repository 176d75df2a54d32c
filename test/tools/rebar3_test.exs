defmodule Caravan.Tools.Rebar3Test do
  # The releases that guides/erlang.md tells how to make, of the very files that are shown there.
  use ExUnit.Case, async: true
  alias Caravan.{DnsServer, Readme, Tools, Vm}

  @moduletag :tools
  @moduletag timeout: 180_000
  setup do: Vm.no_epmd()

  @guide "guides/erlang.md"
  @query "_my-app._tcp.example.org"

  @app %{
    "src/my_app.app.src" => """
    {application, my_app, [{vsn, "0.1.0"}, {mod, {my_app_app, []}}, {applications, APPLICATIONS}]}.
    """,
    "src/my_app_app.erl" => """
    -module(my_app_app).
    -behaviour(application).
    -export([start/2, stop/1]).
    start(_Type, _Args) -> my_app_sup:start_link().
    stop(_State) -> ok.
    """,
    "src/my_app_sup.erl" => """
    -module(my_app_sup).
    -behaviour(supervisor).
    -export([start_link/0, init/1]).
    start_link() -> supervisor:start_link(my_app_sup, []).
    init([]) -> {ok, {\#{}, []}}.
    """
  }

  setup do
    [first, second] = Vm.free_ports(2)
    %{nodes: for(port <- [first, second], do: :"my_app-#{port}@127.0.0.1"), ports: [first, second]}
  end

  test "without Elixir, nodes have ports from their names", %{nodes: [one, other] = nodes, ports: [port, _]} do
    script = release("plain", "[kernel, stdlib]", & &1)
    for node <- nodes, do: boot(script, node)
    probe = probe(nodes)

    for node <- nodes do
      assert call(probe, node, ~s|code:which('Elixir.Enum')|) == :non_existing
      loaded = for {app, _, _} <- call(probe, node, "application:loaded_applications()"), do: app
      assert :caravan in loaded
      assert loaded -- [:elixir, :logger] == loaded
      refute List.keymember?(call(probe, node, "application:which_applications()"), :caravan, 0)
    end

    assert call(probe, one, "net_kernel:connect_node('#{other}')") == true
    Vm.eventually("the other one knows it", fn -> call(probe, other, "nodes()") == [one] end)
    assert call(probe, one, "net_kernel:connect_node('my_app-70000@127.0.0.1')") == false

    assert {1, output} = Vm.command(script, ["foreground"], env: env(one))
    assert output =~ ~r/^caravan: .*#{port}.*\.$/m
  end

  test "topologies come from sys.config and find their peers in DNS", %{nodes: [one, other] = nodes, ports: ports} do
    dns = DnsServer.start()
    DnsServer.publish(dns, @query, ports, "127.0.0.1.example.org")

    script =
      release("topologies", "[kernel, stdlib, caravan]", fn text ->
        options = ~s|{nameservers, [<<"#{dns.address}">>]}, {node_name, <<"my_app-{port}@127.0.0.1">>}, |
        String.replace(text, "[{query,", "[#{options}{query,")
      end)

    for node <- nodes, do: boot(script, node)
    probe = probe(nodes)

    for {node, peer} <- [{one, other}, {other, one}] do
      assert call(probe, node, "'Elixir.Caravan':await(my_app)") == {:ok, [peer]}
      assert call(probe, node, "net_kernel:epmd_module()") == :caravan_epmd
    end
  end

  # rebar3 writes into the folder of the project, the names of the environment go into a copy of vm.args.
  defp release(kind, applications, change) do
    dir = Vm.tmp_path("rebar3_#{kind}")
    File.rm_rf!(dir)

    ExUnit.Callbacks.on_exit(fn ->
      Vm.kill_within(dir)
      File.rm_rf!(dir)
    end)

    Tools.readable_copy(Path.join(dir, "libs"))

    places = %{
      "APPLICATIONS" => applications,
      "/path/to/caravan/_build/prod/lib" => Path.join(dir, "libs"),
      "/path/to/elixir/lib" => :elixir |> :code.lib_dir() |> Path.dirname()
    }

    for {path, text} <- Map.merge(@app, guide(kind)) do
      path = Path.join(dir, path)
      File.mkdir_p!(Path.dirname(path))
      File.write!(path, Enum.reduce(places, change.(text), fn {from, to}, text -> String.replace(text, from, to) end))
    end

    assert {0, _} = Vm.command("rebar3", ["release"], cd: dir, env: [HOME: dir, REBAR_COLOR: "none"], timeout: 120_000)
    Path.join(dir, "_build/default/rel/my_app/bin/my_app")
  end

  defp guide(kind) do
    for block <- Readme.blocks(Readme.text(@guide), @guide),
        file = block.marks["file"],
        block.marks["of"] in [nil, kind],
        into: %{},
        do: {file, block.text}
  end

  defp boot(script, node), do: Vm.start_command(script, ["foreground"], "Exec: ", env: env(node))

  # Copies of one release share a vm.args unless told where to write it.
  defp env(node) do
    [
      NODE: node,
      COOKIE: Vm.cookie(),
      RELX_OUT_FILE_PATH: out_path(node),
      ERL_FLAGS: "-kernel inet_dist_use_interface {127,0,0,1}"
    ]
  end

  defp out_path(node) do
    path = Vm.tmp_path("rebar3_#{node}")
    File.mkdir_p!(path)
    ExUnit.Callbacks.on_exit(fn -> File.rm_rf!(path) end)
    path
  end

  # Hidden, so that it brings nobody together.
  defp probe(nodes) do
    probe = Vm.start(~w(-name probe@127.0.0.1 -hidden))

    for node <- nodes,
        do: Vm.eventually("#{node} is up", fn -> Vm.eval(probe, "net_kernel:connect_node('#{node}')") end)

    probe
  end

  defp call(probe, node, code), do: Vm.eval(probe, "erpc:call('#{node}', fun() -> #{code} end)")
end
