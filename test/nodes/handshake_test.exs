defmodule Caravan.Nodes.HandshakeTest do
  # What `Caravan.Handshake` finds out of real nodes, and what these make of it.
  use ExUnit.Case, async: true
  alias Caravan.{Certificates, Handshake, LogFile, Vm}

  @moduletag :nodes
  @moduletag timeout: 120_000
  @moduletag :tmp_dir
  @wait 10_000

  setup do: Vm.no_epmd()

  test "a node tells who it is" do
    {vm, node, port} = Vm.start_node()
    assert {:ok, it} = Handshake.ask(node)
    assert %{verdict: :ok, place: place, details: %{cookie: :untested}} = it
    assert place == "127.0.0.1:#{port}"
    assert it.name == Atom.to_string(node)
    assert it.creation == Vm.eval(vm, "erts_internal:get_creation()")
    assert it.message == "the node at #{place} is #{node}"
    assert {:ok, %{verdict: :ok, node: nil, name: name}} = Handshake.ask({127, 0, 0, 1}, port, [])
    assert name == Atom.to_string(node)
  end

  test "a node knows itself" do
    {vm, node, _} = Vm.start_node()
    assert %{verdict: :itself} = asked(vm, node, "[]")
  end

  test "a node of another name is told from the one asked for, and how they differ" do
    [port] = Vm.free_ports(1)
    _vm = Vm.start(["-name", "app-#{port}@10.0.0.5"])

    for {asked, differs, cure} <- [
          {"app-#{port}@localhost.test", :address, "look for 10.0.0.5"},
          {"app-#{port}@10.0.0.6", :host, "name it as DNS does"},
          {"other-#{port}@10.0.0.5", :base, "name it as DNS does"},
          {"APP-#{port}@10.0.0.5", :capitals, "in capitals only"}
        ] do
      assert {:ok, it} = Handshake.ask("127.0.0.1", port, node: asked)
      assert %{verdict: :other_name, details: %{differs: ^differs}} = it
      assert it.message =~ "named app-#{port}@10.0.0.5, not #{asked}"
      assert it.message =~ cure
    end
  end

  test "capitals in a host, and short names among long ones" do
    [port, short] = Vm.free_ports(2)
    _vm = Vm.start(["-name", "app-#{port}@Host.test"])
    assert {:ok, it} = Handshake.ask("127.0.0.1", port, node: "app-#{port}@host.test")
    assert %{verdict: :other_name, details: %{differs: :capitals}} = it

    _vm = Vm.start(["-sname", "app-#{short}@host"])
    assert {:ok, it} = Handshake.ask("127.0.0.1", short, node: "app-#{short}@host.test")
    assert %{verdict: :other_name, details: %{differs: :domain}} = it
    assert it.message =~ "one of the names is short and the other long"
  end

  test "the cookie is compared only if it is given; another one is one line there, once", %{tmp_dir: dir} do
    {vm, node, _port} = Vm.start_node(["-setcookie", "theirs"])
    log = LogFile.start(vm, dir)
    assert {:ok, %{verdict: :ok}} = Handshake.ask(node)
    assert {:ok, %{verdict: :other_cookie} = it} = Handshake.ask(node, cookie: :ours)
    assert it.message =~ "another cookie than this node"
    assert {:ok, %{verdict: :other_cookie}} = Handshake.ask(node, cookie: :ours)
    assert [_one] = LogFile.lines(log, "Invalid challenge reply")
  end

  test "the right cookie makes no link that visible nodes are told of, and no line", %{tmp_dir: dir} do
    {vm, node, _port} = Vm.start_node()
    log = LogFile.start(vm, dir)
    assert {:ok, %{verdict: :ok, details: %{cookie: :same}}} = Handshake.ask(node, cookie: String.to_atom(Vm.cookie()))
    Vm.await(vm, "{nodes(connected), element(2, net_kernel:nodes_info())}", {[], []})
    assert LogFile.lines(log) == []
  end

  test "a suspended node, and one that nobody started" do
    {vm, node, _port} = Vm.start_node()
    {:os_pid, pid} = Port.info(vm.port, :os_pid)
    {_, 0} = System.cmd("kill", ["-STOP", "#{pid}"])
    assert {:ok, it} = Handshake.ask(node, timeout: 500)
    assert %{verdict: :silent, details: %{stage: :status}} = it
    assert it.message =~ "suspended or hung"
    {_, 0} = System.cmd("kill", ["-CONT", "#{pid}"])
    assert {:ok, %{verdict: :ok}} = Handshake.ask(node, timeout: @wait)
    Vm.stop(vm)
    assert {:ok, %{verdict: :refused}} = Handshake.ask(node)
  end

  test "over TLS a node tells no less, and each side why it rejects the other", %{tmp_dir: dir} do
    authority = Certificates.authority()
    past = [validity: {{2020, 1, 1}, {2021, 1, 1}}]
    [own, expired] = for {name, opts} <- [own: [], expired: past], do: tls(Path.join(dir, "#{name}"), authority, opts)

    {vm, itself, _} = Vm.start_node(own)
    assert %{verdict: :itself} = asked(vm, itself, "[]")
    {peer, node, port} = Vm.start_node(own)
    creation = Vm.eval(peer, "erts_internal:get_creation()")
    assert %{verdict: :ok, creation: ^creation} = asked(vm, node, "[]")
    assert %{verdict: :ok, details: %{cookie: :same}} = asked(vm, node, "[{cookie, erlang:get_cookie()}]")
    assert %{verdict: :other_cookie} = asked(vm, node, "[{cookie, other}]")
    assert %{verdict: :other_name, name: name} = asked(vm, :"x-#{port}@127.0.0.1", "[]")
    assert name == Atom.to_string(node)

    {_, old, _} = Vm.start_node(expired)
    assert %{verdict: :certificate, details: %{side: :here}} = it = asked(vm, old, "[]")
    assert it.message =~ "it has expired"

    for version <- [:"tlsv1.2", :"tlsv1.3"] do
      opts = [options: [versions: [version]]]
      {_, picky, _} = Vm.start_node(tls(Path.join(dir, "picky#{version}"), authority, opts))
      {vm, _, _} = Vm.start_node(tls(Path.join(dir, "old#{version}"), authority, opts ++ past))
      assert %{verdict: :certificate, details: details} = asked(vm, picky, "[]")
      assert %{side: :there, reason: "certificate_expired"} = details
    end
  end

  test "the options of TLS may be arguments, too", %{tmp_dir: dir} do
    args = tls(dir, Certificates.authority())
    {_, node, _} = Vm.start_node(args)
    file = &Path.join(dir, "#{&1}.pem")

    options =
      for side <- ["client", "server"],
          option <- [
            "certfile #{file.("cert")}",
            "keyfile #{file.("key")}",
            "cacertfile #{file.("ca")}",
            "verify verify_peer"
          ],
          text <- String.split("#{side}_#{option}"),
          do: text

    {vm, _, _} = Vm.start_node(["-proto_dist", "inet_tls", "-ssl_dist_opt"] ++ options)
    assert %{verdict: :ok} = asked(vm, node, "[]")
  end

  defp tls(dir, authority, opts \\ []),
    do: ["-proto_dist", "inet_tls" | Certificates.arguments(dir, authority, opts)]

  # A busy machine may need more than two seconds for TLS.
  defp asked(vm, node, options),
    do: Vm.eval(vm, "element(2, {ok, _} = 'Elixir.Caravan.Handshake':ask('#{node}', [{timeout, 15000} | #{options}]))")
end
