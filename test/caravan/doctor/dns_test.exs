defmodule Caravan.Doctor.DnsTest do
  use ExUnit.Case, async: true
  alias Caravan.{Endpoint, Error, Lookup}
  alias Caravan.Doctor.{Dns, Lookups}

  @own "app-3434@host1.test"
  @report %{
    endpoints: 2,
    server: "127.0.0.1:53",
    transport: :udp,
    ttl: 60,
    added: ["app-3434@host2.test"],
    itself: [@own],
    refused: [],
    unresolved: [],
    incomplete: nil
  }

  defp lookup(outcome, more \\ []) do
    lookup = %Lookups{
      about: {:topology, :app, "app.test"},
      query: "app.test",
      config: %{template: nil, source: :srv},
      own: @own,
      sought?: true,
      outcome: outcome
    }

    struct!(lookup, more)
  end

  defp wrong(lookups), do: for(it <- Dns.findings(lookups), it.verdict != :ok, do: {it.layer, it.verdict, it.kind})
  defp report(changes), do: lookup({:ok, Map.merge(@report, Map.new(changes))})

  test "an answer, its server, its age and its names" do
    assert [it] = Dns.findings([%{report([]) | age: 1_234}])
    assert it.about == {:topology, :app, "app.test"}

    assert it.message ==
             "2 endpoints from 127.0.0.1:53 (udp), TTL 60 s; the topology's last answer is 1.2 s old: " <>
               "app-3434@host2.test, app-3434@host1.test"

    assert [%{message: message}] = Dns.findings([report(added: for(n <- 10..99, do: "app-1@h#{n}"))])
    assert message =~ "app-1@h21 and 79 more"
  end

  test "this node has to be in one answer of a topology" do
    assert wrong([report(itself: [])]) == [{:dns, :warning, :not_listed}]
    assert wrong([report(itself: []), report([])]) == []
    assert wrong([%{report(itself: []) | sought?: false}]) == []
    # Who knows what the answer that failed would have held?
    assert wrong([report(itself: []), lookup({:error, Error.new({:timeout, "no answer"})})]) == [
             {:dns, :fault, :timeout}
           ]

    assert wrong([report(itself: [], added: ["app-3435@host1.test"])]) == [{:dns, :warning, :other_name_here}]
    assert wrong([report(itself: ["app-3434@alias.test"])]) == [{:dns, :fault, :called_otherwise}]
    by_host = %{report(itself: ["app-3434@10.0.0.1"]) | note: {:by_host, nil}}
    assert wrong([by_host]) == [{:name, :fault, :by_host}]
  end

  test "names that are refused, and why that is a fault or not" do
    for {reason, verdict} <- [
          no_port: :fault,
          short_name: :fault,
          long_name: :fault,
          other_family: :fault,
          invalid_name: :fault,
          not_allowed: :warning,
          max_members: :warning
        ] do
      refused = [%{reason: reason, count: 2, example: "h"}]
      assert wrong([report(refused: refused)]) == [{:dns, verdict, reason}]
      assert [_, it] = Dns.findings([report(refused: refused)])
      assert it.message =~ ~s(2 of the names in the answer for app.test are refused, such as "h": )
    end
  end

  test "one name that is refused is no example" do
    assert [_, it] = Dns.findings([report(refused: [%{reason: :no_port, count: 1, example: "h"}])])
    assert it.message =~ ~s(1 of the names in the answer for app.test is refused, "h": their SRV)
  end

  test "what is missing" do
    assert wrong([report(incomplete: "the end")]) == [{:dns, :warning, :incomplete}]
    assert [_, it] = Dns.findings([report(unresolved: ["h1.test", "h2.test"])])

    assert {it.kind, it.message} ==
             {:no_target_address,
              "h1.test and 1 more, the target of an SRV record, has no address, so nobody can dial nodes there"}
  end

  test "without a name of this node's there are endpoints" do
    endpoints = [
      %Endpoint{host: "h1.test", port: 3434, addresses: [{10, 0, 0, 1}]},
      %Endpoint{host: "h2.test", port: nil, addresses: []}
    ]

    found = %Lookup{endpoints: endpoints, server: "127.0.0.1:53", transport: :tcp, ttl: 1, unresolved: ["h2.test"]}
    nobody = &lookup(&1, own: nil, sought?: false)
    assert wrong([nobody.({:ok, found})]) == [{:dns, :fault, :no_target_address}, {:dns, :fault, :no_port}]
    assert [%{message: message} | _] = Dns.findings([nobody.({:ok, found})])
    assert message == "2 endpoints from 127.0.0.1:53 (tcp), TTL 1 s: h1.test:3434, h2.test"

    error = Error.new({:truncated, "the answer was truncated", %{partial: found}}, "app.test")
    assert [{:dns, :warning, :incomplete}, {:dns, :fault, :no_target_address}] = wrong([nobody.({:error, error})])
  end

  test "options that don't fit this node's name" do
    assert wrong([%{report([]) | note: {:other_name, "web-3434@host1.test"}}]) == [{:name, :fault, :other_name}]
    # Told of the name itself.
    assert wrong([%{report([]) | note: {:capitals, "Host1.test"}}]) == []
  end
end
