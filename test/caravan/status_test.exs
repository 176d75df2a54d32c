defmodule Caravan.StatusTest do
  use ExUnit.Case, async: true
  alias Caravan.{Status, Statuses}

  @query Statuses.query(query: "app.test", ttl: 5, server: "127.0.0.1:5353")
  @peer Statuses.peer(:a@h, state_age: 12_000)

  test "tells picks and spares where there are spares" do
    status = %Status{name: :app, members: 200, picks: 4, spares: 196, links: 1, peers: [@peer]}

    assert inspect(status) == """
           #Caravan.Status<:app: 200 members (4 picks, 196 spares), 1 connected
             a@h  connected for 12.0 s>\
           """
  end

  test "tells of broadcasts where there are any" do
    none = %{sent: 0, received: 0, duplicates: 0, requested: 0, lost: 0, subscribers: 0, eager: 3, lazy: 1}
    status = %Status{name: :app, broadcasts: none}
    assert inspect(status) == "#Caravan.Status<:app: 0 members, 0 connected>"

    assert inspect(put_in(status.broadcasts, %{none | sent: 12, received: 340, duplicates: 1, subscribers: 2})) == """
           #Caravan.Status<:app: 0 members, 0 connected
             broadcasts: 12 sent, 340 received, 1 duplicate, 0 requested, 0 lost; 2 subscribers; 3 eager links, 1 lazy>\
           """
  end

  test "reads as a block of lines" do
    error = %Caravan.Error{kind: :timeout, query: "b.test", message: "no answer in time"}

    status = %Status{
      name: :app,
      queries: [
        %{@query | unresolved: ["n1.test", "n2.test"], incomplete: "no answer"},
        %{@query | query: "b.test", outcome: {:error, error}, age: 0},
        %{@query | query: "c.test", outcome: nil}
      ],
      members: 2,
      peers: [
        @peer,
        %{
          @peer
          | node: :b@h,
            state: :backing_off,
            attempts: 3,
            error: "refused",
            next_dial: 2_345
        }
      ],
      refused: [%{reason: :max_members, count: 12, example: "x"}],
      draining: true
    }

    assert inspect(status) == """
           #Caravan.Status<:app: 2 members, 1 connected, draining
             app.test: 3 endpoints from 127.0.0.1:5353 (udp) 1.2 s ago, TTL 5 s; no address for n1.test and 1 more; incomplete: no answer
             b.test: failed 0.0 s ago: no answer in time
             c.test: not looked up yet
             a@h  connected for 12.0 s
             b@h  backing off for 12.0 s, 3 failed, next dial in 2.3 s: refused
             refused 12 (max_members), such as "x">\
           """
  end

  test "keeps its indentation inside other terms" do
    status = %Status{name: :app, peers: [@peer]}

    assert inspect(%{app: status}) =~
             "app: #Caravan.Status<:app: 0 members, 1 connected\n    a@h  conn"
  end

  test "one is one" do
    status = %Status{name: :app, members: 1, queries: [%{@query | endpoints: 1}]}
    assert inspect(status) =~ ":app: 1 member, 0 connected\n  app.test: 1 endpoint from "
  end

  test "is capped, unless all is asked for" do
    status = %Status{name: :app, peers: List.duplicate(@peer, 100)}
    assert inspect(status) =~ "\n  … and 80 more peers>"
    assert length(String.split(inspect(status), "\n")) == 22
    assert length(String.split(inspect(status, limit: :infinity), "\n")) == 101
  end

  test "of another release is known by the fields that it has" do
    assert Status.known(:app, %{peers: [%{node: :a@h, state: :connected}], queries: [%{query: "q"}], novel: 1}) ==
             %Status{
               name: :app,
               peers: [Statuses.peer(:a@h, state_age: nil)],
               queries: [
                 Statuses.query(query: "q", outcome: nil, age: nil, ttl: nil, server: nil, transport: nil, endpoints: 0)
               ]
             }
  end
end
