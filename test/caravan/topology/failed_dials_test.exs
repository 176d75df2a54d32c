defmodule Caravan.Topology.FailedDialsTest do
  use Caravan.TopologyCase, async: true

  test "a failing dial is logged once and backs off", context do
    node = node_on(4001)
    FakeMesh.answer(context.mesh, node, false)
    publish(context, [4001])

    log =
      capture_log(fn ->
        start(context)
        for _ <- 1..2, do: await_event([:peer, :dial_failed])
        assert %{state: :backing_off, attempts: 2, error: error} = peer(context, node)
        assert error =~ "returned false"
        FakeMesh.answer(context.mesh, node, true)
        assert {:ok, [^node]} = Caravan.await(context.name)
      end)

    assert [_, _] = String.split(log, "[caravan #{context.name}] can't connect to #{node}")
  end

  test "a dial that raises or answers nonsense is a failed dial", context do
    FakeMesh.answer(context.mesh, node_on(4001), :raise)
    FakeMesh.answer(context.mesh, node_on(4002), :nonsense)
    FakeMesh.answer(context.mesh, node_on(4003), :ignored)
    publish(context, [4001, 4002, 4003, 4004])
    topology = start(context)
    assert {:ok, [_]} = Caravan.await(context.name)

    for {port, sentence} <- [
          {4001, "no such road"},
          {4002, "returned :nonsense"},
          {4003, "not distributed"}
        ] do
      await_event([:peer, :dial_failed], &(&1.node == node_on(port) and &1.reason =~ sentence))
    end

    assert Process.alive?(topology)
  end

  test "with Erlang's own functions the node that isn't linked is asked why", context do
    [shut] = Caravan.Vm.free_ports(1)
    open = for speak <- [:other_name, :own_name, :cookie, :http], do: {speak, node_that(speak)}
    ports = [shut | Keyword.values(open)]
    DnsServer.publish(context.server, "app.test", ports, "127.0.0.1")
    start(context, [], %{})

    expected = [
      {shut, :probe, "nothing listens at"},
      {open[:other_name], :dial, "the node there is named x@y"},
      {open[:cookie], :dial, "another cookie than this node"},
      {open[:http], :dial, "is not an Erlang node but speaks HTTP"}
    ]

    await_failures(
      for {port, stage, sentence} <- expected,
          into: %{},
          do: {:"app-#{port}@127.0.0.1", {stage, sentence}}
    )

    itself = :"app-#{open[:own_name]}@127.0.0.1"

    Caravan.Vm.eventually("#{itself} is this node", fn ->
      match?(%{state: :self, next_dial: nil}, peer(context, itself))
    end)
  end

  # On a busy machine a handshake may last so long that it is no refusal. It is tried again.
  defp await_failures(expected) when map_size(expected) > 0 do
    %{node: node, stage: stage, reason: reason} = await_event([:peer, :dial_failed])

    with %{^node => {expected_stage, sentence}} <- expected,
         false <- reason =~ "too busy" do
      assert stage == expected_stage
      assert reason =~ sentence
      expected |> Map.delete(node) |> await_failures()
    else
      _told_already_or_busy -> await_failures(expected)
    end
  end

  defp await_failures(_none), do: :ok

  # Takes every handshake as far as its name, and no further (erl_dist_protocol), with this VM's creation.
  defp node_that(speaks) do
    {:ok, listener} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false])
    {:ok, port} = :inet.port(listener)

    name =
      case speaks do
        :other_name -> "x@y"
        :own_name -> Atom.to_string(node())
        :cookie -> "app-#{port}@127.0.0.1"
        :http -> nil
      end

    spawn_link(fn -> serve(listener, name) end)
    port
  end

  defp serve(listener, name) do
    {:ok, socket} = :gen_tcp.accept(listener)

    answer =
      if name do
        creation = :erts_internal.get_creation()
        flags = elem(:erts_internal.get_dflags(), 1)
        challenge = <<?N, flags::64, 1::32, creation::32, byte_size(name)::16, name::binary>>
        for message <- ["sok", challenge], do: [<<byte_size(message)::16>>, message]
      else
        "HTTP/1.1 400 Bad Request"
      end

    # A probe says nothing.
    with {:ok, _greeting} <- :gen_tcp.recv(socket, 0), do: :gen_tcp.send(socket, answer)
    :gen_tcp.close(socket)
    serve(listener, name)
  end
end
