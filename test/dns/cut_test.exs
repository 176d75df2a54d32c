defmodule Caravan.CutTest do
  use ExUnit.Case, async: false

  alias Caravan.{DnsServer, Error, PacketServer}

  # Answers that were cut to fit UDP, where the rest of them can't be had: many networks let only UDP through
  # to port 53. DNS only adds, so what came counts.

  @moduletag :dns

  @timeout 1_000

  defp server(fault, opts \\ []) do
    server = DnsServer.start(opts)

    for n <- 2..11 do
      DnsServer.command(server, "add app.test 5 A 127.0.0.#{n}")
      DnsServer.command(server, "add s.test 5 SRV 0 0 3434 n#{n}.test")
      DnsServer.command(server, "add n#{n}.test 5 A 127.0.0.#{n}")
    end

    for name <- ["app.test", "s.test"],
        do: DnsServer.command(server, "fault #{fault} for #{name}")

    server
  end

  defp lookup(query, servers, options) do
    options = [nameservers: List.wrap(servers), timeout: @timeout] ++ options
    {micros, result} = :timer.tc(fn -> Caravan.lookup(query, options) end)
    {div(micros, 1_000), result}
  end

  for {how, fault, opts, why} <- [
        {"refused", "truncate", [flags: ["--no-tcp"]], "nothing listens there"},
        {"closed", "truncate-no-tcp", [], "closed the connection"},
        {"silent", "truncate-silent-tcp", [], "no answer in time"}
      ] do
    test "where TCP is #{how} the whole records of the answer are a part of it" do
      server = server(unquote(fault), unquote(opts))

      for {query, type} <- [{"app.test", :a}, {"s.test", :srv}] do
        {took, {:error, %Error{kind: :truncated} = error}} = lookup(query, server.address, type: type)

        assert took < @timeout
        assert error.message =~ "was truncated" and error.message =~ unquote(why)
        assert error.message =~ "allow TCP to" and error.message =~ server.address
        part = error.details.partial
        assert length(part.endpoints) == 5 and part.transport == :udp
        # There was time left to find them.
        assert Enum.all?(part.endpoints, &match?([_], &1.addresses)) and part.unresolved == []
      end
    end
  end

  test "a second server that has it whole is asked" do
    cut = server("truncate-no-tcp")
    whole = server("none")

    for servers <- [[cut, whole], [whole, cut]] do
      {_, result} = lookup("app.test", Enum.map(servers, & &1.address), type: :a)
      assert {:ok, %{endpoints: endpoints, server: from}} = result
      assert length(endpoints) == 10 and from == whole.address
    end
  end

  test "no other server's failure hides the part that came" do
    cut = server("truncate-no-tcp")

    for fault <- ["servfail", "nxdomain", "silence"] do
      other = server(fault)

      for servers <- [[cut, other], [other, cut]] do
        {took, result} = lookup("app.test", Enum.map(servers, & &1.address), type: :a)

        case result do
          {:error, %{kind: :truncated, details: %{partial: part}}} ->
            assert length(part.endpoints) == 5 and took < @timeout

          # It was the first to answer.
          {:error, %{kind: :nxdomain}} ->
            assert {fault, hd(servers)} == {"nxdomain", other}
        end
      end
    end
  end

  defp cut(question, records, answers) do
    <<id::binary-size(2), _::binary>> = question
    {section, _} = PacketServer.split(question)
    id <> <<0x8680::16, 1::16, answers::16, 0::32>> <> section <> records
  end

  defp records(count) do
    for n <- 1..count//1, into: "", do: PacketServer.a_record({127, 0, 0, n})
  end

  defp packets(udp, tcp) do
    PacketServer.start(fn
      {:udp, _}, question -> [udp.(question)]
      {:tcp, _}, question -> List.wrap(tcp.(question))
    end)
  end

  defp servfail(<<id::binary-size(2), _::binary>> = question) do
    {section, _} = PacketServer.split(question)
    id <> <<0x8182::16, 1::16, 0::48>> <> section
  end

  test "a record that the cut went through is dropped" do
    whole = records(3)

    for left <- 1..(byte_size(whole) - 1) do
      server = packets(&cut(&1, binary_part(whole, 0, left), 9), &servfail/1)
      {_, {:error, error}} = lookup("app.test", server, type: :a)
      assert error.kind == :truncated and error.message =~ "over TCP the server answered SERVFAIL"
      part = Map.get(error.details, :partial, %{endpoints: []})
      assert length(part.endpoints) == div(left, 16)
    end
  end

  test "a cut answer without a whole record is an error alone, another's answer no part of it" do
    other = fn question ->
      <<head::binary-size(13), _, rest::binary>> = cut(question, records(2), 2)
      head <> "z" <> rest
    end

    for udp <- [&cut(&1, "", 0), &cut(&1, "", 9), &cut(&1, <<0xC0>>, 1), other] do
      {_, {:error, error}} = lookup("app.test", packets(udp, &servfail/1), type: :a)
      assert error.kind == :truncated
      refute Map.has_key?(error.details, :partial)
    end
  end

  test "a name whose alias is all that came is looked up by that" do
    alias_record = <<0xC00C::16, 5::16, 1::16, 5::32, 8::16, 1, ?b, 4, "test", 0>>

    server =
      packets(
        fn question ->
          if question =~ <<3, "app">>,
            do: cut(question, alias_record, 9),
            else: PacketServer.answer(question)
        end,
        &servfail/1
      )

    assert {_, {:ok, %{endpoints: [%{addresses: [{127, 0, 0, 9}]}]}}} = lookup("app.test", server, type: :a)
  end

  test "more over TCP than one message holds is a part of it, too" do
    server = packets(&cut(&1, records(2), 9), &cut(&1, records(200), 65_000))
    {_, {:error, error}} = lookup("app.test", server, type: :a)
    assert error.message =~ "64 KiB" and not (error.message =~ "let TCP")
    assert %{endpoints: endpoints, transport: :tcp} = error.details.partial
    assert length(endpoints) == 200
  end

  test "a cut answer without EDNS, where nothing else is answered, counts as well" do
    server = server("drop-edns", flags: ["--no-tcp"])
    for n <- 12..60, do: DnsServer.command(server, "add app.test 5 A 127.0.0.#{n}")

    for _ <- 1..2 do
      assert {took, {:error, %{kind: :truncated, details: %{partial: part}}}} =
               lookup("app.test", server.address, type: :a)

      assert took < @timeout and length(part.endpoints) in 20..40
    end
  end

  test "the report shows what came, and what is missing" do
    server = server("truncate-no-tcp")

    assert {:error, text} = Caravan.lookup_table("app.test", type: :a, nameservers: [server.address])

    assert text =~ "5 endpoints for app.test" and text =~ "127.0.0.4"
    assert text =~ ~r/\nincomplete: looked up "app.test A" .* was truncated/
  end
end
