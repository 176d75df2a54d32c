defmodule Caravan.SystemTest do
  use ExUnit.Case, async: false

  # The system's configuration, on a machine whose /etc is the test's. `getent` is asked besides: who knows that must
  # not be surprised.

  alias Caravan.{Knot, Namespace, Vm}

  @moduletag :netns
  @moduletag timeout: 120_000

  @local "nameserver 127.0.0.1\n"
  @no_hosts "127.0.0.1 localhost\n"

  setup_all do
    machine = Namespace.start("node1.b.test")

    Knot.start(
      "",
      """
      short A 127.1.0.9
      app.a.test A 127.1.0.1
      app.b.test A 127.1.0.2
      only.b.test A 127.1.0.3
      x.y A 127.1.0.4
      x.y.a.test A 127.1.0.5
      h1.a.test A 127.1.0.6
      nodata.a.test AAAA ::7
      nodata.b.test A 127.1.0.7
      listed.b.test A 127.1.0.8
      _svc._tcp.a.test SRV 0 0 3434 h1.a.test
      _svc._tcp.a.test SRV 1 0 3434 h2.a.test
      _svc._tcp.a.test SRV 2 0 3434 h3.a.test
      """,
      ~w(127.0.0.1@53 127.0.0.2@53 ::@53),
      Namespace.enter(machine)
    )

    # One VM for all tests: whatever they change, it is never restarted.
    {:ok, machine: machine, vm: vm(machine)}
  end

  setup %{machine: machine} do
    Namespace.write(machine, "resolv.conf": @local, hosts: @no_hosts)
  end

  # A VM is its starter's, and tests are processes of their own.
  defp vm(machine) do
    start = fn -> Vm.start([], within: Namespace.enter(machine)) end
    vm = start_supervised!({Agent, start}, id: machine.pid)
    :ok = eval(vm, "'Elixir.Caravan.Native':load()")
    vm
  end

  defp eval(vm, code), do: Agent.get(vm, &Vm.eval(&1, code), 60_000)

  defp lookup(vm, name, opts \\ [type: :a]) do
    arguments = :io_lib.format("~p, ~p", [name, opts])
    eval(vm, "'Elixir.Caravan':lookup(#{arguments})")
  end

  # Sorted addresses, or the kind of the failure.
  defp found(vm, name, type \\ :a) do
    case lookup(vm, name, type: type) do
      {:ok, found} -> for e <- found.endpoints, ip <- e.addresses, do: to_string(:inet.ntoa(ip))
      {:error, error} -> error.kind
    end
  end

  defp getent(machine, name) do
    command = ["ahostsv4", name]

    case Vm.command("getent", command, within: Namespace.enter(machine)) do
      {0, output} ->
        for [ip | _] <- output |> String.split("\n", trim: true) |> Enum.map(&String.split/1),
            uniq: true,
            do: ip

      {2, _nothing} ->
        :none
    end
  end

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
        {"search #{String.duplicate("long", 15)}.#{String.duplicate("long", 15)}.test a.test",
         "app", "127.1.0.1"},
        # Comments, and options that mean nothing here or nowhere.
        {"# search a.test\n; search a.test\nsearch b.test", "app", "127.1.0.2"},
        {"search a.test\noptions ndots:1 timeout:1 attempts:2 rotate edns0 single-request trust-ad no-such:9",
         "app", "127.1.0.1"},
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
    assert message =~ "no such name (NXDOMAIN), nor is there nope.b.test or nope; check"
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
    assert {:ok, %{server: "127.0.0.1:53", elapsed: elapsed}} =
             lookup(vm, "app.a.test", type: :a, timeout: 60_000)

    assert elapsed in 900_000..20_000_000

    # And one that does not allow so much.
    assert {:ok, %{server: "127.0.0.1:53"}} = lookup(vm, "app.a.test", type: :a, timeout: 900)
  end

  test "use-vc is TCP", %{machine: machine, vm: vm} do
    Namespace.write(machine, "resolv.conf": @local <> "options use-vc\n")
    assert {:ok, %{transport: :tcp}} = lookup(vm, "app.a.test")
  end

  describe "the hosts file" do
    setup %{machine: machine} do
      Namespace.write(machine,
        "resolv.conf": @local <> "search a.test b.test\n",
        hosts: """
        127.2.0.1 app Listed.Test # h3.a.test
        fd00::2\tapp
        127.2.0.2   h2.a.test
        127.2.0.3 app
        10.0.0.300 short
        """
      )
    end

    test "goes before all servers, for the name as it was given", %{machine: machine, vm: vm} do
      assert getent(machine, "app") == ["127.2.0.1", "127.2.0.3"]
      assert found(vm, "app") == ["127.2.0.1", "127.2.0.3"]
      assert found(vm, "app", :aaaa) == ["fd00::2"]
      assert found(vm, "app", :ip) == ["127.2.0.1", "127.2.0.3", "fd00::2"]
      assert {:ok, %{server: "/etc/hosts", transport: :hosts, ttl: 0}} = lookup(vm, "app")
      assert getent(machine, "LISTED.test") == ["127.2.0.1"]
      assert found(vm, "LISTED.test") == ["127.2.0.1"]
      # Not for names that the search list makes.
      assert getent(machine, "app.a.test") == ["127.1.0.1"]
      assert found(vm, "app.a.test") == ["127.1.0.1"]
      assert getent(machine, "listed") == ["127.1.0.8"]
      assert found(vm, "listed") == ["127.1.0.8"]
      assert found(vm, "short") == ["127.1.0.9"]
      # Not for services either.
      assert found(vm, "app", :srv) == :nodata
    end

    test "gives the addresses of services", %{vm: vm} do
      assert {:ok, found} = lookup(vm, "_svc._tcp", type: :srv)

      assert Enum.map(found.endpoints, &{&1.host, &1.addresses}) == [
               {"h1.a.test", [{127, 1, 0, 6}]},
               {"h2.a.test", [{127, 2, 0, 2}]},
               {"h3.a.test", []}
             ]

      assert found.unresolved == ["h3.a.test"]
    end

    test "needs no resolv.conf", %{machine: machine, vm: vm} do
      Namespace.write(machine, "resolv.conf": nil)
      assert found(vm, "app") == ["127.2.0.1", "127.2.0.3"]
    end

    test "is read again", %{machine: machine, vm: vm} do
      assert found(vm, "h2.a.test") == ["127.2.0.2"]
      Namespace.write(machine, hosts: "127.2.0.4 h2.a.test\n")
      assert found(vm, "h2.a.test") == ["127.2.0.4"]
      Namespace.write(machine, hosts: nil)
      assert found(vm, "h2.a.test") == :nxdomain
      Namespace.write(machine, hosts: "127.2.0.5 h2.a.test\n")
      assert found(vm, "h2.a.test") == ["127.2.0.5"]
    end
  end

  describe "resolv.conf is read again when it" do
    setup %{machine: machine, vm: vm} do
      Namespace.write(machine, "resolv.conf": @local <> "search a.test\n")
      assert found(vm, "app") == ["127.1.0.1"]
      {:ok, path: Path.join(machine.etc, "resolv.conf")}
    end

    test "is rewritten with the same length at the same time", %{path: path, vm: vm} do
      for n <- 1..50 do
        File.write!(path, @local <> "search #{if rem(n, 2) == 0, do: "a", else: "b"}.test\n")
        File.touch!(path, 1_700_000_000)
        assert found(vm, "app") == ["127.1.0.#{rem(n, 2) + 1}"]
      end
    end

    test "is replaced by another of the same length and time", %{path: path, vm: vm} do
      File.write!(path <> ".new", @local <> "search b.test\n")
      File.touch!(path <> ".new", File.stat!(path, time: :posix).mtime)
      File.rename!(path <> ".new", path)
      assert found(vm, "app") == ["127.1.0.2"]
    end

    test "is a link, which then leads elsewhere or whose target changes", %{path: path, vm: vm} do
      for domain <- ["a", "b"],
          do: File.write!("#{path}.#{domain}", @local <> "search #{domain}.test\n")

      File.rm!(path)
      File.ln_s!("resolv.conf.b", path)
      assert found(vm, "app") == ["127.1.0.2"]
      File.write!(path <> ".b", @local <> "search a.test\n")
      assert found(vm, "app") == ["127.1.0.1"]
      File.write!(path <> ".b", @local <> "search b.test\n")
      File.rm!(path)
      File.ln_s!("resolv.conf.a", path)
      assert found(vm, "app") == ["127.1.0.1"]
      File.rm!(path)
    end

    test "goes and comes back", %{path: path, vm: vm} do
      File.rm!(path)
      assert found(vm, "app") == ["127.1.0.2"], "the machine's own domain"
      File.ln_s!("missing", path)
      assert found(vm, "app") == ["127.1.0.2"]
      File.rm!(path)
      File.write!(path, @local <> "search a.test\n")
      assert found(vm, "app") == ["127.1.0.1"]
    end
  end

  test "a machine without any server says what is missing, and nameservers: works there" do
    machine = Namespace.start("alone")
    vm = vm(machine)

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
