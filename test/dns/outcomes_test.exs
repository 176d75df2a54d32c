defmodule Caravan.OutcomesTest do
  use ExUnit.Case, async: false

  alias Caravan.{DnsServer, PacketServer}

  @moduletag :dns

  setup do
    server = DnsServer.start()
    DnsServer.command(server, "add app.test 5 A 127.0.0.2")
    {:ok, server: server}
  end

  defp kind(server, opts \\ []) do
    opts = Keyword.merge([type: :a, nameservers: [server.address], timeout: 500], opts)

    with {:error, %Caravan.Error{kind: kind, message: message}} <-
           Caravan.lookup("app.test", opts) do
      assert message =~ "app.test" and message =~ server.address
      kind
    end
  end

  for {fault, kind} <- [
        {"silence", :timeout},
        {"servfail", :servfail},
        {"refused", :refused},
        {"nxdomain", :nxdomain},
        {"empty", :nodata},
        {"truncate-no-tcp", :truncated},
        {"malformed loop", :malformed},
        {"malformed counts", :malformed},
        {"malformed rdata", :malformed},
        {"malformed label", :malformed},
        {"malformed garbage", :malformed},
        {"malformed id", :timeout},
        {"malformed question", :timeout}
      ] do
    test "#{fault} is #{kind}", %{server: server} do
      DnsServer.command(server, "fault #{unquote(fault)}")
      assert kind(server) == unquote(kind)
    end
  end

  test "a closed port is told long before the deadline" do
    {:ok, socket} = :gen_udp.open(0, ip: {127, 0, 0, 1})
    {:ok, port} = :inet.port(socket)
    :gen_udp.close(socket)

    assert {:error, %{kind: :network, message: message}} =
             Caravan.lookup("app.test",
               type: :a,
               nameservers: ["127.0.0.1:#{port}"],
               timeout: 60_000
             )

    assert message =~ "nothing listens there"
  end

  test "a dead first server does not cost the answer of a live second one", %{server: live} do
    dead = DnsServer.start()
    DnsServer.command(dead, "fault silence")

    for second <- [[dead.address, live.address], [live.address, dead.address]] do
      assert {:ok, %{server: server}} = Caravan.lookup("app.test", type: :a, nameservers: second, timeout: 2_000)

      assert server == live.address
    end
  end

  test "a dead first server costs time once, not for each host of a service", %{server: live} do
    dead = DnsServer.start()
    DnsServer.command(dead, "fault silence")
    DnsServer.command(live, "additional off")

    for n <- 1..400 do
      DnsServer.command(live, "add s.test 5 SRV 0 0 3434 h#{n}.test")
      DnsServer.command(live, "add h#{n}.test 5 A 127.0.0.2")
    end

    assert {:ok, %{endpoints: endpoints, unresolved: []}} =
             Caravan.lookup("s.test", nameservers: [dead.address, live.address], timeout: 2_000)

    assert length(endpoints) == 400
    # Once with EDNS, and once without.
    assert DnsServer.command(dead, "stats") == ["udp=2 tcp=0"]
  end

  test "a server that fails is passed over for one that does not", %{server: live} do
    sick = DnsServer.start()

    for fault <- ["servfail", "refused", "malformed garbage"] do
      DnsServer.command(sick, "fault #{fault}")

      assert {:ok, %{server: server}} = Caravan.lookup("app.test", type: :a, nameservers: [sick.address, live.address])

      assert server == live.address
    end
  end

  test "a cut answer comes whole over TCP, and an unmarked one when asked", %{server: server} do
    for n <- 3..22, do: DnsServer.command(server, "add app.test 5 A 127.0.0.#{n}")

    count = fn opts ->
      {:ok, found} = Caravan.lookup("app.test", [type: :a, nameservers: [server.address]] ++ opts)

      {length(found.endpoints), found.transport}
    end

    DnsServer.command(server, "fault truncate")
    assert count.([]) == {21, :tcp}
    DnsServer.command(server, "fault shorten 3")
    assert count.([]) == {3, :udp}
    assert count.(transport: :tcp) == {21, :tcp}
  end

  for fault <- ["formerr", "notimp"] do
    test "a server older than EDNS (#{fault}) is asked again without it", %{server: server} do
      for n <- 3..102, do: DnsServer.command(server, "add app.test 5 A 127.0.0.#{n}")
      DnsServer.command(server, "fault #{unquote(fault)}")
      opts = [type: :a, nameservers: [server.address]]

      # Its UDP answers end at 512 bytes, so that the rest comes over TCP.
      assert {:ok, %{endpoints: endpoints, transport: :tcp}} = Caravan.lookup("app.test", opts)
      assert length(endpoints) == 101
      # From then on it is asked without at once.
      assert {:ok, _} = Caravan.lookup("app.test", [transport: :tcp] ++ opts)
      assert ["udp=2 tcp=2"] = DnsServer.command(server, "stats")
    end
  end

  test "what sends the question back is no DNS server" do
    {:ok, socket} = :gen_udp.open(0, [:binary, ip: {127, 0, 0, 1}, active: false])
    {:ok, port} = :inet.port(socket)
    opts = [type: :a, nameservers: ["127.0.0.1:#{port}"], timeout: 500]
    asking = Task.async(fn -> Caravan.lookup("app.test", opts) end)

    for _attempt <- 1..2 do
      {:ok, {ip, from, question}} = :gen_udp.recv(socket, 0, 5_000)
      :ok = :gen_udp.send(socket, ip, from, question)
    end

    assert {:error, %{kind: :malformed}} = Task.await(asking)
  end

  test "an answer cut in the middle of a record comes whole over TCP", %{server: server} do
    opts = [type: :a, transport: :auto, timeout: 2_000]
    # Cuts over UDP; TCP goes through to the server.
    {front, port} = udp_and_tcp()

    cutting =
      Task.async(fn ->
        {:ok, {ip, from, question}} = :gen_udp.recv(front.udp, 0, 5_000)
        <<id::16, _flags::16, rest::binary>> = question
        cut = <<id::16, 0x8600::16, binary_part(rest, 0, byte_size(rest) - 11)::binary>>
        # One answer is announced, and half of its owner's name is there.
        <<head::binary-6, _answers::16, tail::binary>> = cut
        :ok = :gen_udp.send(front.udp, ip, from, <<head::binary, 1::16, tail::binary, 3, ?a>>)
        {:ok, connection} = :gen_tcp.accept(front.tcp, 5_000)
        relay(connection, server)
      end)

    assert {:ok, %{endpoints: [%{addresses: [{127, 0, 0, 2}]}], transport: :tcp}} =
             Caravan.lookup("app.test", [nameservers: ["127.0.0.1:#{port}"]] ++ opts)

    Task.await(cutting)
  end

  defp udp_and_tcp do
    {:ok, tcp} = :gen_tcp.listen(0, [:binary, packet: 2, active: false, ip: {127, 0, 0, 1}])
    {:ok, port} = :inet.port(tcp)
    {:ok, udp} = :gen_udp.open(port, [:binary, ip: {127, 0, 0, 1}, active: false])
    {%{udp: udp, tcp: tcp}, port}
  end

  # One question and its answer.
  defp relay(connection, server) do
    [host, port] = String.split(server.address, ":")
    options = [:binary, packet: 2, active: false]

    {:ok, upstream} = :gen_tcp.connect(to_charlist(host), String.to_integer(port), options, 5_000)

    {:ok, question} = :gen_tcp.recv(connection, 0, 5_000)
    :ok = :gen_tcp.send(upstream, question)
    {:ok, answer} = :gen_tcp.recv(upstream, 0, 5_000)
    :ok = :gen_tcp.send(connection, answer)
  end

  test "an answer whose targets can all be no hosts says so", %{server: server} do
    DnsServer.command(server, ~S(add app.test 5 SRV 0 0 3434 ba\032d.test))
    assert kind(server, type: :srv) == :invalid_name
    assert {:error, error} = Caravan.lookup("app.test", nameservers: [server.address])
    assert error.message =~ "none of the 1 SRV targets" and error.message =~ "ba\\\\032d.test"
  end

  test "hyphens and underscores may stand anywhere in a host's name", %{server: server} do
    hosts = ["2001-db8-3333-4444-5555-6666--.pods.shop.test", "-a.test", "a-.test", "_-.test"]

    for host <- hosts do
      DnsServer.command(server, "add s.test 5 SRV 0 0 3434 #{host}")
      DnsServer.command(server, "add #{host} 5 A 127.0.0.3")
    end

    assert {:ok, %{refused: []} = found} = Caravan.lookup("s.test", nameservers: [server.address])

    assert Enum.sort(for %{host: host} <- found.endpoints, do: host) == Enum.sort(hosts)
    assert {:ok, _} = Caravan.lookup(hd(hosts), type: :a, nameservers: [server.address])
  end

  test "a port of 0 is none", %{server: server} do
    DnsServer.command(server, "add s.test 5 SRV 0 0 0 n.test")
    DnsServer.command(server, "add n.test 5 A 127.0.0.3")

    assert {:ok, %{refused: [], endpoints: [endpoint]}} = Caravan.lookup("s.test", nameservers: [server.address])

    assert %{host: "n.test", port: nil, addresses: [{127, 0, 0, 3}]} = endpoint
  end

  test "targets that can't be hosts are refused, targets that don't resolve are told", %{
    server: server
  } do
    DnsServer.command(server, "add s.test 5 SRV 0 0 3434 ok.test")
    DnsServer.command(server, "add ok.test 5 A 127.0.0.3")
    DnsServer.command(server, "add s.test 5 SRV 0 0 3434 gone.test")
    DnsServer.command(server, ~S(add s.test 5 SRV 0 0 3434 ba\032d.test))
    DnsServer.command(server, "additional off")

    assert {:ok, found} = Caravan.lookup("s.test", type: :srv, nameservers: [server.address])
    assert ["gone.test"] = found.unresolved
    assert [%{reason: :invalid_name, count: 1}] = found.refused
    assert [%{host: "gone.test", addresses: []}, %{addresses: [{127, 0, 0, 3}]}] = found.endpoints
  end

  test "the additional section spares look-ups only where it has the family needed", %{
    server: server
  } do
    DnsServer.publish(server, "s.test", [3434, 3435], "n.test")
    DnsServer.command(server, "add n.test 5 AAAA ::1")
    asked = fn -> DnsServer.command(server, "stats") end

    for {additional, asked_in_all} <- [{"on", 1}, {"a", 2}, {"aaaa", 5}, {"off", 8}] do
      DnsServer.command(server, "additional #{additional}")
      assert {:ok, found} = Caravan.lookup("s.test", nameservers: [server.address])
      v6 = if additional == "a", do: [], else: [{0, 0, 0, 0, 0, 0, 0, 1}]
      assert Enum.map(found.endpoints, & &1.addresses) |> Enum.uniq() == [[{127, 0, 0, 1} | v6]]
      assert asked.() == ["udp=#{asked_in_all} tcp=0"]
    end
  end

  test "what is missing of an answer is told, and what came is kept" do
    # A silent server for AAAA, and one for A that answers.
    half =
      PacketServer.start(fn _, question ->
        {section, _} = PacketServer.split(question)

        if :binary.part(section, byte_size(section) - 4, 2) == <<1::16>>,
          do: [PacketServer.answer(question)],
          else: []
      end)

    assert {:error, %{kind: :timeout, message: why, details: details}} =
             Caravan.lookup("app.test", type: :ip, nameservers: [half], timeout: 300)

    assert why =~ ~s{looked up "app.test AAAA" at #{half} (} and why =~ "no answer in time"
    assert why =~ "with or without EDNS"
    assert [%{addresses: [{127, 0, 0, 9}]}] = details.partial.endpoints
    assert {:ok, _} = Caravan.lookup("app.test", type: :a, nameservers: [half])
  end

  test "a host that could not be looked up makes an answer incomplete", %{server: server} do
    DnsServer.publish(server, "s.test", [3434], "n.test")
    DnsServer.command(server, "additional off")
    options = [nameservers: [server.address], timeout: 300]
    assert {:ok, %{unresolved: []}} = Caravan.lookup("s.test", options)

    DnsServer.command(server, "fault silence for n.test")

    assert {:error, %{message: why, details: %{partial: %{unresolved: ["n.test"]} = part}}} =
             Caravan.lookup("s.test", options)

    assert why =~ ~s("n.test A") and why =~ "no answer in time"
    assert [%{host: "n.test", port: 3434, addresses: []}] = part.endpoints
  end

  test "endless aliases are malformed", %{server: server} do
    DnsServer.command(server, "remove app.test")
    DnsServer.command(server, "add app.test 5 CNAME b.test")
    DnsServer.command(server, "add b.test 5 CNAME app.test")
    assert kind(server) == :malformed
  end

  test "the caller's death ends the work, and the bound is told as overload", %{server: server} do
    DnsServer.command(server, "fault silence")

    spec = %{
      query: "app.test",
      type: :a,
      nameservers: [server.address],
      transport: :auto,
      timeout: 60_000
    }

    flood = fn ->
      Stream.repeatedly(fn -> Caravan.Native.lookup(make_ref(), spec) end)
      |> Enum.find_index(&match?({:error, {:overloaded, _}}, &1))
    end

    {pid, monitor} =
      spawn_monitor(fn ->
        exit({:accepted, flood.()})
      end)

    assert_receive {:DOWN, ^monitor, :process, ^pid, {:accepted, accepted}}, 10_000
    assert accepted > 1_000
    # Its places are free again.
    assert eventually(fn -> match?({:ok, _}, freed(server)) end)
  end

  defp freed(server) do
    DnsServer.command(server, "fault none")
    Caravan.lookup("app.test", type: :a, nameservers: [server.address])
  end

  defp eventually(fun, tries \\ 200) do
    fun.() || (tries > 0 && receive_nothing() && eventually(fun, tries - 1))
  end

  defp receive_nothing do
    receive do
    after
      20 -> true
    end
  end
end
