defmodule Caravan.SystemTest do
  use Caravan.MachineCase, async: true

  # The system's configuration, on a machine whose /etc is the test's. `getent` is asked besides: who knows that must
  # not be surprised.

  alias Caravan.{Knot, Machine}

  for {conf, name, expected} <- [
        # The search list: names with too few dots there first, others as they are first.
        {"search a.test b.test", "app", "127.1.0.1"},
        {"search b.test a.test", "app", "127.1.0.2"},
        {"search a.test b.test", "ONLY", "127.1.0.3"},
        {"search a.test b.test", "short", "127.1.0.9"},
        {"search a.test", "x.y", "127.1.0.4"},
        {"search a.test\noptions ndots:2", "x.y", "127.1.0.5"},
        {"search test", "app.b", "127.1.0.2"},
        {"options ndots:5\nsearch test", "app.b", "127.1.0.2"},
        {"search a.test\noptions ndots:0", "short", "127.1.0.9"},
        {"search a.test\noptions ndots:0", "app", "127.1.0.1"},
        {"search a.test b.test", "nope", :nxdomain},
        # A last dot ends the search.
        {"search a.test", "app.", :nxdomain},
        {"search a.test", "app.b.test.", "127.1.0.2"},
        # The last line of search and domain counts; without either, the machine's own domain.
        {"domain b.test", "app", "127.1.0.2"},
        {"search b.test\ndomain a.test", "app", "127.1.0.1"},
        {"domain a.test\nsearch b.test", "app", "127.1.0.2"},
        {"", "app", "127.1.0.2"},
        {"search .", "app", :nxdomain},
        {"search .", "short", "127.1.0.9"},
        # No data, SERVFAIL and impossible domains don't end the search.
        {"search a.test b.test", "nodata", "127.1.0.7"},
        {"search broken.test b.test", "app", "127.1.0.2"},
        {"search broken.test b.test", "nope", :servfail},
        {"search a.test", "nodata", :nodata},
        {"search -- a.test", "app", "127.1.0.1"},
        {"search #{String.duplicate("long", 15)}.#{String.duplicate("long", 15)}.test a.test", "app", "127.1.0.1"},
        # Comments, and options that mean nothing here or nowhere.
        {"# search a.test\n; search a.test\nsearch b.test", "app", "127.1.0.2"},
        {"search a.test\noptions ndots:1 timeout:1 attempts:2 rotate edns0 single-request trust-ad no-such:9", "app",
         "127.1.0.1"},
        {"search a.test\nsortlist 10.0.0.0\nfamily inet4\nnonsense\noptions", "app", "127.1.0.1"}
      ] do
    test "#{name} with #{inspect(conf)} is #{expected}", %{machine: machine, vm: vm} do
      Namespace.write(machine, "resolv.conf": @local <> unquote(conf) <> "\n")
      assert_found(machine, vm, unquote(name), unquote(expected))
    end
  end

  defp assert_found(machine, vm, name, kind) when is_atom(kind) do
    assert getent(machine, name) == :none
    assert found(vm, name) == kind
  end

  defp assert_found(machine, vm, name, address) do
    assert getent(machine, name) == [address]
    assert found(vm, name) == [address]
  end

  test "all names that were tried are told", %{machine: machine, vm: vm} do
    Namespace.write(machine, "resolv.conf": @local <> "search a.test b.test\n")
    assert {:error, %{kind: :nxdomain, query: "nope", message: message}} = lookup(vm, "nope")
    assert message =~ ~s(looked up "nope.a.test A" at 127.0.0.1:53 )
    assert message =~ "no such name (NXDOMAIN), nor nope.b.test or nope; check"
  end

  for {servers, answering} <- [
        {"nameserver 127.0.0.1\n", "127.0.0.1:53"},
        {"nameserver ::1", "[::1]:53"},
        {"nameserver fe80::53%lo", "[fe80::53%1]:53"},
        {"nameserver 10.9.9.9\nnameserver 127.0.0.2", "127.0.0.2:53"},
        {"nameserver 127.0.0.9\nnameserver 127.0.0.2", "127.0.0.2:53"},
        {"nameserver x\nnameserver 127.0.0.2 # of ours", "127.0.0.2:53"},
        # Nobody named: as the C library, the one on this machine.
        {"search a.test", "127.0.0.1:53"},
        {"", "127.0.0.1:53"},
        {nil, "127.0.0.1:53"},
        {<<0, 255, "nameserver\nname server 127.0.0.2\n">>, "127.0.0.1:53"}
      ] do
    test "the server of #{inspect(servers)}", %{machine: machine, vm: vm} do
      Namespace.write(machine, "resolv.conf": unquote(servers))
      assert getent(machine, "app.a.test") == ["127.1.0.1"]
      assert {:ok, %{server: unquote(answering), transport: :udp}} = lookup(vm, "app.a.test")
    end
  end

  test "a silent first server costs its timeout, not the answer", %{machine: machine, vm: vm} do
    {:ok, _socket} = eval(vm, "gen_udp:open(53, [{ip, {127,0,0,53}}, {active, false}])")

    Namespace.write(machine,
      "resolv.conf": "nameserver 127.0.0.53\n" <> @local <> "options timeout:1\n"
    )

    assert getent(machine, "app.a.test") == ["127.1.0.1"]

    # A deadline that would allow to wait for much longer.
    assert {:ok, %{server: "127.0.0.1:53", elapsed: elapsed}} = lookup(vm, "app.a.test", type: :a, timeout: 60_000)

    assert elapsed in 900_000..20_000_000

    # And one that does not allow so much.
    assert {:ok, %{server: "127.0.0.1:53"}} = lookup(vm, "app.a.test", type: :a, timeout: 900)
  end

  test "use-vc is TCP", %{machine: machine, vm: vm} do
    Namespace.write(machine, "resolv.conf": @local <> "options use-vc\n")
    assert {:ok, %{transport: :tcp}} = lookup(vm, "app.a.test")
  end

  test "a server that no route leads to is told at once", %{vm: vm} do
    for transport <- [:auto, :tcp] do
      options = [type: :a, nameservers: ["10.9.9.9"], transport: transport, timeout: 60_000]
      assert {:error, %{kind: :network, message: message}} = lookup(vm, "app.test", options)
      assert message =~ ~s(looked up "app.test A" at 10.9.9.9:53 ) and message =~ "unreachable"
    end
  end

  test "a machine without any server says what is missing, and nameservers: works there" do
    machine = Namespace.start("alone")
    vm = Machine.vm(machine)

    for {conf, reason} <- [
          {nil, "/etc/resolv.conf can't be read: No such file or directory"},
          {"", "/etc/resolv.conf names no server"},
          {"nonsense\n", "/etc/resolv.conf names no server"}
        ] do
      Namespace.write(machine, "resolv.conf": conf)
      assert {:error, %{kind: :network, message: message}} = lookup(vm, "app.test")
      assert message =~ ~s(looked up "app.test A" at 127.0.0.1:53 \(#{reason})
      assert message =~ "nothing listens there"
    end

    Knot.start("app.test", "@ A 127.1.0.1", ["127.0.0.1@5353"], Namespace.enter(machine))
    Namespace.write(machine, "resolv.conf": nil)

    assert {:ok, %{endpoints: [%{addresses: [{127, 1, 0, 1}]}]}} =
             lookup(vm, "app.test", type: :a, nameservers: ["127.0.0.1:5353"])
  end
end
