defmodule Caravan.Nodes.DoctorTest do
  # What the doctor finds in real VMs, each with a fault.
  use ExUnit.Case, async: true
  import Caravan.DoctorSteps
  alias Caravan.{DnsServer, Vm}

  @moduletag :nodes
  @moduletag timeout: 120_000
  setup do: Vm.no_epmd()

  # The one that asks is shared: most faults are elsewhere. An agent keeps it, since tests are processes of their own.
  setup_all do
    vm = start_supervised!({Agent, fn -> Vm.start_node() end})
    {_, name, port} = Agent.get(vm, & &1)
    %{vm: vm, name: "#{name}", port: port}
  end

  defp eval(%{vm: vm}, code), do: Agent.get(vm, fn {vm, _, _} -> Vm.eval(vm, code) end, 60_000)

  describe "this node:" do
    test "nothing is wrong", context do
      findings = check(context)
      assert wrong(findings) == []
      assert Enum.map(findings, & &1.layer) == ~w(library distribution epmd_module port host topology)a
      assert said(findings, :loopback_host) =~ "127.0.0.1 is this machine for every machine"
      assert said(findings, :not_started) =~ "the application :caravan isn't running here"
      assert Enum.find(findings, &(&1.layer == :port)).message == "#{context.port}, on which this node listens"
    end

    test "not distributed" do
      findings = check(Vm.start([]))
      assert wrong(findings) == [{:distribution, :fault, :not_distributed}]
      assert said(findings, :not_distributed) =~ "start it with --name or --sname"
    end

    test "the library wasn't built" do
      dir = Vm.tmp_path("ebin")
      ebin = Path.join(dir, "caravan/ebin")
      File.mkdir_p!(ebin)
      on_exit(fn -> File.rm_rf!(dir) end)
      File.cp_r!(Application.app_dir(:caravan, "ebin"), ebin)
      vm = Vm.start(["-pa", ebin, "-pa", elixir()], plain: true)
      assert [{:library, :fault, :not_loaded} | _] = wrong(check(vm))
      assert said(check(vm), :not_loaded) =~ "caravan_nif.so is missing. Run `mix deps.compile caravan --force`"
      assert [{:library, :fault, :not_loaded} | _] = wrong(explain(vm, "app-3434@127.0.0.1"))
    end

    test "the epmd module is missing, or another one" do
      [port] = Vm.free_ports(1)
      paths = ["-pa", Application.app_dir(:caravan, "ebin"), "-pa", elixir()]
      plain = ~w(-start_epmd false -erl_epmd_port #{port} -name app-3434@127.0.0.1) ++ paths
      findings = check(Vm.start(plain, plain: true))
      assert wrong(findings) == [{:epmd_module, :fault, :no_epmd_module}, {:port, :fault, :other_port}]
      assert said(findings, :no_epmd_module) =~ "-epmd_module caravan_epmd is missing from its flags"
      assert said(findings, :other_port) =~ "name stands for port 3434, but it listens on #{port}"
    end

    test "of two -start_epmd, the last counts" do
      [port] = Vm.free_ports(1)
      paths = ["-pa", Application.app_dir(:caravan, "ebin"), "-pa", elixir()]
      flags = ~w(-start_epmd true -epmd_module caravan_epmd -name app-#{port}@127.0.0.1 -start_epmd false)
      refute Enum.any?(check(Vm.start(flags ++ paths, plain: true)), &(&1.kind == :epmd_started))
    end

    test "a name that ends in a hash" do
      [port] = Vm.free_ports(1)
      findings = check(Vm.start(~w(-name app-6f3e#{port}@127.0.0.1)))
      assert wrong(findings) == [{:name, :warning, :hash}]
      assert said(findings, :hash) =~ "they stand for port #{port}"
    end

    test "a host that nobody resolves, or that is no address of this machine" do
      [port, other] = Vm.free_ports(2)

      assert wrong(check(Vm.start(~w(-sname app-#{port}@0123456789ab)))) -- [{:host, :fault, :bound_to_loopback}] == [
               {:host, :warning, :container_id}
             ]

      findings = check(Vm.start(~w(-name app-#{other}@192.0.2.1)))
      assert {:host, :warning, :foreign_host} in wrong(findings)
      assert said(findings, :foreign_host) =~ "192.0.2.1 isn't an address of this machine"
      assert said(findings, :bound_to_loopback) =~ "listens on 127.0.0.1 only"
    end

    test "capitals in its host" do
      [port] = Vm.free_ports(1)
      findings = check(Vm.start(~w(-name app-#{port}@LocalHost.LocalDomain)))
      assert {:host, :fault, :capitals} in wrong(findings)
      assert Enum.find(findings, &(&1.kind == :capitals)).cure == "write localhost.localdomain in the node's name"
    end
  end

  describe "DNS:" do
    setup do: %{server: DnsServer.start()}

    defp query(server, name, more \\ []), do: [query: name, nameservers: [server.address], timeout: 2_000] ++ more

    test "its answer, and who is in it", %{server: server, port: port} = context do
      DnsServer.publish(server, "app.test", [port], "127.0.0.1")
      findings = check(context, query(server, "app.test"))
      assert wrong(findings) == []
      assert %{about: {:query, "app.test"}, message: message} = List.last(findings)
      assert message == "1 endpoint from #{server.address} (udp), TTL 1 s: #{context.name}"
    end

    test "a typo in the name", %{server: server} = context do
      findings = check(context, query(server, "ap.test"))
      assert wrong(findings) == [{:dns, :fault, :nxdomain}]
      assert said(findings, :nxdomain) =~ ~s(looked up "ap.test SRV" at #{server.address})
      assert said(findings, :nxdomain) =~ "check the spelling"
    end

    test "the name server is down", context do
      [port] = Vm.free_ports(1)
      findings = check(context, query(%{address: "127.0.0.1:#{port}"}, "app.test"))
      assert wrong(findings) == [{:dns, :fault, :network}]
      assert said(findings, :network) =~ "nothing listens there (connection refused); check that it runs there"
    end

    test "SRV records of port 0, and a target without an address", %{server: server} = context do
      for record <- ["zero.test 1 SRV 0 0 0 127.0.0.1", "gone.test 1 SRV 0 0 3434 nowhere.test"],
          do: DnsServer.command(server, "add #{record}")

      findings = check(context, query(server, "zero.test"))
      assert wrong(findings) == [{:dns, :fault, :no_port}, {:dns, :warning, :not_listed}]
      assert said(findings, :no_port) =~ "their SRV records have port 0"
      findings = check(context, query(server, "gone.test"))
      assert {:dns, :fault, :no_target_address} in wrong(findings)
      assert said(findings, :no_target_address) =~ "nowhere.test, the target of an SRV record, has no address"
    end

    test "the wrong port in a name, here or in DNS", %{server: server, name: name} = context do
      [other] = Vm.free_ports(1)
      DnsServer.publish(server, "app.test", [other], "127.0.0.1")
      findings = check(context, query(server, "app.test"))

      assert wrong(findings) == [{:dns, :warning, :other_name_here}, {:tcp, :fault, :refused}]
      assert said(findings, :other_name_here) =~ "lists app-#{other}@127.0.0.1 on this host, but not #{name}"
      assert said(findings, :refused) =~ "nothing listens at 127.0.0.1:#{other}"
    end

    test "address records, while nodes are named by host", %{server: server} do
      [port] = Vm.free_ports(1)
      DnsServer.command(server, "add app.test 1 A 127.0.0.1")
      vm = Vm.start(~w(-name app-#{port}@localhost.localdomain))
      findings = check(vm, query(server, "app.test", type: :a))
      assert {:name, :fault, :by_host} in wrong(findings)
      assert said(findings, :by_host) =~ "the topology names nodes by address"
      # The answer's name for it follows from that.
      refute {:dns, :fault, :called_otherwise} in wrong(findings)
    end

    test "a short name among long ones", %{server: server} = context do
      DnsServer.publish(server, "app.test", [3434], "shorthost")
      assert {:dns, :fault, :short_name} in wrong(check(context, query(server, "app.test")))
    end

    test "a filter that drops the node", %{server: server, port: port} = context do
      [other] = Vm.free_ports(1)
      DnsServer.publish(server, "app.test", [port, other], "127.0.0.1")
      node = "app-#{other}@127.0.0.1"
      findings = explain(context, node, query(server, "app.test", allow: ["10.0.0.0/8"]))

      assert [{:dns, :warning, :not_allowed}, {:dns, :warning, :not_listed} | _] = wrong(findings)
      assert said(findings, :not_allowed) =~ "outside the networks in the option :allow"
    end

    test "an option that is none", context do
      assert [{:topology, :fault, :invalid_option}] = wrong(check(context, :query))
      assert [{:topology, :fault, :invalid_option}] = wrong(check(context, query: "a.test", typ: :a))
    end
  end

  describe "a running topology:" do
    test "one that is stuck, and one that drains" do
      {vm, _, _} = Vm.start_node(["-pa", Application.app_dir(:logger, "ebin")])
      assert [{:topology, :warning, :no_topology}] = wrong(start_application(vm))
      Vm.start_topology(vm, :app, query: "app.test", nameservers: ["127.0.0.1:1"])
      Vm.eval(vm, "'Elixir.Caravan':drain()")
      findings = check(vm)
      assert [{:dns, _, _}, {:topology, :warning, :draining}] = Enum.sort(wrong(findings))
      assert said(findings, :draining) =~ "looks for nobody"

      Vm.eval(vm, "[{Pid, _}] = 'Elixir.Registry':lookup('Elixir.Caravan.Topology.Registry', app), sys:suspend(Pid)")
      findings = check(vm)
      assert wrong(findings) == [{:topology, :fault, :not_responding}]
      assert said(findings, :not_responding) =~ ":app: not responding; its process is stuck or overloaded"
    end

    defp start_application(vm) do
      Vm.eval(vm, "{ok, _} = application:ensure_all_started(caravan), ok")
      check(vm)
    end

    test "its query, its age and how many are connected" do
      server = DnsServer.start()
      logger = ["-pa", Application.app_dir(:logger, "ebin")]
      {a, a_name, a_port} = Vm.start_node(logger)
      {_b, b_name, b_port} = Vm.start_node()
      DnsServer.publish(server, "app.test", [a_port, b_port], "127.0.0.1")
      Vm.start_topology(a, :app, query: "app.test", nameservers: [server.address])
      Vm.await(a, "nodes()", [b_name])
      findings = check(a)
      assert wrong(findings) == []
      assert [dns] = for(%{layer: :dns} = finding <- findings, do: finding)
      assert dns.about == {:topology, :app, "app.test"}
      assert dns.message =~ ~r/^2 endpoints from .* the topology's last answer is \d+\.\d s old: #{b_name}, #{a_name}$/
      # A section for each, this node's first.
      assert [:this_node, {:topology, :app, "app.test"}] = findings |> Enum.map(& &1.about) |> Enum.dedup()
      assert Enum.any?(findings, &(&1.message == "this node is connected to 1 of the 1 node below"))
      assert [%{message: ":app: " <> line}] = for(%{layer: :topology} = finding <- explain(a, b_name), do: finding)
      assert line =~ "#{b_name}  connected for"
    end
  end

  describe "another node:" do
    test "all is well", context do
      {_vm, node, port} = Vm.start_node()
      findings = explain(context, node)
      assert wrong(findings) == []
      assert List.last(findings).message =~ "held by the process"

      assert Enum.find(findings, &(&1.layer == :handshake)).message =~
               "127.0.0.1:#{port} is #{node} and has the same cookie"
    end

    test "one on this node's own host, which only this node knows" do
      [port, other] = Vm.free_ports(2)
      vm = Vm.start(~w(-name app-#{port}@only.here.invalid))
      peer = Vm.start(~w(-name app-#{other}@only.here.invalid))
      findings = explain(vm, "app-#{other}@only.here.invalid")
      assert wrong(findings) -- [{:host, :fault, :bound_to_loopback}] == [{:host, :warning, :unresolved_host}]
      assert Enum.find(findings, &(&1.layer == :handshake)).message =~ "has the same cookie"
      Vm.stop(peer)
    end

    test "another cookie, which isn't shown", context do
      {vm, node, _port} = Vm.start_node()
      Vm.eval(vm, "erlang:set_cookie('SECRET1')")
      assert wrong(explain(context, node)) == [{:handshake, :fault, :other_cookie}]
      {asker, _, _} = Vm.start_node()
      Vm.eval(asker, "erlang:set_cookie('SECRET2')")
      findings = explain(asker, node)
      assert wrong(findings) == [{:handshake, :fault, :other_cookie}]
      refute inspect(findings) =~ "SECRET"
    end

    test "another port than that in its name", context do
      [port] = Vm.free_ports(1)
      assert wrong(explain(context, "app-#{port}@127.0.0.1")) == [{:tcp, :fault, :refused}]
    end

    test "a name that is none, a tool's, a hash's", context do
      for {name, kind} <- [
            {"app-70000@127.0.0.1", :port_out_of_range},
            {"rpc-5f3a-app-3434@127.0.0.1", :tool_node},
            {"app 1@127.0.0.1", :invalid_name},
            {"app-1", :invalid_name},
            {"{:a, :b}", :invalid_name},
            {"", :invalid_name}
          ],
          do: assert(wrong(explain(context, name)) == [{:name, :fault, kind}])

      [port] = Vm.free_ports(1)
      assert [{:name, :warning, :hash}, {:tcp, _, :refused}] = wrong(explain(context, "app-6f3e#{port}@127.0.0.1"))
    end

    test "a short name, and capitals in a host", context do
      [port] = Vm.free_ports(1)
      assert [{:name, :fault, :short_name} | _] = wrong(explain(context, "app-#{port}@localhost"))

      _vm = Vm.start(~w(-name app-#{port}@localhost.localdomain))
      findings = explain(context, "app-#{port}@LOCALHOST.localdomain")
      assert [{:host, :fault, :capitals} | _] = wrong(findings)
    end

    test "another one of this node's name", %{name: name, port: port} = context do
      # Where nobody but a resolver that is wrong would look for it.
      other = Vm.start(~w(-name #{name}), ip: {127, 0, 0, 3})
      findings = explain(context, "app-#{port}@127.0.0.3")
      assert [{:handshake, :fault, :duplicate} | _] = wrong(findings)
      Vm.stop(other)
    end

    test "this node itself, and a node that it is connected to under another name",
         %{name: name, port: port} = context do
      assert {:handshake, :warning, :itself} in wrong(explain(context, name))

      {_vm, node, other} = Vm.start_node([], ip: {0, 0, 0, 0})
      eval(context, "net_kernel:connect_node('#{node}')")
      alias = "app-#{other}@127.0.0.2"
      assert [{:handshake, :fault, :already_connected} | _] = wrong(explain(context, alias))

      assert [%{message: "this node is connected to it"}] =
               for(%{layer: :handshake} = finding <- explain(context, node), do: finding)

      refute port == other
    end

    test "one that is suspended", context do
      {vm, node, _port} = Vm.start_node()
      {:os_pid, pid} = Port.info(vm.port, :os_pid)
      {_, 0} = System.cmd("kill", ["-STOP", "#{pid}"])
      on_exit(fn -> System.cmd("kill", ["-CONT", "#{pid}"], stderr_to_stdout: true) end)
      findings = explain(context, node)
      assert wrong(findings) == [{:handshake, :fault, :silent}]
      assert said(findings, :silent) =~ "suspended or hung"
    end

    test "something else on its port", context do
      {:ok, listener} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false])
      {:ok, port} = :inet.port(listener)

      server =
        spawn_link(fn ->
          {:ok, socket} = :gen_tcp.accept(listener)
          {:ok, _} = :gen_tcp.recv(socket, 0)
          :gen_tcp.send(socket, "HTTP/1.1 400 Bad Request\r\n\r\n")
          :gen_tcp.recv(socket, 0)
        end)

      :ok = :gen_tcp.controlling_process(listener, server)
      node = "app-#{port}@127.0.0.1"
      findings = explain(context, node)
      assert wrong(findings) == [{:handshake, :fault, :not_erlang}, {:port, :warning, :port_held}]
      assert said(findings, :not_erlang) =~ "speaks HTTP"
      assert said(findings, :port_held) =~ "held by the process #{System.pid()} (beam.smp), so #{node} couldn't start"
    end

    test "another node on its port", context do
      {_vm, node, port} = Vm.start_node()
      findings = explain(context, "web-#{port}@127.0.0.1")
      assert wrong(findings) == [{:handshake, :fault, :other_name}, {:port, :warning, :port_held}]
      assert said(findings, :port_held) =~ ", the node #{node}, so"
    end

    test "an address that can't be reached, and a host without one", context do
      assert wrong(explain(context, "app-3434@255.255.255.255")) == [{:tcp, :fault, :unreachable}]
      assert wrong(explain(context, "app-3434@nowhere.invalid")) == [{:address, :fault, :no_address}]
    end
  end

  defp elixir, do: :elixir |> :code.lib_dir() |> Path.join("ebin")
end
