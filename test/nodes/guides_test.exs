defmodule Caravan.Nodes.GuidesTest do
  @moduledoc false
  # What guides/ say is done as they say, on loopback.
  use ExUnit.Case, async: true
  alias Caravan.{Generator, Readme, Vm}

  @moduletag :nodes
  @moduletag timeout: 120_000
  setup do: Vm.no_epmd()

  test "nodes with the guide's certificates link, and turn away those without one" do
    [dir, other] = for name <- ~w(tls other), do: Vm.tmp_path(name)
    on_exit(fn -> Enum.each([dir, other], &File.rm_rf!/1) end)
    conf = Readme.block!("ssl_dist").text
    args = args(dir, conf)
    {vm, name, _} = Vm.start_node(args)
    {peer, _, _} = Vm.start_node(args)
    assert connect(peer, name)
    assert Vm.eval(vm, "ets:info(ssl_dist_opts) /= undefined")

    # Another authority's certificate, and none.
    {stranger, _, _} = Vm.start_node(args(other, conf))
    refute connect(stranger, name)
    [server, _client] = String.split(conf, " {client", parts: 2)
    bare = server <> " {client, [{verify, verify_none}]}].\n"
    {without, _, _} = Vm.start_node(args(other, bare))
    refute connect(without, name)
    assert Vm.eval(vm, "length(nodes())") == 1
  end

  @tag :tmp_dir
  test "the generator's script makes what its nodes need: the same certificate, if nobody knows their addresses", %{
    tmp_dir: dir
  } do
    for {platform, hosts, named} <- [
          {"systemd", ~w(127.0.0.1 localhost ::1), "127.0.0.1"},
          {"kubernetes", ["node"], "node"}
        ] do
      home = Path.join(dir, platform)
      [conf, authority, _ignored] = plan = for {path, _, text} <- generated(platform), path =~ "/tls/", do: {path, text}

      for {path, text} <- plan,
          do: write(Path.join(home, path), String.replace(text, "/etc/my_app", place(home, named)))

      script = Path.join(home, elem(authority, 0))
      assert {output, 0} = System.cmd("sh", [script | hosts], stderr_to_stdout: true)
      for host <- hosts, do: assert(Path.wildcard(Path.join(place(home, host), "*")) |> length() == 4, output)
      ca = File.read!(Path.join(home, "rel/tls/ca.pem"))
      assert {_, 0} = System.cmd("sh", [script | hosts], stderr_to_stdout: true)
      assert File.read!(Path.join(home, "rel/tls/ca.pem")) == ca

      assert elem(conf, 0) == "rel/tls/dist.conf"
      args = ["-proto_dist", "inet_tls", "-ssl_dist_optfile", Path.join(place(home, named), "dist.conf")]
      {_vm, name, _} = Vm.start_node(args)
      {peer, _, _} = Vm.start_node(args)
      assert connect(peer, name)

      # Another authority's.
      other = Path.join(home, "other")
      conf = Readme.block!("ssl_dist").text
      {stranger, _, _} = Vm.start_node(args(other, conf))
      refute connect(stranger, name)
    end
  end

  defp generated(platform) do
    none = Map.new(Generator.paths("rel"), &{&1, nil})
    Generator.plan(platform, [tls: true], Generator.project("my_app"), none).files
  end

  defp place(home, host), do: Path.join([home, "rel/tls", host])

  defp write(path, text) do
    File.mkdir_p!(Path.dirname(path))
    File.write!(path, text)
  end

  @v6 {0, 0, 0, 0, 0, 0, 0, 1}
  @tag skip: match?({:error, _}, :gen_tcp.listen(0, [:inet6, ip: @v6])) && "this machine has no IPv6"
  test "nodes link with the flags for IPv6" do
    flags = Readme.block!("inet6 vm.args").text |> String.split() |> Enum.drop_while(&(&1 != "-proto_dist"))
    [name, _] = names = for port <- Vm.free_ports(2), do: "my_app-#{port}@::1"
    [_, vm] = Vm.start_all(for(name <- names, do: ["-name", name | flags]), ip: @v6)
    assert connect(vm, name)
  end

  # The arguments of the guide, with its files in `dir`; the test's nodes are on 127.0.0.1.
  defp args(dir, conf) do
    File.mkdir_p!(dir)
    script = String.replace(Readme.block!("authority").text, "DNS:host1.example.org", "DNS:127.0.0.1,IP:127.0.0.1")
    assert {_, 0} = System.cmd("bash", ["-euc", script], cd: dir, stderr_to_stdout: true)
    File.write!(Path.join(dir, "dist.conf"), String.replace(conf, "/etc/my_app", dir))
    flags = Readme.block!("tls vm.args").text |> String.replace("/etc/my_app", dir) |> String.split()
    Enum.drop_while(flags, &(&1 != "-proto_dist"))
  end

  defp connect(vm, name), do: Vm.eval(vm, "net_kernel:connect_node('#{name}')")
end
