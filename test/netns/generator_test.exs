defmodule Caravan.Netns.GeneratorTest do
  @moduledoc false
  # A release with the files of `mix caravan.gen.release`, on each platform: with what the platform has in the environment
  # and in DNS, two nodes find each other, by the topology that the task prints.
  use ExUnit.Case, async: true
  alias Caravan.{CloudMetadata, DnsServer, Generator, Netns, ReleaseApp, Vm}

  @moduletag :netns
  @moduletag :releases
  @moduletag timeout: 180_000

  @hosts [{"n1", 1}, {"n2", 2}]
  @cluster "default.svc.cluster.local"

  # As a user does it, once; the files of the other platforms come into copies of the release's folder for its version.
  setup_all do
    dir = Vm.tmp_path("generator")
    ReleaseApp.write_project(dir)

    on_exit(fn ->
      Vm.kill_within(dir)
      File.rm_rf!(dir)
    end)

    ssl = [{"TINY_SSL", "1"}]
    generate = ~w(caravan.gen.release --for kubernetes)
    assert {0, output} = Vm.command("mix", generate, cd: dir, env: ReleaseApp.build_env() ++ ssl, timeout: 180_000)
    assert output =~ "+++ rel/vm.args.eex"
    %{dir: dir, bin: ReleaseApp.release(dir, ssl)}
  end

  setup do
    lab = Netns.start()
    for {host, number} <- @hosts, do: Netns.add_host(lab, host, number)
    %{lab: lab, dns: DnsServer.start(within: lab)}
  end

  describe "Kubernetes" do
    setup context do
      resolv_conf(context, "search #{@cluster} svc.cluster.local cluster.local\noptions ndots:5\n")
      srv = ~s(query: "_dist._tcp.tiny-headless.#{@cluster}", node_name: "{sname}-{port}@{ip}")
      portless = ~s(query: "tiny-headless.#{@cluster}", node_name: "{sname}-4370@{ip}")

      %{
        topologies: [srv: srv, portless: portless],
        nodes: for({host, n} <- @hosts, do: {host, [{"POD_IP", Netns.address(n)}]})
      }
    end

    test "pods that are published before they are ready, as addresses and with ports", context do
      for {_host, n} <- @hosts, do: pod(context, n)
      {[a, b], _vms} = boot(context, "kubernetes", context.nodes, topologies: context.topologies)
      assert {a.node, b.node} == {"tiny-4370@10.77.0.1", "tiny-4370@10.77.0.2"}
      for app <- [a, b], topology <- [:tiny, :srv, :portless], do: joined(app, [a, b] -- [app], topology)
    end

    test "pods that are published once they are ready", context do
      {[a, b], _vms} = boot(context, "kubernetes", context.nodes)
      assert ReleaseApp.rpc(a, "{Caravan.poll(:tiny), Node.list()}") == "{:ok, []}"
      for {_host, n} <- @hosts, do: pod(context, n)
      assert ReleaseApp.rpc(a, "Caravan.poll(:tiny)") == ":ok"
      joined(a, [b])
    end

    test "pods that use TLS, with one certificate, and a bounded mesh", context do
      home = Path.join(context.dir, "rel/tls/node")
      options = [options: [tls: true, mesh: true], etc: home]

      for {path, _, text} <- plan("kubernetes", options).files, path =~ "/tls/" do
        file = Path.join(context.dir, path)
        File.mkdir_p!(Path.dirname(file))
        File.write!(file, text)
      end

      script = Path.join(context.dir, "rel/tls/authority.sh")
      assert {_, 0} = System.cmd("sh", [script, "node"], stderr_to_stdout: true)
      for {_host, n} <- @hosts, do: pod(context, n)
      {[a, b], _vms} = boot(context, "kubernetes", context.nodes, options)
      joined(a, [b])
      assert ReleaseApp.rpc(b, "{Caravan.status().tiny.picks, :ets.info(:ssl_dist_opts) != :undefined}") == "{1, true}"
    end

    # What CoreDNS has for a pod without a name of its own. The Service's own SRV record names no port.
    defp pod(context, n) do
      target = "10-77-0-#{n}.tiny-headless.#{@cluster}"

      for record <- [
            "tiny-headless.#{@cluster} 5 A #{Netns.address(n)}",
            "#{target} 5 A #{Netns.address(n)}",
            "_dist._tcp.tiny-headless.#{@cluster} 5 SRV 0 50 4370 #{target}",
            "tiny-headless.#{@cluster} 5 SRV 0 50 0 #{target}"
          ],
          do: DnsServer.command(context.dns, "add #{record}")
    end
  end

  test "Nomad: two nodes on one host, and Consul's targets", context do
    dns = DnsServer.start(within: context.lab, at: {"n1", "127.0.0.1:8600"})
    DnsServer.command(dns, "add 0a4d0001.addr.dc1.consul 0 A 10.77.0.1")

    nodes =
      for port <- [23_001, 23_002] do
        DnsServer.command(dns, "add tiny.service.consul 0 SRV 1 1 #{port} 0a4d0001.addr.dc1.consul")
        {"n1", [{"NOMAD_IP_dist", "10.77.0.1"}, {"NOMAD_HOST_PORT_dist", "#{port}"}]}
      end

    {[a, b], _vms} = boot(context, "nomad", nodes)
    assert {a.node, b.node} == {"tiny-23001@10.77.0.1", "tiny-23002@10.77.0.1"}
    joined(a, [b])
    joined(b, [a])
  end

  test "ECS: tasks learn their addresses from their metadata, and of others from random answers of Cloud Map",
       context do
    resolv_conf(context)
    env = CloudMetadata.start(context.lab, :ecs)
    # Eight tasks that were here until just now.
    for address <- ["10.77.0.1", "10.77.0.2" | for(n <- 1..8, do: "10.67.0.#{n}")],
        do: DnsServer.command(context.dns, "add tiny.internal 1 A #{address}")

    DnsServer.command(context.dns, "fault subset 8 for tiny.internal")
    {[a, b], _vms} = boot(context, "ecs", for({host, _} <- @hosts, do: {host, env}))
    assert {a.node, b.node} == {"tiny-4370@10.77.0.1", "tiny-4370@10.77.0.2"}
    joined(a, [b])
    joined(b, [a])
  end

  test "EC2: instances learn their addresses from the metadata service", context do
    resolv_conf(context)
    env = CloudMetadata.start(context.lab, :ec2)
    for {_, n} <- @hosts, do: DnsServer.command(context.dns, "add tiny.internal 60 A #{Netns.address(n)}")
    {[a, b], _vms} = boot(context, "ec2", for({host, _} <- @hosts, do: {host, env}))
    assert {a.node, b.node} == {"tiny-4370@10.77.0.1", "tiny-4370@10.77.0.2"}
    joined(a, [b])
    joined(b, [a])
  end

  test "Fly.io: machines have IPv6 addresses", context do
    resolv_conf(context)

    nodes =
      for {host, n} <- @hosts do
        address = "fdaa::#{n}"
        ipv6 = "for c in default eth0 lo; do echo 0 >/proc/sys/net/ipv6/conf/$c/disable_ipv6; done; "
        Netns.run(context.lab, host, ["sh", "-ec", ipv6 <> "ip address add #{address}/64 dev eth0 nodad"])
        DnsServer.command(context.dns, "add my-tiny.internal 5 AAAA #{address}")
        {host, [{"FLY_APP_NAME", "my-tiny"}, {"FLY_PRIVATE_IP", address}]}
      end

    {[a, b], _vms} = boot(context, "fly", nodes)
    assert {a.node, b.node} == {"tiny-4370@fdaa::1", "tiny-4370@fdaa::2"}
    joined(a, [b])
    joined(b, [a])
  end

  test "Compose: containers know their addresses by their names, and the service by its own", context do
    resolv_conf(context, "options ndots:0\n")
    for {_, n} <- @hosts, do: DnsServer.command(context.dns, "add tiny 600 A #{Netns.address(n)}")
    nodes = for {host, n} <- @hosts, do: {host, [], {"c0ffee#{n}", "#{Netns.address(n)} c0ffee#{n}"}}
    {[a, b], _vms} = boot(context, "compose", nodes)
    assert {a.node, b.node} == {"tiny-4370@10.77.0.1", "tiny-4370@10.77.0.2"}
    joined(a, [b])
    joined(b, [a])
  end

  test "systemd: two nodes on one host, with its name", context do
    resolv_conf(context)
    DnsServer.command(context.dns, "add host1.example.org 60 A 10.77.0.1")

    nodes =
      for port <- [4370, 4371] do
        DnsServer.command(context.dns, "add _tiny._tcp.example.org 60 SRV 0 0 #{port} host1.example.org")
        {"n1", [{"NODE_PORT", "#{port}"}], {"host1", "10.77.0.1 host1.example.org host1"}}
      end

    {[a, b], _vms} = boot(context, "systemd", nodes)
    assert {a.node, b.node} == {"tiny-4370@host1.example.org", "tiny-4371@host1.example.org"}
    joined(a, [b])
    joined(b, [a])
  end

  # All hosts ask the laboratory's server.
  defp resolv_conf(%{lab: lab, dir: dir} = context, more \\ "") do
    file = Path.join(dir, "resolv.conf-#{context.test |> :erlang.phash2()}")
    File.write!(file, "nameserver #{Netns.hub()}\n" <> more)
    Netns.run(lab, "hub", ~w(mount --bind #{file} /etc/resolv.conf))
  end

  # Starts a node on each host, with the environment, and the name and the line of the hosts file, that it has there.
  # `topologies` are more of them, `options` those of the task, and `etc` is in place of /etc/tiny.
  defp boot(context, platform, nodes, opts \\ []) do
    plan = plan(platform, opts)
    install(context.bin, platform, plan, opts == [])
    {"The topology", code} = hd(plan.told)
    [_, topology] = Regex.run(~r/:topologies, tiny: \[(.*)\]$/m, code)
    topologies = for {name, options} <- [{:tiny, topology} | opts[:topologies] || []], do: "#{name}: [#{options}]"

    apps =
      for {node, number} <- Enum.with_index(nodes) do
        [host, env | names] = Tuple.to_list(node)
        tmp = Path.join(context.dir, "#{platform}-#{number}-#{:erlang.phash2(context.test)}")
        File.mkdir_p!(tmp)
        own = [{"TINY_TOPOLOGIES", "[#{Enum.join(topologies, ", ")}]"}, {"RELEASE_TMP", tmp}, {"RELEASE_VSN", platform}]
        within = Netns.enter(context.lab, host) ++ named(names, tmp)
        %ReleaseApp{bin: context.bin, env: own ++ env, within: within}
      end

    apps
    |> Enum.map(fn app ->
      app = %{app | node: name(app)}
      {app, ReleaseApp.start(app)}
    end)
    |> Enum.unzip()
  end

  defp plan(platform, opts) do
    plan =
      Generator.plan(
        platform,
        opts[:options] || [],
        Generator.project("tiny"),
        Map.new(Generator.paths("rel"), &{&1, nil})
      )

    home = opts[:etc] || "/etc/tiny"
    %{plan | files: for({path, old, new} <- plan.files, do: {path, old, String.replace(new, "/etc/tiny", home)})}
  end

  # The folder of the release for its version, with other files: RELEASE_VSN chooses between them.
  defp install(bin, platform, plan, plain?) do
    releases = bin |> Path.dirname() |> Path.join("../releases") |> Path.expand()
    folder = Path.join(releases, platform)
    File.rm_rf!(folder)
    File.cp_r!(Path.join(releases, "0.1.0"), folder)

    for {path, _old, text} <- plan.files, Path.extname(path) == ".eex" do
      file = Path.join(folder, Path.basename(path, ".eex"))
      # The very ones that the task has written, and Mix made of them.
      if platform == "kubernetes" and plain?, do: assert(File.read!(file) == rendered(text))
      File.write!(file, rendered(text))
    end
  end

  defp rendered(text), do: EEx.eval_string(text, assigns: [release: %{name: :tiny}])

  # What goes before a command where the machine has a name of its own.
  defp named([], _tmp), do: []

  defp named([{hostname, line}], tmp) do
    hosts = Path.join(tmp, "hosts")
    File.write!(hosts, "127.0.0.1 localhost\n#{line}\n")
    script = ~S(mount --bind "$2" /etc/hosts; printf %s "$1" >/proc/sys/kernel/hostname; shift 2; exec "$@")
    ["unshare", "--uts", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", hostname, hosts]
  end

  # What the release's env.sh makes of the environment.
  defp name(app) do
    print = ~S(. "$0"; printf %s "$RELEASE_NODE")

    env_sh =
      Path.join([Path.dirname(app.bin), "../releases", app.env |> Map.new() |> Map.fetch!("RELEASE_VSN"), "env.sh"])

    opts = [env: [{"RELEASE_COMMAND", "start"} | app.env], within: app.within]
    assert {0, name} = Vm.command("sh", ["-ec", print, env_sh], opts)
    String.trim(name)
  end

  defp joined(app, others, topology \\ :tiny) do
    peers = inspect(for other <- others, do: String.to_atom(other.node))
    await = "Caravan.await(#{inspect(topology)}, min: #{length(others)}, timeout: 25_000)"
    assert ReleaseApp.rpc(app, await) == "{:ok, #{peers}}"
  end
end
