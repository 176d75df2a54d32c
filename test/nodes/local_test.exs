defmodule Caravan.Nodes.LocalTest do
  use ExUnit.Case, async: true
  alias Caravan.Vm

  @moduletag :nodes
  @moduletag timeout: 120_000
  setup do: Vm.no_epmd()

  setup do: %{base: Vm.free_row(16), host: Vm.short_host()}

  # Short names, as on a laptop: the host need not resolve.
  defp start(base, name, args \\ [], opts \\ []) do
    logger = ["-pa", :logger |> :code.lib_dir() |> Path.join("ebin")]
    vm = Vm.start(["-sname", name, "-caravan", "base_port", "#{base}" | logger ++ args], opts)
    Vm.eval(vm, "logger:remove_handler(default), 'Elixir.Caravan.LogLines':start()")
    vm
  end

  defp start_local(base, name, args \\ []) do
    vm = start(base, name, args)
    Vm.start_topology(vm, :app, type: :local, poll_interval: 200)
    vm
  end

  defp await_nodes(vm, nodes), do: Vm.await(vm, "lists:sort(nodes())", Enum.sort(nodes))

  defp status(vm) do
    encoded = Vm.eval(vm, "term_to_binary(maps:get(app, 'Elixir.Caravan':status()))")
    :erlang.binary_to_term(encoded)
  end

  defp about(vm, text), do: Vm.eval(vm, ~s{'Elixir.Caravan.LogLines':about(<<"#{text}">>)})

  # The age of the answer falls with each of them.
  defp await_polls(_vm, 0), do: :ok

  defp await_polls(vm, count) do
    age = fn -> hd(status(vm).queries).age end
    then = Vm.eventually("some age", fn -> (now = age.()) >= 50 && now end)
    Vm.eventually("a poll", fn -> age.() < then end)
    await_polls(vm, count - 1)
  end

  test "two nodes are a cluster, whatever they are called", %{base: base, host: host} do
    [a, b] = for name <- ["a-0", "b-1"], do: start_local(base, name)
    await_nodes(a, [:"b-1@#{host}"])
    await_nodes(b, [:"a-0@#{host}"])

    assert %{queries: [query], refused: []} = status = status(a)
    assert %{query: "local", outcome: :ok, server: "127.0.0.1", transport: :handshake} = query

    assert [%{state: :self, node: own}, %{state: :connected}] = status.peers
    assert own == :"a-0@#{host}"
    # Each is asked for its name at every poll of the other.
    for vm <- [a, b], do: await_polls(vm, 3)
    for vm <- [a, b], text <- ["attempt", "caravan-", "can't connect"], do: assert(about(vm, text) == [])
  end

  test "five nodes are a mesh; a port beyond the range is not asked", %{base: base, host: host} do
    names = for n <- [0, 3, 7, 12, 15], do: "n#{n}-#{n}"
    vms = for name <- names, do: start_local(base, name)
    nodes = for name <- names, do: :"#{name}@#{host}"
    for {vm, own} <- Enum.zip(vms, nodes), do: await_nodes(vm, nodes -- [own])

    # Nobody dials the one outside, which has no topology.
    [port] = Vm.free_ports(1)
    outside = start(base, "out-#{port}")
    for vm <- vms, do: await_polls(vm, 1)
    assert Vm.eval(outside, "nodes()") == []
  end

  test "a node that ends is lost, and found again when it returns", %{base: base, host: host} do
    a = start_local(base, "a-0")
    b = start_local(base, "b-1")
    await_nodes(a, [:"b-1@#{host}"])
    Vm.stop(b)
    await_nodes(a, [])
    # Another one on the same port, and the old one on a new port.
    c = start_local(base, "c-1")
    await_nodes(a, [:"c-1@#{host}"])
    await_nodes(c, [:"a-0@#{host}"])
  end

  test "a node with another cookie is a peer that backs off", %{base: base, host: host} do
    # Its log is kept from before anyone dials it.
    b = start(base, "b-1", ["-setcookie", "another"])
    a = start_local(base, "a-0")
    other = :"b-1@#{host}"

    Vm.eventually("the refusal", fn ->
      match?([_, %{node: ^other, state: :backing_off}], status(a).peers)
    end)

    assert [_, %{error: error}] = status(a).peers
    assert error =~ "cookie"
    # It has one line about that, however often it is asked for its name.
    Vm.eventually("its line", fn -> about(b, "Connection attempt") != [] end)
    await_polls(a, 3)
    assert [_line] = about(b, "Connection attempt")
    assert Vm.eval(b, "nodes(connected)") == []
  end

  test "hidden nodes, and those that can't be dialed, are no members", %{base: base} do
    hidden = start(base, "tool-1", ["-hidden", "-caravan", "hidden_port", "own"])
    # It listens on the port of another rule.
    [listening] = for n <- [2], do: "#{base + n}"
    other = Vm.start(["-sname", "mapped-9999", "-caravan", "listen_port", listening])
    long = Vm.start(["-name", "long-#{base + 3}@127.0.0.1"])
    a = start_local(base, "a-0")

    Vm.eventually("the answers", fn -> match?([_, _], status(a).refused) end)
    refused = for refused <- status(a).refused, do: {refused.reason, refused.example}

    assert [{:long_name, "long-" <> _}, {:other_port, "mapped-9999@" <> _}] = Enum.sort(refused)
    assert [%{state: :self}] = status(a).peers
    for vm <- [hidden, other, long], do: assert(Vm.eval(vm, "nodes(connected)") == [])
  end

  test "what isn't a node is asked once, and nodes are found meanwhile", %{base: base, host: host} do
    {:ok, listener} = :gen_tcp.listen(base + 2, [:binary, active: false, ip: {127, 0, 0, 1}])
    {:ok, silent} = :gen_tcp.listen(base + 3, ip: {127, 0, 0, 1})
    a = start_local(base, "a-0")
    b = start_local(base, "b-1")

    # Each of the two asks it once.
    for _ <- 1..2 do
      {:ok, socket} = :gen_tcp.accept(listener, 5_000)
      {:ok, <<_length::16, "N", _::binary>>} = :gen_tcp.recv(socket, 0, 5_000)
      :ok = :gen_tcp.send(socket, "HTTP/1.1 400 Bad Request\r\n\r\n")
      :gen_tcp.close(socket)
    end

    await_nodes(a, [:"b-1@#{host}"])
    await_nodes(b, [:"a-0@#{host}"])
    await_polls(a, 3)
    assert :gen_tcp.accept(listener, 0) == {:error, :timeout}
    :gen_tcp.close(silent)
    assert about(a, "refused") == []
  end

  test "where links go over TLS, no node can be asked, and the option says so" do
    vm = Vm.start(["-proto_dist", "inet_tls"])
    check = "try 'Elixir.Caravan.Topology':'check!'(app, [{type, local}]) catch error:E -> maps:get(message, E) end"
    assert Vm.eval(vm, check) =~ "option :type of topology :app: :local finds nodes with plain distribution"
    assert Vm.eval(vm, "'Elixir.Caravan.Topology':'check!'(app, [{nodes, ['a-3434@h']}])") == :ok
    bad = "try 'Elixir.Caravan.Topology':'check!'(app, [{nodes, ['a-3434']}]) catch error:E -> maps:get(message, E) end"
    assert Vm.eval(vm, bad) =~ ~r/^topology :app: .*a-3434.* it has no host/
  end
end
