defmodule Caravan.Generator.EnvShTest do
  use ExUnit.Case, async: true
  alias Caravan.Assignments
  alias Caravan.Generator.{EnvSh, Platform}

  @path "rel/env.sh.eex"
  @platform %Platform{host: "POD_IP", hint: "set it", topology: "", files: [], find: ~s(POD_IP="${POD_IP:-$FAKED}"\n)}
  @shared %{@platform | port: "${NODE_PORT:-4370}", address: :shared}
  @named ~s(export RELEASE_DISTRIBUTION=name\nexport RELEASE_NODE="<%= @release.name %>-4370@${POD_IP}"\n)

  defp amend(text, platform \\ @platform), do: EnvSh.amend(@path, text, platform)

  test "a new file" do
    assert {text, []} = amend("")
    assert "#!/bin/sh\n\nexport RELEASE_DISTRIBUTION=" <> _ = text
    assert amend(text) == {text, []}
  end

  test "a name is added behind what is there, once" do
    text = "#!/bin/sh\n# export RELEASE_NODE=<%= @release.name %>\nexport A=1"
    assert {amended, []} = amend(text)
    assert String.starts_with?(amended, text <> "\n\n")
    assert amend(amended) == {amended, []}
  end

  test "a name of one's own stays, if its port is last and its host the node's address" do
    for name <- [
          "<%= @release.name %>-4370@${POD_IP}",
          "my_app-5000@$POD_IP",
          "my_app@${POD_IP}",
          "<%= @release.name %>@${POD_IP}",
          "${RELEASE_NODE:-app-4370@${POD_IP:?none}}"
        ] do
      text = ~s(export RELEASE_DISTRIBUTION="name"\nexport RELEASE_NODE="#{name}"\n)
      assert amend(text) == {text, []}, name
    end

    assert {amended, []} = amend("RELEASE_NODE=app-4370@$POD_IP\nexport RELEASE_NODE\n")
    assert amended =~ ~r/^RELEASE_NODE=app-4370@\$POD_IP\nexport RELEASE_NODE\n\nexport RELEASE_DISTRIBUTION=.*\n$/
  end

  test "a value ends where the shell's word does" do
    name = ~s(RELEASE_NODE="<%= @release.name %>-5000@${POD_IP}")

    for text <- [
          "export RELEASE_DISTRIBUTION=name # long, e.g. me@host1\nexport #{name} # ops@example.org knows why\n",
          "RELEASE_DISTRIBUTION=name; #{name}; export RELEASE_DISTRIBUTION RELEASE_NODE\n",
          "export RELEASE_DISTRIBUTION=name RELEASE_NODE=<%= @release.name %>-5000@$POD_IP A=b@c\n",
          "[ -n \"$A\" ] || export RELEASE_DISTRIBUTION='name' && export #{name}\n",
          "export RELEASE_DISTRIBUTION=name RELEASE_NODE=app-5000@$(echo $POD_IP | tr -d ' ')\n"
        ] do
      assert amend(text) == {text, []}, text
      assert EnvSh.port(text) == 5000, text
    end

    assert [{@path, {"-a", "b", 1}}] = Assignments.flags(@path, "export ERL_FLAGS='-a b' # -c d\n")
    assert [{_, {"-a", "b", 1}}, {_, {"-c", "d", 1}}] = Assignments.flags(@path, ~S(ERL_FLAGS="-a \"b\" -c d"))
    # Over several lines.
    assert [{@path, {"-a", "b", 1}}] = Assignments.flags(@path, "ERL_FLAGS=\"-a b\n  $MORE\"\n")
  end

  test "what contradicts stays and is told" do
    text = "A=1\nexport RELEASE_DISTRIBUTION=sname\n  export RELEASE_NODE='app-4370@host1'\n"
    assert {^text, [distribution, name]} = amend(text)

    assert distribution ==
             "rel/env.sh.eex:2: expected RELEASE_DISTRIBUTION=name, got RELEASE_DISTRIBUTION=sname"

    assert name ==
             "rel/env.sh.eex:3: expected a name such as <%= @release.name %>-4370@${POD_IP}, got RELEASE_NODE=app-4370@host1"

    assert {^text, [_]} = amend(text = @named <> "case $A in b) RELEASE_NODE=c@d;; esac\n")
    # Another platform's name.
    {other, []} = amend("", %{@platform | host: "NODE_IP"})
    assert {^other, [_]} = amend(other)
  end

  test "the port in a name" do
    for {name, port} <- [
          {"app@h", 4370},
          {"<%= @release.name %>@h", 4370},
          {"app-5000@h", 5000},
          {"app-2@h", 4372},
          {"app-20261127@h", :chance},
          {"app-${GIT_SHA}@h", :chance},
          {"$APP-$SHA@h", :chance},
          {"app-$(git rev-parse --short HEAD)@h", :chance},
          {"${FLY_APP_NAME}-${FLY_IMAGE_REF##*-}@${FLY_PRIVATE_IP}", :chance},
          {"${RELEASE_NODE:-app-5000@${IP:?none}}", 5000},
          {"app-${NOMAD_HOST_PORT_dist}@h", :variable},
          {"app-$PORT@h", :variable}
        ],
        do: assert(EnvSh.port("export RELEASE_NODE=\"#{name}\"\n") == port, name)

    assert EnvSh.port("# RELEASE_NODE=app-5000@h") == nil
  end

  test "where nodes share an address, a port by chance contradicts" do
    for {name, right?} <- [{"app-$PORT@$POD_IP", true}, {"app-4371@$POD_IP", true}, {"app-$SHA@$POD_IP", false}] do
      {_, contradictions} = amend("RELEASE_NODE=#{name}\n", @shared)
      assert {name, contradictions == []} == {name, right?}
    end
  end

  test "flags in the environment of all VMs" do
    text = """
    # export ERL_FLAGS="-connect_all false"
    export ERL_AFLAGS="-proto_dist inet6_tcp $MORE"
    export ELIXIR_ERL_OPTIONS='-epmd_module caravan_epmd'
    """

    assert Enum.sort(Assignments.flags(@path, text)) == [
             {@path, {"-epmd_module", "caravan_epmd", 3}},
             {@path, {"-proto_dist", "inet6_tcp", 2}}
           ]

    for line <- [~s(ENV ERL_AFLAGS "-proto_dist inet6_tcp"), "ENV A=1 ERL_AFLAGS='-proto_dist inet6_tcp'"],
        do: assert([{"Dockerfile", {"-proto_dist", "inet6_tcp", 1}}] = Assignments.flags("Dockerfile", line))
  end

  describe "in a shell, the name" do
    defp name(env, text \\ elem(amend(""), 0)) do
      script =
        EEx.eval_string(text, assigns: [release: %{name: :app}]) <> ~S(printf %s "$RELEASE_DISTRIBUTION $RELEASE_NODE")

      unset = for variable <- ~w(RELEASE_NODE RELEASE_DISTRIBUTION RELEASE_COMMAND POD_IP FAKED), do: {variable, nil}
      System.cmd("sh", ["-euc", "set +u\n" <> script], env: unset ++ env, stderr_to_stdout: true)
    end

    test "is made of the address" do
      assert name([{"RELEASE_COMMAND", "start"}, {"POD_IP", "10.0.0.1"}]) == {"name app-4370@10.0.0.1", 0}
      assert name([{"RELEASE_COMMAND", "rpc"}, {"FAKED", "10.0.0.2"}]) == {"name app-4370@10.0.0.2", 0}
      {shared, []} = amend("", @shared)
      env = [{"RELEASE_COMMAND", "start"}, {"POD_IP", "10.0.0.1"}]
      assert name(env, shared) == {"name app-4370@10.0.0.1", 0}
      assert name([{"NODE_PORT", "5000"} | env], shared) == {"name app-5000@10.0.0.1", 0}
    end

    test "is the environment's, if that has one" do
      assert name([{"RELEASE_COMMAND", "start"}, {"RELEASE_NODE", "a@b"}]) == {"name a@b", 0}
    end

    test "is needed only by who is a node" do
      assert {message, status} = name([{"RELEASE_COMMAND", "start"}])
      assert status != 0 and message =~ "POD_IP: set it"
      for command <- ["eval", "version", ""], do: assert(name([{"RELEASE_COMMAND", command}]) == {"name ", 0})
      assert name([{"RELEASE_COMMAND", "start"}, {"RELEASE_DISTRIBUTION", "none"}]) == {"none ", 0}
    end
  end
end
