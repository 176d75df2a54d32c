defmodule Mix.Tasks.Caravan.LookupTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureIO
  alias Caravan.DnsServer
  alias Mix.Tasks.Caravan.Lookup

  defp run(args) do
    parent = self()

    errors =
      capture_io(:stderr, fn ->
        output = capture_io(fn -> send(parent, {:status, status(args)}) end)
        send(parent, {:output, output})
      end)

    assert_received {:status, status}
    assert_received {:output, output}
    {status, output, errors}
  end

  defp status(args) do
    Lookup.run(args)
    0
  catch
    :exit, {:shutdown, status} -> status
  end

  test "prints what it finds" do
    server = DnsServer.start()
    DnsServer.publish(server, "app.test", [4001, 4002], "127.0.0.1")
    assert {0, output, ""} = run(["app.test", "--nameserver", server.address])
    assert output =~ "2 endpoints for app.test from #{server.address} (udp) in "
    assert output =~ ~r/^127.0.0.1 +4002 +0 +10 /m
  end

  test "a failure is a sentence on standard error and status 1" do
    server = DnsServer.start()
    assert {1, "", errors} = run(["none.test", "--nameserver", server.address])
    assert errors =~ "none.test"

    for {args, sentence} <- [
          {[], "expected one name to look up, got 0: mix caravan.lookup QUERY"},
          {["a", "b"], "expected one name to look up, got 2"},
          {["a", "--nope", "1"], "unknown or invalid option --nope"},
          {["a", "--timeout", "5s"], "unknown or invalid option --timeout 5s"},
          {["a", "--type", "mx"], "option :type of lookup of \"a\": expected one of :srv, :a,"},
          {["a", "--nameserver", "x"], "expected :system or a list of addresses"}
        ] do
      assert {1, "", errors} = run(args)
      assert errors =~ sentence
    end
  end

  @tag :dns
  test "as a command, against a real server: a table and 0, or a sentence and 1" do
    server =
      Caravan.Knot.start("caravan.test", """
      _app._tcp 30 SRV 0 10 3434 n1
      _app._tcp 30 SRV 1 0 3435 n2
      _app._tcp 30 SRV 2 0 3436 gone
      n1 A 127.0.0.2
      n1 AAAA ::1
      n2 A 127.0.0.3
      """)

    assert {0, output} = command(["_APP._tcp.caravan.test", "--nameserver", server, "--tcp"])
    [summary, "" | table] = String.split(output, "\n", trim: false)

    assert summary =~
             ~r/^3 endpoints for _APP._tcp.caravan.test from #{server} \(tcp\) in \d+\.\d ms, TTL 30 s$/

    assert table == [
             "HOST               PORT  PRIORITY  WEIGHT  ADDRESSES",
             "n1.caravan.test    3434  0         10      127.0.0.2 ::1",
             "n2.caravan.test    3435  1         0       127.0.0.3",
             "gone.caravan.test  3436  2         0       does not resolve",
             ""
           ]

    assert {0, output} = command(["n1.caravan.test", "--type", "a", "--nameserver", server])

    assert output =~ "1 endpoint for n1.caravan.test from #{server} (udp) in "
    assert output =~ ~r/^- +- +0 +0 +127\.0\.0\.2$/m

    assert {1, output} = command(["nope.caravan.test", "--nameserver", server])
    assert [sentence] = String.split(output, "\n", trim: true)

    assert sentence =~
             ~r/^looked up "nope.caravan.test SRV" at #{server} \(\d+ ms\): no such name/
  end

  defp command(args) do
    Caravan.Vm.command("mix", ["caravan.lookup" | args], env: [MIX_ENV: "test"], timeout: 60_000)
  end

  test "the switches" do
    args = ~w(q --type aaaa --nameserver 127.0.0.1:8600 --nameserver ::1 --tcp --timeout 500)
    assert {:ok, "q", options} = Lookup.parse(args)

    assert Enum.sort(options) ==
             [
               nameservers: ["127.0.0.1:8600", "::1"],
               timeout: 500,
               transport: :tcp,
               type: :aaaa
             ]

    assert Lookup.parse(["q"]) == {:ok, "q", []}
    assert Lookup.parse(["q", "--no-tcp"]) == {:ok, "q", []}
  end
end
