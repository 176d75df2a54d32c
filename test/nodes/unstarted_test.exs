defmodule Caravan.Nodes.UnstartedTest do
  @moduledoc false
  # VMs where nobody has started the application or loaded the library: `mix run --no-start`, `bin/app eval`, a test.
  use ExUnit.Case, async: true
  alias Caravan.{DnsServer, Error, Vm}

  @moduletag :nodes
  @moduletag timeout: 60_000

  describe "the library is loaded at first use" do
    test "of any function" do
      server = DnsServer.start()
      DnsServer.publish(server, "app.test", [4001], "127.0.0.1")
      options = ~s([{nameservers, [<<"#{server.address}">>]}])

      assert call("dist_port(<<\"app-3434\">>)") == {:ok, 3434}
      assert {:ok, lookup} = call("lookup(<<\"app.test\">>, #{options})")
      assert [%{port: 4001}] = lookup.endpoints

      assert {:error, %Error{kind: :nxdomain}} = call("lookup(<<\"no.test\">>, #{options})")
    end

    test "also of many at the same time" do
      vm = Vm.start([])

      answers =
        Vm.eval(vm, """
        Self = self(),
        Pids = [spawn(fun() -> receive go -> Self ! {self(), 'Elixir.Caravan':dist_port("app-3434")} end end) || _ <- lists:seq(1, 100)],
        [Pid ! go || Pid <- Pids],
        [receive {Pid, Answer} -> Answer end || Pid <- Pids]
        """)

      assert Enum.uniq(answers) == [{:ok, 3434}] and length(answers) == 100
    end

    test "of mix run --no-start" do
      code = ~s|IO.inspect({:port, Caravan.dist_port("app-3434")})|
      args = ["run", "--no-compile", "--no-start", "-e", code]
      assert {0, output} = Vm.command("mix", args)
      assert output =~ "{:port, {:ok, 3434}}"
    end
  end

  test "what needs the application says that it isn't running" do
    options = ~s([{query, <<"app.test">>}, {node_sname, <<"app-1">>}])

    state =
      ~s(\#{topology => app, config => #{options}, connect => {e, e, []}, disconnect => {e, e, []}, ) <>
        ~s(list_nodes => {erlang, nodes, []}})

    vm = Vm.start([])

    for call <- [
          "'Elixir.Caravan':status()",
          "'Elixir.Caravan':to_mermaid()",
          "'Elixir.Caravan':members(app)",
          "'Elixir.Caravan':await(app)",
          "'Elixir.Caravan':poll(app)",
          "'Elixir.Caravan':drain()",
          "'Elixir.Caravan':start_link([{topologies, [{app, #{options}}]}])",
          "'Elixir.Caravan.Cluster.DnsStrategy':start_link([#{state}])"
        ] do
      assert %Error{kind: :not_started, message: message} = raised(vm, call), call
      assert message =~ "Application.ensure_all_started(:caravan)"
      # Once more: nothing that failed has changed anything.
      assert %Error{kind: :not_started} = raised(vm, call)
    end
  end

  @tag :tmp_dir
  test "a library that can't be loaded is an error with its cure, and no end for the VM", %{
    tmp_dir: dir
  } do
    ebin = Path.join(dir, "caravan/ebin")
    File.mkdir_p!(ebin)
    File.cp_r!(Application.app_dir(:caravan, "ebin"), ebin)
    vm = Vm.start([], ebin: ebin)

    for call <- [
          "'Elixir.Caravan':dist_port(app)",
          "'Elixir.Caravan':lookup(<<\"app.test\">>)",
          "'Elixir.Caravan':start_link([{topologies, [{app, [{query, <<\"app.test\">>}]}]}])"
        ] do
      assert %Error{kind: :not_loaded, message: message} = raised(vm, call), call
      assert message =~ "is missing. Run `mix deps.compile caravan --force`"
    end

    for {function, arity} <- Caravan.Native.module_info(:nifs) do
      call = "apply('Elixir.Caravan.Native', #{function}, lists:duplicate(#{arity}, x))"
      assert %Error{kind: :not_loaded} = raised(vm, call), "#{function}/#{arity}"
    end

    # What the VM calls answers all the same.
    assert {:error, _} = Vm.eval(vm, "caravan_epmd:address_please(\"app-1\", \"127.0.0.1\", inet)")

    assert :noport = Vm.eval(vm, "caravan_epmd:port_please(\"app-1\", {127,0,0,1})")
    assert {:ok, []} = Vm.eval(vm, "caravan_epmd:names(\"no-such-host\")")
  end

  # In a VM of its own: any call would load the library for the next.
  defp call(code) do
    vm = Vm.start([])
    answer = Vm.eval(vm, "'Elixir.Caravan':#{code}")
    Vm.stop(vm)
    answer
  end

  defp raised(vm, code), do: Vm.eval(vm, "try #{code} catch error:Error -> Error end")
end
