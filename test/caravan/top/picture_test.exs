defmodule Caravan.Top.PictureTest do
  use ExUnit.Case, async: true
  import Caravan.Statuses
  alias Caravan.Status
  alias Caravan.Top.{Picture, Text, Triage}

  @sizes [{80, 24}, {40, 24}, {200, 24}, {80, 60}, {80, 3}, {20, 5}, {1, 1}]

  defp lines(statuses, width, height, fields) do
    view = %{
      node: :"my_app-3434@host1.test",
      statuses: statuses |> Map.new(&{&1.name, &1}) |> Triage.statuses(),
      gone: nil,
      clock: "14:03:07",
      note: "every 2 s, q quits"
    }

    lines = Picture.lines(Map.merge(view, Map.new(fields)), width, height)
    assert length(lines) <= height
    for line <- lines, do: assert(Text.width(line) <= width, "too wide for #{width}: #{Text.plain(line)}")
    lines
  end

  defp text(statuses, width, height, fields \\ []),
    do: Enum.map_join(lines(statuses, width, height, fields), "\n", &String.trim_trailing(Text.plain(&1)))

  # `missing` of `count`.
  defp cluster(count, missing) do
    status(
      for n <- 1..count, node = :"my_app-3434@host#{n}.test", do: if(n in missing, do: missing(node), else: peer(node))
    )
  end

  test "three peers, one of them missing" do
    assert text([cluster(3, [2])], 80, 24) == """
           my_app-3434@host1.test                              14:03:07  every 2 s, q quits
           ✗ 1 of 3 peers not connected

           :my_app  2 of 3 peers connected
           ✓ _my-app._tcp.example.org  3 endpoints 1 s ago, from 10.0.0.2:53 (udp)
           ✗ my_app-3434@host2.test  backing off 12 s  3 failed  next dial in 2 s
               nothing listens at 10.0.0.7:3434 (connection refused); start the node, or
               check that it listens on the port in its name
           ● my_app-3434@host1.test  connected 2 h
           ● my_app-3434@host3.test  connected 2 h\
           """
  end

  test "a hundred peers: those in trouble come first, the others are counted" do
    text = text([cluster(100, [42, 79])], 80, 24)
    assert length(String.split(text, "\n")) == 24

    assert text =~ """
           ✗ my_app-3434@host42.test   backing off 12 s  3 failed  next dial in 2 s
               like 1 other: nothing listens at 10.0.0.7:3434 (connection refused); start
               the node, or check that it listens on the port in its name
           ✗ my_app-3434@host79.test   backing off 12 s  3 failed  next dial in 2 s
           ● my_app-3434@host1.test    connected 2 h
           """

    assert text =~ ~r/\n  and 84 more, all connected$/
  end

  test "a hundred peers, nearly all in trouble, and not all for the same reason" do
    %{peers: [first, _, third | peers]} = status = cluster(100, 3..100)
    peers = List.replace_at(peers, 80, %{Enum.at(peers, 80) | error: "the node there has another cookie"})
    text = text([%{status | peers: [first, third | peers]}], 80, 24)
    assert text =~ "✗ 98 of 99 peers not connected"
    assert text =~ ~r/host3\.test .*\n    like 96 others: nothing listens/
    assert text =~ ~r/host84\.test .*\n    the node there has another cookie\n/
    assert text =~ ~r/\n  and \d\d more: \d\d backing off, 1 connected$/
  end

  test "lookups that failed say why" do
    status =
      status([peer(:a@h)], queries: [query(query: "b.test"), failed("no answer from 10.0.0.2:53 within 2000 ms")])

    assert text([status], 80, 24) =~ """
           :my_app  1 of 1 peer connected
           ✗ _my-app._tcp.example.org  failed 1 s ago
               no answer from 10.0.0.2:53 within 2000 ms
           ✓ b.test  3 endpoints 1 s ago, from 10.0.0.2:53 (udp), TTL 60 s
           """

    queries = [query(outcome: nil), query(unresolved: ["n1", "n2"], incomplete: "truncated"), query(transport: :given)]
    text = text([status([], queries: queries)], 120, 24)
    assert text =~ "! _my-app._tcp.example.org  not looked up yet"
    assert text =~ "    no address for n1 and 1 more; incomplete: truncated"
    assert text =~ "from 10.0.0.2:53 (given)\n" or text =~ ~r/\(given\)$/

    assert text([status([], queries: for(n <- 1..64, do: query(query: "q#{n}")))], 80, 24) =~
             "and 61 more lookups, all complete"
  end

  test "a bounded mesh: picks, what others have linked, and the rest" do
    peers = [peer(:a@h), missing(:b@h), peer(:c@h, pick: false), peer(:d@h, state: :self, pick: false)]
    text = text([status(peers, members: 200, picks: 2, spares: 198)], 80, 24)
    assert text =~ "✗ 1 of 2 peers not connected"
    assert text =~ ":my_app  1 of 2 picks connected, 1 more link, 200 members\n"
    assert text =~ "● c@h  connected 2 h, no pick"
    assert text =~ "· d@h  this node"
  end

  test "what else there is to tell" do
    broadcasts = %{sent: 12, received: 340, duplicates: 1, requested: 0, lost: 0, subscribers: 2, eager: 3, lazy: 1}
    refused = [%{reason: :short_name, count: 2, example: "web"}, %{reason: :of_another_version, count: 1, example: "x"}]
    text = text([status([peer(:a@h)], broadcasts: broadcasts, refused: refused, draining: true)], 80, 24)
    assert text =~ "! 3 names refused or waiting, draining"
    assert text =~ ":my_app  1 of 1 peer connected  draining\n"
    assert text =~ "! refused 2 names, such as web: their hosts have no dot"
    assert text =~ "! refused 1 name, such as x: of_another_version"
    assert text =~ "  messages: 12 sent, 340 received, 0 lost; 2 subscribers"
    stuck = text([%Status{name: :my_app, responding: false}], 80, 24)
    assert stuck =~ "✗ :my_app is not responding"
    refute stuck =~ "peers"
    assert text([], 80, 24) =~ "! no topology runs on this node"
  end

  test "the last picture stays when the node is gone, without its colors" do
    gone = [gone: {14_200, "nothing listens at 10.0.0.7:3434 (connection refused)"}]
    lines = lines([cluster(3, [2])], 80, 24, gone)
    assert text([cluster(3, [2])], 80, 24, gone) =~ "✗ this picture is 14 s old: nothing listens"
    {[_title, why | _], body} = Enum.split(lines, 3)
    assert [{:alarm, _}, {:alarm, _}] = why
    assert for(line <- body, {style, _} <- line, uniq: true, do: style) == [:dim]
    assert Enum.map_join(body, "\n", &Text.plain/1) =~ "✗ my_app-3434@host2.test"
  end

  test "several topologies: each is there, the worst first, and each says what isn't shown" do
    healthy = %{cluster(100, []) | name: :healthy}
    text = text([healthy, cluster(100, 1..50)], 80, 24)
    assert text =~ ~r/:my_app  50 of 100 .*\n:?.*:healthy  100 of 100/s
    assert text =~ ~r/\n  and \d+ more: \d+ backing off, 50 connected\n/
    many = for n <- 1..40, do: %{cluster(3, []) | name: :"topology_#{n}"}
    assert text(many, 80, 24) =~ ~r/and 1\d more topologies$/
  end

  test "fits every window, whatever the names" do
    names = [
      "my_app-3434@#{String.duplicate("very-long-", 20)}host.test",
      "my_app-3434@fd00:1234:5678:9abc:def0:1234:5678:9abc",
      "アプリ-3434@日本語.test",
      "a@h\e[2J\n"
    ]

    nodes = Enum.map(names, &String.to_atom/1)
    error = "probed #{hd(names)} at [fd00::1]:3434: \e[31m" <> String.duplicate("日本", 60)
    bad = for node <- nodes, do: missing(node, error: error, attempts: 123_456)
    statuses = [status(bad, queries: [query(query: hd(names)), failed(error)]), %{cluster(100, [3, 99]) | name: :日本}]

    for {width, height} <- @sizes, peers <- [[], statuses], node <- nodes, gone <- [nil, {1_000, error}] do
      text = text(peers, width, height, node: node, gone: gone)
      refute text =~ "\e"
    end

    assert text(statuses, 80, 24) =~ ~r/✗ my_app-3434\S*…\S*host.test  backing off 12 s  123456 failed/
    assert text(statuses, 40, 24) =~ ~r/✗ my_app-\S*…\S*  backing off 12 s\n/
    assert text(statuses, 200, 24) =~ "my_app-3434@fd00:1234:5678:9abc:def0:1234:5678:9abc "
  end
end
