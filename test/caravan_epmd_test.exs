defmodule CaravanEpmdTest do
  use ExUnit.Case, async: true

  @epmd :caravan_epmd

  test "a node listens on the port of its name, a tool on any" do
    [port] = Caravan.Vm.free_ports(1)
    assert @epmd.listen_port_please(:"likes-service-#{port}", ~c"host") == {:ok, port}

    for tool <-
          ~w(rem-1a2b-app-3434 remsh1a2b3c4d-app-3434 rabbitmqcli-58-app-3434 a1b-ctl-app-3434)a do
      assert @epmd.listen_port_please(tool, ~c"host") == {:ok, 0}
    end
  end

  test "a port that is taken is an error, and no end of a VM that runs" do
    [port] = Caravan.Vm.free_ports(1)
    {:ok, listener} = :gen_tcp.listen(port, [])
    assert @epmd.listen_port_please(:"app-#{port}", ~c"host") == {:error, :network}
    :gen_tcp.close(listener)
    assert @epmd.listen_port_please(:"app-#{port}", ~c"host") == {:ok, port}
    assert @epmd.listen_port_please(:"app-70000", ~c"host") == {:error, :port_out_of_range}
  end

  test "every registration gives a random creation" do
    assert @epmd.register_node(:app, 4370, :inet) == {:ok, -1}
    assert @epmd.register_node(:app, 4370) == {:ok, -1}
  end

  test "literal addresses of either family are answered from memory" do
    assert @epmd.address_please(~c"app-3434", ~c"127.0.0.2", :inet) ==
             {:ok, {127, 0, 0, 2}, 3434, 6}

    assert @epmd.address_please(~c"app-3434", ~c"::1", :inet6) ==
             {:ok, {0, 0, 0, 0, 0, 0, 0, 1}, 3434, 6}
  end

  test "a host that the system knows" do
    Process.flag(:trap_exit, true)

    assert @epmd.address_please(~c"app-3434", ~c"localhost", :inet) ==
             {:ok, {127, 0, 0, 1}, 3434, 6}

    assert Process.info(self(), :messages) == {:messages, []}
  end

  # net_kernel itself asks that up to OTP 28, and a helper of its since. Then comes the process that makes the link.
  test "whether a node can be dialled at all is answered at once, without asking anybody" do
    {:ok, hostname} = :inet.gethostname()

    # Other tests put localhost into the address book, from which anyone is answered.
    for host <- [~c"nobody.test", hostname] do
      ask = fn -> @epmd.address_please(~c"app-3434", host, :inet) end
      assert linked_to_net_kernel(ask, timer?: false) == {:ok, {0, 0, 0, 0}, 3434, 6}
      refute linked_to_net_kernel(ask, timer?: true) == {:ok, {0, 0, 0, 0}, 3434, 6}
    end
  end

  defp linked_to_net_kernel(fun, timer?: timer?) do
    test = self()

    spawn(fn ->
      Process.link(Process.whereis(:net_kernel))
      timer = if timer?, do: spawn_link(fn -> Process.sleep(:infinity) end)
      send(test, {:answer, fun.()})
      if timer, do: Process.exit(timer, :kill)
    end)

    assert_receive {:answer, answer}, 10_000
    answer
  end

  test "a host that nobody knows, and what is none" do
    for host <- [~c"no host at all", [], [-1], [:a], [0x110000], [[]], [1 | 2], :"no host", {1}] do
      assert {:error, _} = @epmd.address_please(~c"app-3434", host, :inet)
    end

    assert Process.info(self(), :messages) == {:messages, []}
  end

  test "a name that can't be dialled is an error at once" do
    assert @epmd.address_please(~c"rpc-1-app-3434", ~c"127.0.0.1", :inet) == {:error, :tool_node}

    assert @epmd.address_please(~c"app-70000", ~c"127.0.0.1", :inet) ==
             {:error, :port_out_of_range}

    assert @epmd.port_please(~c"app-70000", {127, 0, 0, 1}) == :noport
  end

  test "ports follow from the name" do
    assert @epmd.port_please(~c"app-3434", {127, 0, 0, 1}) == {:port, 3434, 6}
    assert @epmd.port_please(:app, {127, 0, 0, 1}, 1_000) == {:port, 4370, 6}
  end

  test "names/1 is never an error" do
    assert {:ok, names} = @epmd.names()
    assert is_list(names)
    for host <- [~c"no-such-host", ~c"no host", [300], [1 | 2]], do: assert({:ok, []} = @epmd.names(host))
    assert {:ok, _names} = @epmd.names({127, 0, 0, 1})
  end

  test "this machine's names are the own host, whatever host the node's name has" do
    # What else runs on this machine comes and goes.
    assert {:ok, [{~c"caravan-4999", 4999} | _]} = @epmd.names()
    {:ok, hostname} = :inet.gethostname()

    for host <- [hostname, ~c"localhost", :localhost],
        do: assert({:ok, [{~c"caravan-4999", 4999} | _]} = @epmd.names(host))
  end

  test "no term makes names/1 raise" do
    for term <- [1, 1.5, {}, %{}, self(), <<255>>, {1, 2}],
        do: assert({:ok, [_ | _]} = @epmd.names(term))
  end

  test "no term makes a callback raise" do
    :rand.seed(:exsss, {1, 2, 3})

    for _round <- 1..2_000 do
      [one, two, three] = [term(3), term(3), Enum.random([:inet, :inet6, term(1)])]

      # A host that needs resolving would ask the system; literal and odd ones show all there is to show.
      answer = @epmd.address_please(one, two, three)
      assert elem(answer, 0) in [:ok, :error]
      port = @epmd.port_please(one, two)
      assert port == :noport or match?({:port, _port, 6}, port)
      assert @epmd.register_node(one, two, three) == {:ok, -1}
    end
  end

  defp term(0), do: Enum.random([:a, "", 1, -1, 1.5, [], {}, %{}, self(), <<255>>, :a@b, nil])

  defp term(depth) do
    case :rand.uniform(6) do
      1 -> [term(depth - 1) | term(depth - 1)]
      2 -> {term(depth - 1), term(depth - 1)}
      3 -> for _ <- 1..:rand.uniform(300), do: :rand.uniform(300)
      4 -> :rand.bytes(:rand.uniform(300))
      5 -> ~c"app-#{:rand.uniform(99_999)}@#{:rand.uniform(255)}"
      6 -> term(0)
    end
  end
end
