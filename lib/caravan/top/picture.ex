defmodule Caravan.Top.Picture do
  @moduledoc false
  # The picture that mix caravan.top draws: what is wrong comes first, and what doesn't fit is counted. Pure.

  alias Caravan.{Sentences, Status}
  alias Caravan.Top.{Fit, Rows, Text, Triage}

  import Status, only: [count: 2]
  import Text, only: [mark: 1, printable: 1, span: 1]

  @typedoc """
  `statuses`: the last ones that came; `gone`: since how many ms there are no newer ones, and why; `clock`: the time
  of day; `note`: what else belongs at the top.
  """
  @type view :: %{
          node: node,
          statuses: [Status.t()],
          gone: nil | {non_neg_integer, String.t()},
          clock: String.t(),
          note: String.t()
        }

  # How many different errors of peers are told before the other peers are listed.
  @first 4
  # How many queries of a topology are shown, of each kind.
  @queries 3

  @doc "At most `height` lines of at most `width` columns."
  @spec lines(view, width :: pos_integer, height :: pos_integer) :: [Text.line()]
  def lines(view, width, height) do
    head = [title(view, width) | verdict(view, width)]
    body = for {status, n} <- Enum.with_index(view.statuses), unit <- topology(status, n, width), do: unit
    lines = head ++ Fit.lines(body, max(height - length(head), 0), &tail/1)
    lines = if view.gone, do: Enum.take(head, height) ++ dim(Enum.drop(lines, length(head))), else: lines
    lines |> Enum.take(height) |> Enum.map(&Text.cut_line(&1, width))
  end

  defp dim(lines), do: for(line <- lines, do: for({_style, text} <- line, do: {:dim, text}))

  ## The top

  defp title(view, width) do
    node = printable(view.node)
    rights = ["#{view.clock}  #{view.note}", view.clock, ""]
    right = Enum.find(rights, "", &(Text.width(&1) + 2 + min(Text.width(node), div(width, 2)) <= width))
    room = if right == "", do: width, else: width - Text.width(right) - 2
    [{:bold, node |> Text.squeeze(room) |> Text.pad(if(right == "", do: 0, else: room + 2))}, {:dim, right}]
  end

  defp verdict(%{gone: nil} = view, width) do
    {level, sentence} = Triage.verdict(view.statuses)
    style = if level == :bad, do: :alarm, else: level
    wrapped([{style, mark(level)}], sentence, style, width, 3)
  end

  defp verdict(%{gone: {age, why}}, width) do
    wrapped([{:alarm, mark(:bad)}], "this picture is #{span(age)} old: #{printable(why)}", :alarm, width, 4)
  end

  # A sentence behind a mark, its further lines below the first.
  defp wrapped(mark, sentence, style, width, count) do
    indent = [{:plain, String.duplicate(" ", Text.width(mark))}]

    for {line, n} <- sentence |> Text.wrap(max(width - Text.width(mark), 1), count) |> Enum.with_index(),
        do: if(n == 0, do: mark, else: indent) ++ [{style, line}]
  end

  ## A topology

  defp topology(status, n, width) do
    head = %{rank: {1, 0, n}, versions: [[head(status)]], group: :topologies, of: status}

    # The one below the top comes before long lists, the others don't.
    [unit({if(n == 0, do: 4, else: 8), 0, n}, [[]]), head] ++
      if(status.responding,
        do: queries(status, n, width) ++ peers(status, n, width) ++ notes(status, n, width),
        else: []
      )
  end

  defp unit(rank, lines), do: %{rank: rank, versions: [lines]}

  # The whole of it, or else its first line only.
  defp unit(rank, lines, short), do: %{rank: rank, versions: [lines, short]}

  defp head(%{responding: false} = status),
    do: [{:bold, name(status)}, {:bad, "  not responding; its process is stuck or overloaded"}]

  defp head(status) do
    draining = if status.draining, do: [{:odd, "  draining"}], else: []
    [{:bold, name(status)}, {:plain, "  #{connected(status)}"}, {:dim, others(status)}] ++ draining
  end

  defp name(status), do: status.name |> inspect() |> printable()

  defp connected(status) do
    wanted = Enum.filter(status.peers, &Triage.wanted?/1)
    linked = Enum.count(wanted, &(&1.state == :connected))
    what = if status.spares > 0, do: "pick", else: "peer"
    if wanted == [], do: "no peers", else: "#{linked} of #{count(length(wanted), what)} connected"
  end

  defp others(status) do
    others = Enum.count(status.peers, &(&1.state == :connected and not &1.pick))
    links = if others > 0, do: ", #{count(others, "more link")}", else: ""
    links <> if status.spares > 0, do: ", #{count(status.members, "member")}", else: ""
  end

  ## Lookups

  defp queries(status, n, width) do
    for {level, queries} <- Enum.chunk_by(status.queries, &Triage.query_level/1) |> Enum.map(&with_level/1),
        unit <- queries(queries, level, n, width),
        do: unit
  end

  defp with_level([query | _] = queries), do: {Triage.query_level(query), queries}

  defp queries(queries, level, n, width) do
    {shown, hidden} = Enum.split(queries, if(length(queries) == @queries + 1, do: @queries + 1, else: @queries))

    all = if level == :good, do: "all complete", else: "also in trouble"
    more = [{if(level == :good, do: :dim, else: level), "  and #{count(length(hidden), "more lookup")}, #{all}"}]

    Enum.flat_map(shown, &query(&1, level, n, width)) ++
      if(hidden == [], do: [], else: [unit({2, 0, n}, [more])])
  end

  defp query(query, level, n, width) do
    name = query.query |> printable() |> Text.squeeze(max(div(width, 2), 12))
    room = width - 4 - Text.width(name)
    outcomes = outcome(query)
    outcome = Enum.find(outcomes, List.last(outcomes), &(Text.width(&1) <= room))
    row = [{level, mark(level)}, {:plain, name <> "  "}, {if(level == :good, do: :dim, else: level), outcome}]

    case trouble(query) do
      nil -> [unit({2, 0, n}, [row])]
      sentence -> [unit({2, 0, n}, [row]), sentence({3, 0, n}, sentence, :plain, width)]
    end
  end

  # From the longest to the shortest.
  defp outcome(%{outcome: nil}), do: ["not looked up yet"]
  defp outcome(%{outcome: {:error, _}} = query), do: ["failed #{span(query.age)} ago"]

  defp outcome(query) do
    found = "#{count(query.endpoints || 0, "endpoint")} #{span(query.age)} ago"
    from = "from #{printable(query.server)} (#{query.transport})"
    # Only DNS has a TTL.
    ttl = if query.transport in [:handshake, :given], do: "", else: ", TTL #{query.ttl} s"
    ["#{found}, #{from}#{ttl}", "#{found}, #{from}", found]
  end

  defp trouble(%{outcome: {:error, error}}), do: error |> Map.get(:message, "no reason is known") |> printable()

  defp trouble(query) do
    case unresolved(query.unresolved) ++ if(query.incomplete, do: ["incomplete: #{query.incomplete}"], else: []) do
      [] -> nil
      troubles -> troubles |> Enum.join("; ") |> printable()
    end
  end

  defp unresolved([]), do: []
  defp unresolved([host]), do: ["#{host} has no address"]
  defp unresolved([host | more]), do: ["no address for #{host} and #{length(more)} more"]

  # A sentence below what it is about.
  defp sentence(rank, text, style, width) do
    wrap = &wrapped([{:plain, "    "}], text, style, width, &1)
    unit(rank, wrap.(3), wrap.(1))
  end

  ## Peers

  defp peers(status, n, width) do
    alike = Enum.frequencies_by(status.peers, &Triage.fault/1)
    # Whose error is told: the first with each.
    told = status.peers |> Enum.uniq_by(&Triage.fault/1) |> Enum.filter(&Triage.fault/1)

    for {{peer, row}, order} <- Enum.with_index(Enum.zip(status.peers, Rows.lines(status.peers, width))),
        place = {order, n},
        unit <- peer(peer, row, place, Enum.find_index(told, &(&1 == peer)), alike, width),
        do: unit
  end

  defp peer(peer, row, {order, n}, nil, _alike, _width), do: [row(peer, row, {rank(peer, nil), order, n})]

  defp peer(peer, row, {order, n}, nth, alike, width) do
    others = alike[Triage.fault(peer)] - 1
    like = if others == 0, do: "", else: "like #{count(others, "other")}: "
    rank = rank(peer, nth)

    [
      row(peer, row, {rank, order, n}),
      sentence({rank + 1, order, n}, printable(like <> peer.error), :plain, width)
    ]
  end

  defp row(peer, line, rank), do: %{rank: rank, versions: [[line]], group: {:peers, elem(rank, 2)}, of: peer}

  # First some of each fault, with what it is, then the others.
  defp rank(peer, nth) do
    case Triage.peer_level(peer) do
      :good -> 9
      _level when is_integer(nth) and nth < @first -> 4
      _level -> 6
    end
  end

  # What isn't shown.
  defp tail([%{group: :topologies} | _] = units), do: [{:odd, "and #{length(units)} more topologies"}]

  defp tail(units) do
    peers = Enum.map(units, & &1.of)
    # They are in order, from bad to good.
    frequencies = Enum.frequencies_by(peers, &words/1)
    states = for word <- peers |> Enum.map(&words/1) |> Enum.uniq(), do: {word, frequencies[word]}
    level = Triage.peer_level(hd(peers))
    [{if(level == :good, do: :dim, else: level), "  and #{length(peers)} more#{states(states)}"}]
  end

  defp states([{word, _}]), do: ", all #{word}"
  defp states(states), do: ": " <> Enum.map_join(states, ", ", fn {word, n} -> "#{n} #{word}" end)

  defp words(%{state: :self}), do: "this node"
  defp words(peer), do: Status.state(peer.state)

  ## The rest

  defp notes(status, n, width) do
    for(refused <- status.refused, do: refused(refused, n, width)) ++ messages(status.broadcasts, n)
  end

  defp refused(refused, n, width) do
    text = "refused #{count(refused.count, "name")}, such as #{refused.example}: #{Sentences.why(refused.reason)}"
    wrap = &wrapped([{:odd, mark(:odd)}], printable(text), :plain, width, &1)
    unit({5, 0, n}, wrap.(3), wrap.(1))
  end

  defp messages(nil, _n), do: []
  # Most topologies have none.
  defp messages(%{sent: 0, received: 0, subscribers: 0}, _n), do: []

  defp messages(all, n) do
    messages = "  messages: #{all.sent} sent, #{all.received} received, #{all.lost} lost"
    text = "#{messages}; #{count(all.subscribers, "subscriber")}"
    [unit({10, 0, n}, [[{:dim, text}]])]
  end
end
