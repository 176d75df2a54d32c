defmodule Caravan.HostileTest do
  use ExUnit.Case, async: false

  import Bitwise
  alias Caravan.{DnsServer, PacketServer}

  # Answers that no honest server gives. What a look-up makes of them is one precise outcome, in time.

  @moduletag :dns

  @kinds ~w(nxdomain nodata servfail refused timeout truncated network malformed invalid_name)a

  # The deadline, and what a busy machine may add.
  @timeout 1_000
  @late 1_000

  defp lookup(address, options \\ []) do
    options = Keyword.merge([type: :a, nameservers: [address], timeout: @timeout], options)
    {micros, result} = :timer.tc(fn -> Caravan.lookup("app.test", options) end)
    assert div(micros, 1_000) < options[:timeout] + @late
    refute_received _

    with {:error, error} <- result do
      assert String.printable?(error.message) and byte_size(error.message) < 1_000
      {:error, error.kind}
    end
  end

  defp addresses({:ok, found}), do: Enum.flat_map(found.endpoints, & &1.addresses)

  defp other_id(<<id::16, rest::binary>>), do: <<bxor(id, 1)::16, rest::binary>>
  defp other_name(<<head::binary-size(13), _, rest::binary>>), do: head <> "z" <> rest

  describe "what is no answer to the question" do
    test "is ignored over UDP, and the true answer counts" do
      server =
        PacketServer.start(fn _, question ->
          answer = PacketServer.answer(question)

          [other_id(answer), other_name(answer), "", <<0>>, other_id(question)] ++
            [other_id("not even DNS"), binary_part(answer, 2, 20), answer]
        end)

      assert addresses(lookup(server)) == [{127, 0, 0, 9}]
    end

    test "keeps nobody waiting over TCP, where only the server can have sent it" do
      for spoil <- [&other_id/1, &other_name/1] do
        # For ever, as far as the server is concerned.
        server =
          PacketServer.start(fn _, question ->
            Stream.repeatedly(fn -> spoil.(PacketServer.answer(question)) end)
          end)

        assert lookup(server, transport: :tcp, timeout: 60_000) == {:error, :malformed}
      end
    end

    test "does not hold up other look-ups, however much of it there is" do
      flood =
        PacketServer.start(fn _, question ->
          List.duplicate(other_name(PacketServer.answer(question)), 20_000)
        end)

      good = PacketServer.start(fn _, question -> [PacketServer.answer(question)] end)
      flooded = Task.async(fn -> lookup(flood) end)
      assert addresses(lookup(good)) == [{127, 0, 0, 9}]
      assert Task.await(flooded) == {:error, :timeout}
    end

    test "is what comes from elsewhere" do
      {:ok, elsewhere} = :gen_udp.open(0, ip: {127, 0, 0, 1})

      server =
        PacketServer.start(fn {:udp, client}, question ->
          :gen_udp.send(elsewhere, {127, 0, 0, 1}, client, PacketServer.answer(question))
          []
        end)

      assert lookup(server) == {:error, :timeout}
    end
  end

  test "the question sent back is malformed" do
    server = PacketServer.start(fn _, question -> [question] end)
    assert lookup(server) == {:error, :malformed}
    assert lookup(server, transport: :tcp) == {:error, :malformed}
  end

  test "a server that could not read the question says so without repeating it" do
    server = PacketServer.start(fn _, <<id::16, _::binary>> -> [<<id::16, 0x8001::16, 0::64>>] end)

    assert lookup(server) == {:error, :servfail}
  end

  test "a name of more than 255 bytes is malformed" do
    label = <<63>> <> String.duplicate("a", 63)

    server =
      PacketServer.start(fn _, <<id::16, _::binary>> = question ->
        {section, _} = PacketServer.split(question)
        target = String.duplicate(label, 4) <> <<0>>
        alias_record = <<0xC00C::16, 5::16, 1::16, 5::32, byte_size(target)::16>> <> target
        [<<id::16, 0x8480::16, 1::16, 1::16, 0::32>> <> section <> alias_record]
      end)

    assert lookup(server) == {:error, :malformed}
  end

  describe "with the scripted server" do
    setup do
      {:ok, server: DnsServer.start()}
    end

    test "slow TCP is kept within the deadline", %{server: server} do
      DnsServer.command(server, "add app.test 5 A 127.0.0.2")
      DnsServer.command(server, "fault slow-tcp 200")
      assert lookup(server.address, transport: :tcp) == {:error, :timeout}
    end

    test "each malformed packet has its outcome over TCP, too", %{server: server} do
      DnsServer.command(server, "add app.test 5 A 127.0.0.2")

      for kind <- ~w(loop counts rdata label garbage id question) do
        DnsServer.command(server, "fault malformed #{kind}")
        assert lookup(server.address, transport: :tcp, timeout: 60_000) == {:error, :malformed}
      end
    end

    test "aliases are followed, but not for ever", %{server: server} do
      chain = fn name, length ->
        names = [name | for(n <- 1..length, do: "#{name}-#{n}.test")]

        for [from, to] <- Enum.chunk_every(names, 2, 1, :discard),
            do: DnsServer.command(server, "add #{from} 5 CNAME #{to}")

        DnsServer.command(server, "add #{List.last(names)} 5 A 127.0.0.2")
      end

      # An answer holds 16 of them, and 16 answers in a row are asked for.
      chain.("app.test", 100)
      assert addresses(lookup(server.address)) == [{127, 0, 0, 2}]
      assert DnsServer.command(server, "stats") == ["udp=7 tcp=0"]
      DnsServer.command(server, "clear")
      chain.("app.test", 400)
      assert lookup(server.address) == {:error, :malformed}
      assert DnsServer.command(server, "stats") == ["udp=23 tcp=0"]

      DnsServer.command(server, "clear")
      DnsServer.command(server, "add app.test 5 CNAME b.test")
      DnsServer.command(server, "add b.test 5 CNAME app.test")
      assert lookup(server.address) == {:error, :malformed}
    end

    test "names that can be no host are refused and counted, the others arrive", %{server: server} do
      hostile = [
        ~S(a\000b),
        ~S(a\010b),
        ~S(\027[31m),
        ~S(a\032b),
        ~S(a\"b),
        ~S(a'b),
        ~S(a\@b),
        ~S(a\.b\\),
        ~S(\255),
        String.duplicate(~S(\009), 60)
      ]

      for label <- ["ok" | hostile],
          do: DnsServer.command(server, "add app.test 5 SRV 0 0 4001 #{label}.test")

      DnsServer.command(server, "add ok.test 5 A 127.0.0.3")
      assert {:ok, found} = lookup(server.address, type: :srv)
      assert [%{host: "ok.test", addresses: [{127, 0, 0, 3}]}] = found.endpoints
      assert [%{reason: :invalid_name, count: count, example: example}] = found.refused
      assert count == length(hostile)
      assert String.printable?(example) and byte_size(example) <= 255

      DnsServer.command(server, "remove app.test SRV 0 0 4001 ok.test")
      assert lookup(server.address, type: :srv) == {:error, :invalid_name}
    end

    test "targets that don't answer cost no more than the deadline", %{server: server} do
      for n <- 1..500, do: DnsServer.command(server, "add app.test 5 SRV 0 0 4001 n#{n}.test")
      DnsServer.command(server, "add n1.test 5 A 127.0.0.3")
      # The faults of names go before the one for all.
      DnsServer.command(server, "fault delay 0 for app.test")
      DnsServer.command(server, "fault silence")
      options = [nameservers: [server.address], timeout: @timeout, transport: :tcp]
      {micros, result} = :timer.tc(fn -> Caravan.lookup("app.test", options) end)
      assert {:error, %{kind: :timeout, details: %{partial: found}}} = result
      assert div(micros, 1_000) < @timeout + @late

      assert [%{addresses: [{127, 0, 0, 3}]}] = Enum.filter(found.endpoints, &(&1.addresses != []))

      assert length(found.unresolved) == 499
    end
  end

  test "an alias of an alias, made up as they are asked for, ends" do
    asked = :counters.new(1, [])

    server =
      PacketServer.start(fn _, <<id::16, _::binary>> = question ->
        :counters.add(asked, 1, 1)
        {section, _} = PacketServer.split(question)
        label = "x#{:counters.get(asked, 1)}"
        target = <<byte_size(label)>> <> label <> <<4>> <> "test" <> <<0>>
        alias_record = <<0xC00C::16, 5::16, 1::16, 5::32, byte_size(target)::16>> <> target
        [<<id::16, 0x8480::16, 1::16, 1::16, 0::32>> <> section <> alias_record]
      end)

    assert lookup(server, timeout: 10_000) == {:error, :malformed}
    assert :counters.get(asked, 1) <= 20
  end

  @tag timeout: 120_000
  test "random damage gives each look-up one outcome, and the VM stands" do
    server = PacketServer.start(fn _, question -> [damaged(PacketServer.answer(question))] end)

    outcomes =
      1..2_000
      |> Task.async_stream(
        fn n ->
          transport = if rem(n, 8) == 0, do: :tcp, else: :auto

          lookup(server,
            timeout: 300,
            transport: transport,
            type: Enum.at([:a, :srv, :ip], rem(n, 3))
          )
        end,
        max_concurrency: 64,
        ordered: false,
        timeout: 60_000
      )
      |> Enum.frequencies_by(fn
        {:ok, {:ok, _}} -> :ok
        {:ok, {:error, kind}} -> kind
      end)

    assert Map.keys(outcomes) -- [:ok | @kinds] == []
    # Neither the damage nor the answers were all alike.
    assert map_size(outcomes) >= 4, inspect(outcomes)
    good = PacketServer.start(fn _, question -> [PacketServer.answer(question)] end)
    assert addresses(lookup(good)) == [{127, 0, 0, 9}]
  end

  defp damaged(answer) do
    Enum.reduce(1..:rand.uniform(6), answer, fn _, bytes ->
      damaged(
        bytes,
        :rand.uniform(byte_size(bytes) + 1) - 1,
        :rand.uniform(256) - 1,
        :rand.uniform(8)
      )
    end)
  end

  defp damaged(bytes, at, byte, how) do
    {head, rest} = :erlang.split_binary(bytes, at)

    case {how, rest} do
      {1, _} -> head
      {2, _} -> head <> <<byte>> <> rest
      {3, _} -> bytes <> head
      {_, <<_, rest::binary>>} -> head <> <<byte>> <> rest
      {_, ""} -> bytes
    end
  end
end
