defmodule Caravan.SystemFilesTest do
  use Caravan.MachineCase, async: true

  # The hosts file, and how it and resolv.conf are read again when they change.

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
end
