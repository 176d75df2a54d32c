defmodule Caravan.GeneratorTest do
  use ExUnit.Case, async: true
  alias Caravan.{Assignments, BlockYaml, Doctor, Generator, Topology, Vm}
  alias Caravan.Generator.Flags

  @paths Generator.paths("rel")
  @none Map.new(@paths, &{&1, nil})

  defp plan(platform, files \\ %{}, options \\ []),
    do: Generator.plan(platform, options, Generator.project("my_app"), Map.merge(@none, files))

  defp written(plan), do: for({path, _old, new} <- plan.files, into: %{}, do: {path, new})
  defp told(plan, heading), do: plan.told |> List.keyfind!(heading, 0) |> elem(1)

  # What `mix release.init` writes has comments only.
  @initial %{
    "rel/env.sh.eex" => "#!/bin/sh\n\n# export RELEASE_DISTRIBUTION=name\n# export RELEASE_NODE=<%= @release.name %>\n",
    "rel/vm.args.eex" => "## Increase number of concurrent ports/sockets\n##+Q 65536\n",
    "rel/remote.vm.args.eex" => "##+Q 65536\n"
  }

  for platform <- Generator.platforms() do
    describe platform do
      @platform platform

      test "a second run changes nothing" do
        for files <- [%{}, @initial], options <- [[], [tls: true, mesh: true]] do
          assert %{contradictions: []} = plan = plan(@platform, files, options)
          assert length(for({path, old, new} <- plan.files, old != new, do: path)) == if(options == [], do: 3, else: 6)
          again = plan(@platform, written(plan), options)
          assert again.contradictions == []
          for {path, old, new} <- again.files, do: assert(old == new, path)
          assert again.told == plan.told
        end
      end

      test "what is there stays" do
        for {path, old, new} <- plan(@platform, @initial).files, do: assert(String.starts_with?(new, old), path)
      end

      test "the doctor finds both vm.args in order" do
        for options <- [[], [tls: true, mesh: true]] do
          texts = written(plan(@platform, %{}, options))
          [node, commands] = for path <- ~w(rel/vm.args.eex rel/remote.vm.args.eex), do: {path, texts[path]}
          assert [%{verdict: :ok}] = Doctor.Flags.findings({:project, node, commands, ""}, :tool)
        end
      end

      test "the topology's options are right" do
        for options <- [[], [mesh: true]] do
          code = told(plan(@platform, %{}, options), "The topology")
          # A new project has no such file, so it has to be complete.
          [config, _child] = String.split(code, "\n\n# lib/", parts: 2)
          assert Config.Reader.eval!("config/runtime.exs", config, env: :test) == []
          assert Code.string_to_quoted!(code)
          [_, topology] = Regex.run(~r/:topologies, my_app: (\[.*\])$/m, code)
          # Set on Fly's machines.
          {topology, _} =
            topology |> String.replace(~s|System.fetch_env!("FLY_APP_NAME")|, ~s("my-app")) |> Code.eval_string()

          Topology.Config.new!(:my_app, topology)
          assert topology[:mesh] == if(options[:mesh], do: [links: 4])
        end
      end

      test "another platform's name is one that contradicts" do
        [other | _] = Generator.platforms() -- [@platform, "compose", "ec2", "ecs"]
        files = other |> plan() |> written()
        assert [sentence] = plan(@platform, files).contradictions
        assert sentence =~ ~r/^rel\/env.sh.eex:\d+: expected a name such as/
      end
    end
  end

  test "a release of another name, and templates in another folder" do
    project = %{Generator.project("my_app2") | release: "prod", dir: "ops/rel"}
    texts = fn platform -> Generator.plan(platform, [tls: true], project, %{}).told |> Enum.map_join(&elem(&1, 1)) end

    for platform <- ["systemd", "ec2"] do
      assert texts.(platform) =~ "ExecStart=/opt/my_app2/bin/prod start\n"
      assert texts.(platform) =~ "_build/prod/rel/prod, to /opt/my_app2,"
      assert texts.(platform) =~ "/opt/my_app2/bin/prod rpc"
    end

    assert texts.("compose") =~ "source: ./ops/rel/tls/node\n"
    assert texts.("kubernetes") =~ "--from-file=ops/rel/tls/node\n"
    for platform <- Generator.platforms(), do: refute(texts.(platform) =~ ~r"(?<!ops/)\brel/tls|bin/my_app2")
  end

  test "several releases that share templates are told apart" do
    plan = &Generator.plan("kubernetes", [], %{Generator.project("my_app") | releases: &1}, %{})
    assert told(plan.(2), "To do") =~ "each release is a cluster of its own"
    refute told(plan.(1), "To do") =~ "each release"
  end

  test "an umbrella's application is in its own folder" do
    project = %{Generator.project("web") | home: "apps/web", release: "prod"}
    plan = Generator.plan("fly", [tls: true], project, %{})
    assert told(plan, "The topology") =~ "# apps/web/lib/web/application.ex, before"
    assert told(plan, "To do") =~ "Add :ssl to extra_applications in apps/web/mix.exs:"
  end

  test "what DNS can't have in a label is left out" do
    for app <- ["myApp_2", "my_app_2_"],
        platform <- Generator.platforms() -- ["fly"] do
      plan = Generator.plan(platform, [], Generator.project(app), %{})
      assert told(plan, "The topology") =~ ~r/query: "_?(myapp-2|my-app-2)[".-]/, told(plan, "The topology")
    end
  end

  test "a unit is started when it has all it needs" do
    for platform <- ["systemd", "ec2"] do
      assert told(plan(platform), "To do") =~ ~r"/opt/my_app.*RELEASE_COOKIE.*systemctl enable --now my_app.*doctor"s
    end
  end

  test "a name that ends in a hash gets a port, where each node has an address to itself" do
    name = ~s(export RELEASE_DISTRIBUTION=name\nexport RELEASE_NODE="my_app-${GIT_SHA}@${POD_IP}"\n)
    plan = plan("kubernetes", %{"rel/env.sh.eex" => name})
    assert plan.contradictions == []
    texts = written(plan)
    assert texts["rel/env.sh.eex"] == name
    assert told(plan, "To do") =~ "names end in different hashes"

    for path <- ~w(rel/vm.args.eex rel/remote.vm.args.eex),
        do: assert({path, {"-caravan dist_port", "4370", 6}} in Flags.given(path, texts[path]))

    # Ports of one's own need no such thing.
    for base <- ["my_app-5000", "my_app-$PORT", "my_app"] do
      texts = written(plan("kubernetes", %{"rel/env.sh.eex" => String.replace(name, "my_app-${GIT_SHA}", base)}))
      refute texts["rel/vm.args.eex"] =~ "dist_port"
    end

    name = String.replace(name, "POD_IP", "NODE_HOST")
    plan = plan("systemd", %{"rel/env.sh.eex" => name})
    assert [_] = plan.contradictions
    refute written(plan)["rel/vm.args.eex"] =~ "dist_port"
  end

  test "what Fly's own generator writes is kept, and its flag not given twice" do
    env = """
    # configure node for distributed erlang with IPV6 support
    export ERL_AFLAGS="-proto_dist inet6_tcp"
    export ECTO_IPV6="true"
    export RELEASE_DISTRIBUTION="name"
    export RELEASE_NODE="${FLY_APP_NAME}-${FLY_IMAGE_REF##*-}@${FLY_PRIVATE_IP}"
    """

    plan = plan("fly", %{"rel/env.sh.eex" => env})
    assert plan.contradictions == []
    assert %{"rel/env.sh.eex" => ^env, "rel/vm.args.eex" => args, "rel/remote.vm.args.eex" => args} = written(plan)
    assert args =~ "-caravan dist_port 4370\n" and args =~ "-epmd_module caravan_epmd\n"
    refute args =~ "-proto_dist"

    # For TLS it has to go.
    assert ["rel/env.sh.eex:2: expected -proto_dist inet6_tls, got -proto_dist inet6_tcp"] =
             plan("fly", %{"rel/env.sh.eex" => env}, tls: true).contradictions
  end

  test "the node decides for a bounded mesh, its commands need not" do
    texts = written(plan("ec2", %{}, mesh: true))
    assert texts["rel/vm.args.eex"] =~ "-connect_all false\n"
    refute texts["rel/remote.vm.args.eex"] =~ "-connect_all"
  end

  test "TLS: both files, the options, and what is to be done" do
    for {platform, protocol, names_any?} <- [{"systemd", "inet_tls", false}, {"fly", "inet6_tls", true}] do
      plan = plan(platform, %{}, tls: true)
      texts = written(plan)

      for path <- ~w(rel/vm.args.eex rel/remote.vm.args.eex),
          flag <- ["-proto_dist #{protocol}\n", "-ssl_dist_optfile /etc/my_app/dist.conf\n"],
          do: assert(texts[path] =~ flag)

      assert texts["rel/tls/dist.conf"] =~ "hostname_check_failed" == names_any?
      assert texts["rel/tls/.gitignore"] == "*.pem\n"
      assert told(plan, "To do") =~ ":ssl"

      mine = Map.put(texts, "rel/tls/dist.conf", "[].")
      assert written(plan(platform, mine, tls: true)) == mine
    end

    for {platform, file} <- [{"kubernetes", "kubernetes.yaml"}, {"compose", "compose.yaml"}] do
      [plain, tls] = for options <- [[], [tls: true]], do: told(plan(platform, %{}, options), file)
      assert String.starts_with?(tls, plain) and tls =~ "/etc/my_app"
      assert [_ | _] = BlockYaml.parse(tls)
    end
  end

  test "the port of a name that is there is that of the manifest" do
    plan = plan("kubernetes", %{"rel/env.sh.eex" => "RELEASE_DISTRIBUTION=name\nRELEASE_NODE=my_app-5000@$POD_IP\n"})
    assert [service, deployment] = BlockYaml.parse(told(plan, "kubernetes.yaml"))
    assert [%{"name" => "dist", "port" => "5000"}] = service["spec"]["ports"]
    assert [%{"ports" => [%{"containerPort" => "5000"}]}] = deployment["spec"]["template"]["spec"]["containers"]
  end

  test "Kubernetes: the Service is headless, selects the Deployment's pods, and is what the topology looks up" do
    plan = plan("kubernetes")
    assert [service, deployment] = BlockYaml.parse(told(plan, "kubernetes.yaml"))
    assert {service["kind"], deployment["kind"]} == {"Service", "Deployment"}
    assert %{"clusterIP" => "None", "publishNotReadyAddresses" => "true", "selector" => labels} = service["spec"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert deployment["spec"]["template"]["metadata"]["labels"] == labels
    assert told(plan, "The topology") =~ ~s(query: "#{service["metadata"]["name"]}", type: :a)
    assert [container] = deployment["spec"]["template"]["spec"]["containers"]

    assert [%{"name" => "POD_IP", "valueFrom" => %{"fieldRef" => %{"fieldPath" => "status.podIP"}}}, _] =
             container["env"]
  end

  test "Compose: the service is what the topology looks up" do
    plan = plan("compose")
    assert [%{"services" => %{"my-app" => service}}] = BlockYaml.parse(told(plan, "compose.yaml"))
    assert service["deploy"]["replicas"] == "3"
    assert told(plan, "The topology") =~ ~s(query: "my-app", type: :a)
  end

  @tag :tmp_dir
  @tag skip: is_nil(System.find_executable("systemd-analyze")) && "needs systemd-analyze"
  test "systemd: its own verification accepts the unit", %{tmp_dir: dir} do
    unit = told(plan("systemd"), "/etc/systemd/system/my_app@.service")
    program = Path.join(dir, "my_app")
    File.write!(program, "")
    File.chmod!(program, 0o755)
    file = Path.join(dir, "my_app@4370.service")
    verify = fn -> Vm.command("systemd-analyze", ["verify", "--man=no", file], timeout: 60_000) end
    File.write!(file, String.replace(unit, "/opt/my_app/bin/my_app", program))
    assert {0, output} = verify.()
    refute output =~ "my_app@4370.service"
    File.write!(file, String.replace(unit, "/opt/my_app/bin/my_app", "bin/my_app"))
    assert {_, output} = verify.()
    assert output =~ "my_app@4370.service"
  end

  test "flags that the environment or the Dockerfile gives are not given twice" do
    assert Assignments.flags("Dockerfile", ~s(ENV ERL_AFLAGS "-start_epmd false"\n)) != []
    texts = written(plan("kubernetes", %{"Dockerfile" => ~s(ENV ERL_AFLAGS "-start_epmd false"\n)}))
    refute texts["rel/vm.args.eex"] =~ "-start_epmd"
    assert texts["rel/vm.args.eex"] =~ "-epmd_module caravan_epmd"
  end
end
