defmodule CaravanTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureIO
  alias Caravan.{DnsServer, Endpoint, Error, Lookup}

  # The module's own documentation is the README's, see readme_test.exs.
  doctest Caravan, except: [:moduledoc]

  setup do
    server = DnsServer.start()
    %{server: server, options: [nameservers: [server.address], timeout: 1_000]}
  end

  test "dist_port/1" do
    assert Caravan.dist_port(:"app-4371@10.0.0.1") == {:ok, 4371}
    assert Caravan.dist_port(~c"app-4371") == {:ok, 4371}
    assert Caravan.dist_port("app") == {:ok, 4370}
    assert {:error, %Error{kind: :invalid_name, message: message}} = Caravan.dist_port("")
    assert is_binary(message)
  end

  test "dist_port/1 shows what is no name" do
    for {term, shown} <- [{3, ~s("3")}, {[:a], ~s("[a]")}, {:"app-世", "app-"}, {%{}, "\"\#{}\""}] do
      assert {:error, %Error{kind: :invalid_name, message: message}} = Caravan.dist_port(term)
      assert message =~ "expected a node name" and message =~ shown
      assert message =~ "it is not an atom, charlist or binary"
    end
  end

  test "dist_port/1 answers a name alike in all of its forms" do
    for _ <- 1..2_000, name = random_name(), name not in ["", "nil", "true", "false"] do
      latin1 = for <<char <- name>>, into: "", do: <<char::utf8>>
      answer = Caravan.dist_port(name)
      assert Caravan.dist_port(:binary.bin_to_list(name)) == answer
      assert Caravan.dist_port(part(name)) == answer
      # An atom has at most 255 characters.
      if byte_size(name) <= 255, do: assert(Caravan.dist_port(String.to_atom(latin1)) == answer)
    end
  end

  test "dist_port/1 answers whatever it is given" do
    improper = [?a | ?b]
    deep = [[~c"app-3434"], "app"]
    bits = <<"app-3434", 1::1>>

    for term <- [improper, [?a, 256], deep, bits, self(), make_ref(), {:a}, 1.0, -1, [], fn -> :ok end] do
      assert {:error, %Error{kind: :invalid_name, message: message}} = Caravan.dist_port(term)
      assert message =~ "expected a node name"
    end
  end

  test "dist_port/1 takes no atom for a name that is none" do
    for word <- [nil, true, false, :undefined, :""] do
      assert {:error, %Error{kind: :invalid_name, message: message}} = Caravan.dist_port(word)
      assert message =~ "expected a node name"
    end
  end

  test "dist_port/1 reads no more of a term than a name may have" do
    for term <- [String.duplicate("a", 100_000), List.duplicate(?a, 100_000)] do
      assert {:error, %Error{kind: :invalid_name, message: message}} = Caravan.dist_port(term)
      assert message =~ ~r/\(51[12] bytes\): it is longer than 255 characters/
    end
  end

  test "lookup/2", %{server: server, options: options} do
    DnsServer.publish(server, "app.test", [4001, 4002], "127.0.0.1")

    assert {:ok, %Lookup{ttl: 1, transport: :udp, endpoints: endpoints} = lookup} =
             Caravan.lookup(~c"app.test", options)

    assert lookup.server == server.address
    assert [%Endpoint{port: 4001, host: "127.0.0.1"}, %Endpoint{port: 4002}] = endpoints

    DnsServer.command(server, "add a.test 1 A 127.0.0.9")

    assert {:ok, %Lookup{endpoints: [%Endpoint{addresses: [{127, 0, 0, 9}], host: nil}]}} =
             Caravan.lookup("a.test", [type: :a] ++ options)
  end

  test "a failure is never an empty list", %{server: server, options: options} do
    assert {:error, %Error{kind: :nxdomain, query: "none.test", message: message}} =
             Caravan.lookup("none.test", options)

    assert message =~ "none.test"
    DnsServer.command(server, "add app.test 1 A 127.0.0.9")
    assert {:error, %Error{kind: :nodata}} = Caravan.lookup("app.test", options)

    for {fault, rcode} <- [{"servfail", 2}, {"nxdomain", 3}, {"refused", 5}] do
      DnsServer.command(server, "fault #{fault}")
      assert {:error, %Error{details: details}} = Caravan.lookup("app.test", options)
      address = server.address

      assert %{question: "app.test SRV", servers: [^address], elapsed_ms: elapsed, rcode: ^rcode} = details

      assert is_integer(elapsed) and not is_map_key(details, :partial)
    end

    DnsServer.command(server, "fault silence")
    assert {:error, %Error{kind: :timeout}} = Caravan.lookup("app.test", options)
    refute_received {_, _}
  end

  test "wrong options raise the one exception" do
    assert_raise Error, ~r/unknown option :nope/, fn -> Caravan.lookup("a.test", nope: 1) end
    assert_raise Error, ~r/unknown option :nope/, fn -> Caravan.await(:app, nope: 1) end
    assert_raise Error, ~r/no topology :nope runs on this node/, fn -> Caravan.members(:nope) end
    assert_raise Error, ~r/no topology :nope/, fn -> Caravan.await(:nope) end
    error = assert_raise Error, ~r/no topology :nope/, fn -> Caravan.poll(:nope) end
    assert %{kind: :unknown_topology, details: %{}} = error
  end

  test "a topology that doesn't run: which ones do, or how to start one" do
    assert Caravan.Topology.Registry.unknown(:my_ap, [:other, :my_app]).message ==
             "no topology :my_ap runs on this node; expected one of [:my_app, :other]"

    assert Caravan.Topology.Registry.unknown(:my_app, []).message ==
             "no topology :my_app runs on this node; none does: start one in your supervision tree, as " <>
               "{Caravan, topologies: [...]}"
  end

  test "a lookup refuses servers that are none, in the sentence of a topology" do
    for servers <-
          [[], nil, 53, "127.0.0.1", [:system], [53], ["localhost"], ["127.0.0.1:0"]] ++
            [["127.0.0.1:65536"], [""], ["1.2.3.4\n"], [<<255>>], ["1.2.3.4" | "x"]] ++
            [["127.0.0.1", nil], [~c"127.0.0.1"], %{}, {"127.0.0.1"}] do
      error = assert_raise Error, fn -> Caravan.lookup(~c"app.test", nameservers: servers) end
      assert error.kind == :invalid_option

      assert error.message ==
               "option :nameservers of lookup of #{inspect(~c"app.test")}: expected :system or a list of addresses " <>
                 "with an optional port, such as [\"127.0.0.1:8600\", \"[::1]:53\"], got #{inspect(servers)}"
    end
  end

  test "a server given twice is queried as if given once", %{server: server} do
    DnsServer.command(server, "fault servfail")
    twice = [server.address, server.address]
    assert {:error, %Error{kind: :servfail}} = Caravan.lookup("a.test", type: :a, nameservers: twice)
    # Each server gets two attempts.
    assert DnsServer.command(server, "stats") == ["udp=2 tcp=0"]
  end

  test "the standalone supervisor", %{server: server, options: options} do
    DnsServer.command(server, "add app.test 1 A 127.0.0.9")
    options = [query: "app.test", type: :a, node_sname: "app-1"] ++ options

    supervisor = start_supervised!({Caravan, topologies: [alone_a: options, alone_b: options], name: Alone})

    assert Process.whereis(Alone) == supervisor
    assert %{alone_a: %Caravan.Status{}, alone_b: %Caravan.Status{}} = Caravan.status()
    assert_raise Error, ~r/expected one of \[.*:alone_a.*\]/, fn -> Caravan.members(:nope) end
  end

  test "the standalone supervisor refuses wrong options before it starts" do
    for {options, sentence} <- [
          {[], ~r/option :topologies of Caravan is missing/},
          {[topologies: [:a]], ~r/option :topologies of Caravan: expected a keyword list/},
          {[topologies: [a: [query: "q"]], nmae: 1], ~r/unknown option :nmae in Caravan/},
          {[topologies: [a: [query: "q", tpye: :a]]], ~r/unknown option :tpye in topology :a/},
          {[topologies: [a: [query: "q", allow: ["10.0.0.0/99"]]]], ~r/allow/}
        ] do
      assert_raise Error, sentence, fn -> Caravan.start_link(options) end
    end
  end

  test "report/2", %{server: server, options: options} do
    DnsServer.publish(server, "app.test", [4001], "127.0.0.1")
    assert capture_io(fn -> assert Caravan.report("app.test", options) == :ok end) =~ "4001"

    assert capture_io(fn -> assert Caravan.report("none.test", options) == :error end) =~
             "none.test"
  end

  # Mostly near what has a port, and no longer than an atom.
  defp random_name do
    parts = ["app", "-", "_", "0", "7", "3434", "65535", "99999999999999999999", "@", "host.example.org", "rpc-1a-"]
    odd = ["peer-3-17184", "maint", " ", "é", <<0>>, <<255>>, String.duplicate("x", 120)]
    for _ <- 1..:rand.uniform(6), into: "", do: Enum.random(parts ++ parts ++ odd)
  end

  # A binary that begins within another one.
  defp part(name) do
    <<_first, rest::binary>> = "x" <> name
    rest
  end
end
