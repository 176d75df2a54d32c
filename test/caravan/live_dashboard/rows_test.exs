defmodule Caravan.LiveDashboard.RowsTest do
  use ExUnit.Case, async: true
  alias Caravan.{Error, Status, Statuses}
  alias Caravan.LiveDashboard.Rows

  @all %{sort_by: :topology, sort_dir: :asc, search: nil, limit: nil}
  @peer Statuses.peer(:a@h, state_age: 12_000)
  @query Statuses.query(query: "app.test", ttl: 5, server: "127.0.0.1:5353")
  @broadcasts %{sent: 12, received: 340, duplicates: 1, requested: 0, lost: 2, subscribers: 2, eager: 1, lazy: 0}

  defp peers(peers, wanted), do: Rows.peers(%{app: %Status{name: :app, peers: peers}}, Map.merge(@all, Map.new(wanted)))
  defp lookups(queries), do: elem(Rows.lookups(%{app: %Status{name: :app, queries: queries}}, @all), 0)
  defp nodes({rows, total}), do: {Enum.map(rows, & &1.node), total}

  test "a card for each topology, by name" do
    statuses = %{
      web: %Status{name: :web, members: 3, picks: 3, links: 2, broadcasts: @broadcasts},
      app: %Status{name: :app, members: 200, picks: 4, spares: 196, links: 5},
      old: %Status{name: :old, draining: true},
      stuck: %Status{name: :stuck, responding: false}
    }

    assert Rows.cards(statuses) == [
             {":app", [{"Members", "200, 4 of them picks"}, {"Connected", "5"}, {"Broadcasts", "unknown"}]},
             {":old is draining", [{"Members", "0"}, {"Connected", "0"}, {"Broadcasts", "unknown"}]},
             {":stuck is not responding",
              [{"Members", "unknown"}, {"Connected", "unknown"}, {"Broadcasts", "unknown"}]},
             {":web", [{"Members", "3"}, {"Connected", "2"}, {"Broadcasts", "12 sent, 340 received, 2 lost"}]}
           ]
  end

  test "a row for each peer" do
    failed = %{@peer | node: :b@h, state: :backing_off, attempts: 3, error: "refused", next_dial: 2_345}

    assert {[connected, backing_off, %{state: "connected, no pick"}], 3} =
             peers([@peer, failed, %{@peer | node: :c@h, pick: false}], [])

    assert Map.delete(connected, :keys) == %{
             topology: ":app",
             node: "a@h",
             state: "connected",
             for: "12.0\u00A0s",
             attempts: "0",
             next_dial: "",
             error: ""
           }

    assert %{state: "backing off", attempts: "3", next_dial: "2.3\u00A0s", error: "refused"} = backing_off
  end

  test "times and numbers are sorted as such, and whatever is alike by name" do
    peers =
      for {node, age, attempts} <- [{:c@h, 100_000, 10}, {:a@h, 9_000, 9}, {:b@h, 20_000, 9}],
          do: %{@peer | node: node, state_age: age, attempts: attempts}

    assert nodes(peers(peers, sort_by: :for)) == {["a@h", "b@h", "c@h"], 3}
    assert nodes(peers(peers, sort_by: :for, sort_dir: :desc)) == {["c@h", "b@h", "a@h"], 3}
    assert nodes(peers(peers, sort_by: :attempts)) == {["a@h", "b@h", "c@h"], 3}
    # A peer that isn't going to be dialed comes first.
    assert nodes(peers([%{@peer | next_dial: 5} | peers], sort_by: :next_dial)) |> elem(0) |> List.last() == "a@h"
    assert nodes(peers(peers, sort_by: :state)) == {["a@h", "b@h", "c@h"], 3}
  end

  test "a search looks into each text, whatever the case, and the limit counts what was found" do
    peers = for i <- 1..9, do: %{@peer | node: :"app-#{i}@Host", error: if(i < 4, do: "nothing listens there")}
    assert {[_, _, _], 3} = peers(peers, search: "LISTENS")
    assert {["app-7@Host"], 1} = nodes(peers(peers, search: "7@host"))
    assert {["app-1@Host", "app-2@Host"], 9} = nodes(peers(peers, limit: 2, sort_by: :node))
    assert {[], 0} = peers(peers, search: "keys")
  end

  test "a row for each query" do
    assert [row] = lookups([@query])

    assert Map.delete(row, :keys) == %{
             topology: ":app",
             query: "app.test",
             outcome: "ok",
             age: "1.2\u00A0s",
             endpoints: "3",
             ttl: "5\u00A0s",
             server: "127.0.0.1:5353 (udp)"
           }

    error = %Error{kind: :timeout, message: "no answer in time"}
    assert [%{outcome: "no answer in time"}] = lookups([%{@query | outcome: {:error, error}}])
    assert [%{outcome: "incomplete: cut off"}] = lookups([%{@query | incomplete: "cut off"}])
    assert [%{outcome: "no address for n1, n2"}] = lookups([%{@query | unresolved: ["n1", "n2"]}])

    assert [%{ttl: "", server: "127.0.0.1 (handshake)"}] =
             lookups([%{@query | transport: :handshake, server: "127.0.0.1"}])

    new = %{@query | outcome: nil, age: nil, ttl: nil, server: nil, transport: nil, endpoints: nil}
    assert [%{outcome: "not looked up yet", age: "", endpoints: "", ttl: "", server: ""}] = lookups([new])
  end

  test "a row for each reason to refuse names" do
    refused = [%{reason: :max_members, count: 12, example: "x"}, %{reason: :no_port, count: 7, example: "y"}]
    assert {[first, second], 2} = Rows.refused(%{app: %Status{name: :app, refused: refused}}, %{@all | sort_by: :count})
    assert %{reason: "no_port", count: "7", example: "y", topology: ":app"} = first
    assert %{reason: "max_members", count: "12"} = second
  end

  test "a search is for peers" do
    refused = [%{reason: :max_members, count: 12, example: "x"}]
    statuses = %{app: %Status{name: :app, peers: [@peer], queries: [@query], refused: refused}}
    wanted = %{@all | search: "nowhere"}
    assert {[], 0} = Rows.peers(statuses, wanted)
    assert {[_], 1} = Rows.lookups(statuses, wanted)
    assert {[_], 1} = Rows.refused(statuses, wanted)
  end

  test "the statuses of a running topology have rows" do
    statuses = %{
      app: %Status{name: :app, peers: [@peer], queries: [@query]},
      stuck: %Status{name: :stuck, responding: false}
    }

    assert {[_], 1} = Rows.peers(statuses, @all)
    assert {[_], 1} = Rows.lookups(statuses, @all)
    assert {[], 0} = Rows.refused(statuses, @all)
  end
end
