defmodule Caravan.Netns.ReadmeTest do
  @moduledoc false
  # What README.md says is done as it says, on a host of its own, where its ports are free.
  use ExUnit.Case, async: false
  alias Caravan.{BlockYaml, DnsServer, Netns, Readme, Terminal, Tools, Vm}

  @moduletag :netns
  @moduletag :tmp_dir
  @moduletag timeout: 300_000
  setup do: Vm.no_epmd()

  setup do
    lab = Netns.start()
    %{lab: lab, within: Netns.enter(lab, "hub")}
  end

  # Those that are a file of a release are booted with it: test/tools/rebar3_test.exs.
  for block <- Readme.blocks(), block.marks["check"] == "vm.args", !block.marks["file"] do
    @block block
    test "a node boots with the flags of #{block.at}", %{within: within, tmp_dir: dir} do
      file = Path.join(dir, "vm.args")
      File.write!(file, @block.text)
      port = if @block.text =~ "listen_port", do: 31_234, else: 3434
      vm = boot(within, ["-args_file", file, "-name", "my_app-#{port}@127.0.0.1"])
      assert "3434" in listening(within)

      if @block.text =~ "-caravan epmd",
        do: assert(Tools.names(within) == [{"my_app-3434", 3434}])

      Vm.stop(vm)
    end
  end

  test "a node boots with each flag of the table", %{within: within} do
    assert [_, _ | _] = rows = Regex.scan(~r/^\| `(-caravan \S+ \S+)` \|/m, Readme.text(), capture: :all_but_first)

    for [flag] <- rows do
      flags = OptionParser.split(flag) ++ ~w(-start_epmd false -epmd_module caravan_epmd)
      Vm.stop(boot(within, ["-name", "my_app-3434@127.0.0.1" | flags]))
    end
  end

  for {what, check} <- [{"the quick start", "local node"}, {"a shell with flags of its own", "flags"}] do
    test "#{what}, in two terminals", %{within: within, tmp_dir: dir} do
      app = application(dir, within)
      host = Vm.short_host()
      [{code, expected}] = Readme.examples(Readme.block!("first local node"))
      node = Readme.block!(unquote(check)).text
      in_terminals(app, within, {node, "a-0", "b-1"}, {code, String.replace(expected, "laptop", host)})
    end
  end

  test "DNS on one machine, in two terminals", %{within: within, tmp_dir: dir} do
    [topology] = Enum.filter(Readme.blocks(), &(&1.marks["of"] == "dnsmasq"))
    app = application(dir, within, String.trim(topology.text))
    # A user namespace may have no other user that dnsmasq could become.
    dnsmasq = "exec " <> String.trim(Readme.block!("dnsmasq").text) <> " --user=root"
    Vm.start_command("bash", ["-c", dnsmasq], "dnsmasq: started", within: within)
    node = Readme.block!("node").text
    [example] = Readme.examples(Readme.block!("first node"))
    in_terminals(app, within, {node, "my_app-3434", "my_app-3435"}, example)
  end

  # A new application with Caravan in it, compiled.
  defp application(dir, within, topology \\ nil) do
    # Who enters the namespaces is in the root folder there.
    run = fn cd, args ->
      opts = [within: within, env: build_env(), timeout: 180_000]
      assert {0, _} = Vm.command("env", ["-C", cd, "mix" | args], opts)
    end

    run.(dir, ["new", "my_app", "--sup"])
    app = Path.join(dir, "my_app")
    deps = Readme.block!("deps").text |> String.replace("../caravan", File.cwd!())
    mix = Path.join(app, "mix.exs")
    File.write!(mix, String.replace(File.read!(mix), ~r/^  defp deps do\n.*?^  end$/ms, deps))
    [application] = Enum.filter(Readme.blocks(), &(&1.marks["check"] == "children" and &1.marks["file"]))
    assert application.text =~ "[type: :local]"
    text = if topology, do: String.replace(application.text, "[type: :local]", topology), else: application.text
    File.write!(Path.join(app, application.marks["file"]), text)
    # Building in the terminal would look like a prompt.
    run.(app, ["compile"])
    app
  end

  defp in_terminals(app, within, {commands, first, second}, {code, expected}) do
    start = "cd #{app}\n" <> commands
    # Without the colors that a terminal gets.
    typed = "IO.puts(inspect(#{code}))\r"
    opts = [env: build_env(), within: within]

    Terminal.in_shell(
      String.replace(start, first, second),
      "IO.puts(\"I am \#{node()}\")\r",
      "I am #{second}@",
      Keyword.put(opts, :meanwhile, fn ->
        Terminal.in_shell(start, typed, String.trim(expected), opts)
      end)
    )
  end

  test "the pods of the manifest find each other by these names", %{lab: lab, within: within} do
    assert [_service, set] = BlockYaml.parse(Readme.block!("kubernetes").text)
    assert [own | others] = names = Readme.pod_names(set)
    [block] = Enum.filter(Readme.blocks(), &(&1.marks["of"] == "kubernetes"))
    {options, _} = Code.eval_string(block.text)

    # What Kubernetes publishes for such a Service.
    dns = DnsServer.start(within: lab)

    for {name, n} <- Enum.with_index(names, 1) do
      [_, host] = String.split(name, "@")
      DnsServer.command(dns, "add #{options[:query]} 5 SRV 0 33 4370 #{host}")
      DnsServer.command(dns, "add #{host} 5 A 127.0.0.#{n}")
    end

    logger = :logger |> :code.lib_dir() |> Path.join("ebin")
    vm = Vm.start(["-name", own, "-pa", logger], within: within)
    Vm.start_topology(vm, :my_app, options ++ [nameservers: [dns.address]])
    expected = others |> Enum.map(&String.to_atom/1) |> Enum.sort()
    Vm.await(vm, "lists:sort('Elixir.Caravan':members(my_app))", expected)
  end

  # With the flags that are given, and no others of Caravan's.
  defp boot(within, args) do
    ebin = Application.app_dir(:caravan, "ebin")
    elixir = :elixir |> :code.lib_dir() |> Path.join("ebin")
    vm = Vm.start(["-pa", ebin, "-pa", elixir | args], within: within, plain: true)
    assert Vm.eval(vm, "is_alive()")
    vm
  end

  defp listening(within) do
    assert {0, lines} = Vm.command("ss", ["-Hltn"], within: within)
    Regex.scan(~r/:(\d+) /, lines, capture: :all_but_first) |> List.flatten()
  end

  # What the surrounding `mix test` was told about its own build is not for this one.
  defp build_env do
    unset = for name <- ~w(MIX_ENV MIX_BUILD_PATH MIX_BUILD_ROOT MIX_EXS MIX_DEPS_PATH), do: {name, nil}

    unset ++
      [
        {"CARAVAN_NIF_PATH", Application.app_dir(:caravan, "priv/caravan_nif.so")},
        {"CARAVAN_NIF_SHA256", nil}
      ]
  end
end
