defmodule Caravan.Nodes.RefusalTest do
  # What a topology makes of a node that doesn't let itself be linked: a socket in its place.
  use ExUnit.Case, async: true
  alias Caravan.{DnsServer, LogFile, Vm}

  @moduletag :nodes
  @wait 10_000

  setup do: Vm.no_epmd()

  test "who was too slow for a handshake has refused none" do
    {:ok, listener} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false])
    {:ok, port} = :inet.port(listener)
    server = DnsServer.start()
    DnsServer.publish(server, "app.test", [port], "127.0.0.1")

    logger = :logger |> :code.lib_dir() |> Path.join("ebin")
    {vm, _, _} = Vm.start_node(["-kernel", "net_setuptime", "3", "-pa", logger])
    options = [query: "app.test", nameservers: [server.address]]
    Vm.start_topology(vm, :app, options)

    {:ok, dial} = :gen_tcp.accept(listener, @wait)
    # It says its name and hears nothing until it gives up.
    assert {:ok, _name} = :gen_tcp.recv(dial, 0, @wait)
    assert :gen_tcp.recv(dial, 0, @wait) == {:error, :closed}

    {:ok, question} = :gen_tcp.accept(listener, @wait)
    assert {:ok, _name} = :gen_tcp.recv(question, 0, @wait)
    name = "app-#{port}@127.0.0.1"
    flags = elem(:erts_internal.get_dflags(), 1)
    challenge = <<?N, flags::64, 1::32, 7::32, byte_size(name)::16, name::binary>>

    for message <- ["sok", challenge],
        do: :gen_tcp.send(question, [<<byte_size(message)::16>>, message])

    peers = "maps:get(peers, maps:get(app, 'Elixir.Caravan':status()))"
    Vm.await(vm, "[maps:get(state, P) || P <- #{peers}]", [:backing_off])
    assert [error] = Vm.eval(vm, "[maps:get(error, P) || P <- #{peers}]")
    assert error =~ ~r/the handshake timed out after \d+ ms/
    assert Vm.eval(vm, "[maps:get(next_dial, P) || P <- #{peers}]") < [1_300]
  end

  @tag :tmp_dir
  test "a node tells its name to whoever has another cookie, and logs nothing of it", %{
    tmp_dir: dir
  } do
    {vm, name, _port} = Vm.start_node(["-setcookie", "another"])
    log = LogFile.start(vm, dir)

    for _ <- 1..2 do
      assert {:ok, %{verdict: :ok} = told} = Caravan.Handshake.ask(name, timeout: 10_000)
      assert told.name == Atom.to_string(name)
      assert told.creation == Vm.eval(vm, "erts_internal:get_creation()")
    end

    # The handshake's process there ends a moment later.
    Vm.await(vm, "net_kernel:nodes_info() =:= {ok, []} andalso nodes(hidden)", [])
    assert LogFile.lines(log) == []
  end
end
