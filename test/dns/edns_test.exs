defmodule Caravan.EdnsTest do
  use ExUnit.Case, async: false

  alias Caravan.{DnsServer, PacketServer}

  # Servers, and firewalls before them, that drop questions with EDNS. `inet_res` gets an answer from them
  # in less than a millisecond, and so has Caravan to.

  @moduletag :dns

  setup do
    server = DnsServer.start()
    DnsServer.command(server, "add app.test 5 A 127.0.0.2")
    {:ok, server: server}
  end

  # In ms. Of these 2 s a lone server may keep silent for a third of a second before it is asked without EDNS.
  defp timed(servers, options \\ []) do
    options = Keyword.merge([type: :a, nameservers: List.wrap(servers), timeout: 2_000], options)
    {micros, result} = :timer.tc(fn -> Caravan.lookup("app.test", options) end)
    {div(micros, 1_000), result}
  end

  # As a firewall does it: without a word, over UDP only.
  defp firewall(drop?) do
    PacketServer.start(fn _, question ->
      if drop?.(edns?(question)), do: [], else: [PacketServer.answer(question)]
    end)
  end

  defp edns?(<<_::binary-size(10), additionals::16, _::binary>>), do: additionals > 0

  for transport <- [:auto, :tcp] do
    test "is asked without at first after a while, then at once (#{transport})", %{server: server} do
      DnsServer.command(server, "fault drop-edns")
      options = [transport: unquote(transport)]
      {first, result} = timed(server.address, options)
      assert {:ok, %{endpoints: [_]}} = result
      assert first < 1_000

      for _ <- 1..5 do
        {again, {:ok, _}} = timed(server.address, options)
        assert again < 300
      end

      # Two, then one for each, and with the first of them one that sees whether a packet had only been lost.
      [stats] = DnsServer.command(server, "stats")
      assert stats in ["udp=8 tcp=0", "udp=0 tcp=8"]
    end
  end

  test "an answer too big without EDNS comes whole over TCP", %{server: server} do
    for n <- 3..60, do: DnsServer.command(server, "add app.test 5 A 127.0.0.#{n}")
    DnsServer.command(server, "fault drop-edns")

    for _ <- 1..2 do
      assert {_, {:ok, %{endpoints: endpoints, transport: :tcp}}} = timed(server.address)
      assert length(endpoints) == 59
    end
  end

  test "who answers with EDNS again, and with nothing else, is found again" do
    mode = :atomics.new(1, [])
    server = firewall(&(&1 == (:atomics.get(mode, 1) == 0)))

    for edns <- [0, 1, 0] do
      :atomics.put(mode, 1, edns)
      assert {first, {:ok, _}} = timed(server)
      assert first < 1_000
      assert {second, {:ok, _}} = timed(server)
      assert second < 300
    end
  end

  test "a dropping first server costs no more than a silent one, a dropping second one neither",
       %{
         server: server
       } do
    DnsServer.command(server, "fault drop-edns")
    silent = DnsServer.start()
    DnsServer.command(silent, "fault silence")

    for servers <- [[server.address, silent.address], [silent.address, server.address]] do
      assert {took, {:ok, %{server: answered}}} = timed(servers)
      assert answered == server.address and took < 1_200
    end
  end

  test "silence says that both were tried", %{server: server} do
    DnsServer.command(server, "fault silence")
    assert {_, {:error, error}} = timed(server.address, timeout: 600)
    assert error.kind == :timeout
    assert error.message =~ "with or without EDNS"
    assert %{question: "app.test A", servers: [asked], elapsed_ms: elapsed} = error.details
    assert asked == server.address and elapsed in 590..2_000
  end

  test "a slow server that answers both is not taken for one that drops", %{server: server} do
    DnsServer.command(server, "fault delay 450")
    assert {_, {:ok, _}} = timed(server.address)
    DnsServer.command(server, "fault formerr")
    # With EDNS, which it takes for an error, and then without.
    [before] = DnsServer.command(server, "stats")
    assert before == "udp=2 tcp=0"
    assert {_, {:ok, _}} = timed(server.address)
    assert DnsServer.command(server, "stats") == ["udp=4 tcp=0"]
  end
end
