defmodule Mix.Tasks.Caravan.DoctorTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureIO
  alias Caravan.{DnsServer, Vm}
  alias Mix.Tasks.Caravan.Doctor

  test "arguments become the node and a topology's options" do
    assert Doctor.parse([]) == {:ok, nil, []}

    args =
      ~w(app-1@h --query a.test --query b.test --nameserver 127.0.0.1 --allow 10.0.0.0/8 --type a --tcp) ++
        ~w(--timeout 500 --node-name {sname}@{ip} --node-sname app --cookie abc)

    assert {:ok, "app-1@h", options} = Doctor.parse(args)

    assert Enum.sort(options) == [
             allow: ["10.0.0.0/8"],
             cookie: "abc",
             nameservers: ["127.0.0.1"],
             node_name: "{sname}@{ip}",
             node_sname: "app",
             query: ["a.test", "b.test"],
             timeout: 500,
             transport: :tcp,
             type: :a
           ]

    assert Doctor.parse(~w(--type local)) == {:ok, nil, [type: :local]}
    assert {:error, "expected at most one node, got 2: mix caravan.doctor " <> _} = Doctor.parse(~w(a@h b@h))
    assert {:error, "unknown or invalid option --nope: expected mix caravan" <> _} = Doctor.parse(~w(--nope))
  end

  test "prints what it finds; a fault is status 1" do
    server = DnsServer.start()
    [port] = Vm.free_ports(1)
    DnsServer.publish(server, "app.test", [port], "127.0.0.1")
    args = ["app-#{port}@127.0.0.1", "--query", "app.test", "--nameserver", server.address, "--node-sname", "app"]
    output = capture_io(fn -> assert catch_exit(Doctor.run(args)) == {:shutdown, 1} end)

    # The name that this VM has is another one.
    assert output =~
             ~r/^Query app.test\n  FAULT    name          the topology's options would name caravan-4999@127.0.0.1 app-/m

    assert output =~ ~r/^  ok       dns           1 endpoint from #{server.address} \(udp\), TTL 1 s: app-#{port}@/m
    assert output =~ ~r/^Node app-#{port}@127.0.0.1\n  ok       dns           listed by app.test$/m
    assert output =~ ~r/^  FAULT    tcp           nothing listens at 127.0.0.1:#{port} \(connection refused\); start/m
    # Tests at the same time may have topologies here, with faults of their own.
    assert output =~ ~r/^\d+ faults, \d+ warnings?\. Begin with the first/m
    refute output =~ "\e["
  end

  test "without a query, libcluster's topologies are looked up" do
    server = DnsServer.start()
    config = [query: "cluster.test", nameservers: [server.address]]
    topologies = [other: [strategy: Other], mine: [strategy: Caravan.Cluster.DnsStrategy, config: config]]
    Application.put_env(:libcluster, :topologies, topologies)
    on_exit(fn -> Application.delete_env(:libcluster, :topologies) end)
    findings = Caravan.Doctor.check(role: :tool)
    assert [%{kind: :nxdomain}] = for(%{about: {:topology, :mine, "cluster.test"}} = it <- findings, do: it)
  end

  test "wrong options are told" do
    assert capture_io(:stderr, fn -> assert catch_exit(Doctor.run(["--nope"])) == {:shutdown, 1} end) =~ "--nope"
    output = capture_io(fn -> assert catch_exit(Doctor.run(~w(--query a.test --type mx))) == {:shutdown, 1} end)
    assert output =~ "FAULT    topology      option :type of topology :doctor: expected one of :srv, :a,"
  end

  @tag :tmp_dir
  @tag timeout: 120_000
  test "as a command, where the project has its templates in another folder", %{tmp_dir: dir} do
    File.write!(Path.join(dir, "mix.exs"), """
    defmodule Trial.MixProject do
      use Mix.Project
      def project, do: [app: :trial, version: "1.0.0", prune_code_paths: false, releases: releases(), default_release: :b]
      def application, do: []
      defp releases, do: [a: [], b: fn -> [rel_templates_path: "ops/rel"] end]
    end
    """)

    assert {_, output} = command(dir, [], Vm.cookie())
    assert output =~ "there is neither ops/rel/vm.args.eex nor ops/rel/remote.vm.args.eex"
    File.mkdir_p!(Path.join(dir, "ops/rel"))

    for file <- ["vm.args.eex", "remote.vm.args.eex"],
        do: File.write!(Path.join([dir, "ops/rel", file]), "-start_epmd false\n-epmd_module caravan_epmd\n")

    assert {_, output} = command(dir, [], Vm.cookie())
    assert output =~ "ok       flags         ops/rel/vm.args.eex and remote.vm.args.eex have the flags"

    # Nor need they be in those files.
    File.write!(Path.join(dir, "ops/rel/vm.args.eex"), "-epmd_module caravan_epmd\n")
    File.write!(Path.join(dir, "ops/rel/remote.vm.args.eex"), "")
    File.write!(Path.join(dir, "ops/rel/env.sh.eex"), "export ERL_AFLAGS='-epmd_module caravan_epmd' # both\n")
    File.write!(Path.join(dir, "Dockerfile"), "ENV ERL_FLAGS=\"-start_epmd false\"\n")
    assert {_, output} = command(dir, [], Vm.cookie())
    assert output =~ "ok       flags         ops/rel/vm.args.eex and remote.vm.args.eex have the flags"
    for file <- ["vm.args.eex", "remote.vm.args.eex"], do: File.rm!(Path.join([dir, "ops/rel", file]))
    assert {_, output} = command(dir, [], Vm.cookie())
    assert output =~ "ok       flags         env.sh.eex and the Dockerfile give them"
  end

  @tag :nodes
  @tag :tmp_dir
  @tag timeout: 120_000
  test "as a command, in a project: flags, and who listens where DNS says", %{tmp_dir: dir} do
    {_vm, node, port} = Vm.start_node()
    server = DnsServer.start()
    DnsServer.publish(server, "app.test", [port], "127.0.0.1")

    for {file, flags} <- [{"vm.args.eex", "-start_epmd false -epmd_module caravan_epmd"}, {"remote.vm.args.eex", ""}] do
      File.mkdir_p!(Path.join(dir, "rel"))
      File.write!(Path.join([dir, "rel", file]), flags)
    end

    File.write!(Path.join(dir, "mix.exs"), """
    defmodule Trial.MixProject do
      use Mix.Project
      # Caravan isn't among its dependencies, but on its path.
      def project, do: [app: :trial, version: "1.0.0", prune_code_paths: false]
      def application, do: []
    end
    """)

    args = ["--query", "app.test", "--nameserver", server.address, "--node-sname", "app"]
    assert {1, output} = command(dir, args, Vm.cookie())
    assert output =~ "This VM, which is not a node: Caravan "
    assert output =~ "ok       distribution  Mix isn't a node here"

    assert output =~
             "FAULT    flags         rel/remote.vm.args.eex lacks -start_epmd false and -epmd_module caravan_epmd"

    assert output =~ "(udp), TTL 1 s: #{node}"

    assert output =~
             "ok       handshake     the node at 127.0.0.1:#{port} is #{node} and has the same cookie; the cookie compared"

    File.write!(Path.join(dir, "rel/remote.vm.args.eex"), "-epmd_module caravan_epmd\n-start_epmd false\n")
    assert {0, _output} = command(dir, args, Vm.cookie())
    assert {0, output} = command(dir, [Atom.to_string(node), "--cookie", Vm.cookie()], "SECRET")
    assert output =~ "has the same cookie; the cookie compared with is that of --cookie"
    assert {1, output} = command(dir, [Atom.to_string(node)], "SECRET")
    assert output =~ "FAULT    handshake     the node there has that name, but another cookie"
    assert output =~ "is that of RELEASE_COOKIE" and not (output =~ "SECRET")
  end

  defp command(dir, args, cookie) do
    libs = Path.expand("..", Application.app_dir(:caravan))
    env = [ERL_LIBS: libs, RELEASE_COOKIE: cookie, MIX_ENV: "prod", MIX_EXS: nil, MIX_BUILD_PATH: nil]
    Vm.command("mix", ["caravan.doctor" | args], cd: dir, env: env, timeout: 60_000)
  end
end
