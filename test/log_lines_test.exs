defmodule Caravan.LogLinesTest do
  # guides/operating.md has every line that Caravan logs.
  use ExUnit.Case, async: false
  alias Caravan.{Readme, Sentences}
  alias Caravan.Topology.Log

  @guide "guides/operating.md"
  @topology_log "lib/caravan/topology/log.ex"
  @levels ~w(debug info notice warning error)a
  @node :"my_app-3434@host1.example.org"
  @report %{
    endpoints: 1,
    members: 1,
    ttl: 60,
    server: "127.0.0.1:53",
    transport: :udp,
    incomplete: nil,
    refused: []
  }
  @outcome %{
    query: "app.test",
    result: {:ok, @report},
    duration: 1,
    outcome_changed?: false,
    newly_cut?: false,
    newly_refused: [],
    alias: nil
  }
  @error {:error, %Caravan.Error{kind: :timeout, message: "no DNS server answered"}}
  @cut {:ok, %{@report | incomplete: "the answer for app.test was cut off"}}
  @refused {:ok, %{@report | refused: [%{reason: :no_port, count: 2, example: "host1"}]}}

  # One of each event that is logged; the test below finds those that are missing.
  @events [
    :alone,
    {:ill_named, @node, {:by_host, nil}},
    {:ill_named, @node, {:capitals, "Host1"}},
    {:ill_named, @node, {:other_name, "my_app@host1"}},
    {:looked_up, %{@outcome | outcome_changed?: true}},
    {:looked_up, %{@outcome | newly_cut?: true, result: @cut}},
    {:looked_up, %{@outcome | alias: "app@host2"}},
    {:looked_up, %{@outcome | newly_refused: [:no_port], result: @refused}},
    {:looked_up, %{@outcome | outcome_changed?: true, result: @error}},
    {:peer, @node, :up},
    {:peer, @node, {:down, "connection_closed", true}},
    {:peer, @node, {:dial_failed, :probe, "nothing listens there", true}},
    {:peer, @node, :self},
    {:peer, @node, :leaving},
    {:disconnecting, @node, 60_000},
    {:not_disconnected, @node, "it raised"},
    {:unlisted, "it raised"},
    {:crowded, 61},
    {:pg2, "MyApp.PubSub"}
  ]

  setup_all do
    %{logged: Enum.flat_map(@events, &logged/1), rows: rows("| level |")}
  end

  test "the events are all that a topology logs", %{logged: logged} do
    expected = for {level, line, _arguments} <- calls(@topology_log), do: {level, line}
    assert [_ | _] = expected
    assert logged |> Enum.map(fn {level, line, _text} -> {level, line} end) |> Enum.uniq() |> Enum.sort() == expected
  end

  test "the guide has each line of a topology, with its level", %{logged: logged, rows: rows} do
    for {level, _line, "[caravan my_app] " <> text} <- logged do
      matching = for [row_level, pattern | _] <- rows, text =~ pattern(pattern), do: row_level
      assert to_string(level) in matching, "no row of #{@guide} has this line: #{level} #{text}"
    end
  end

  test "the guide has no line that nobody logs", %{logged: logged, rows: rows} do
    {others, ours} = Enum.split_with(rows, fn [_level, line | _] -> line =~ ~r/^(\[caravan\]|caravan:) / end)

    for [level, line | _] <- ours do
      assert Enum.any?(logged, fn {of, _, text} ->
               to_string(of) == level and String.replace_prefix(text, "[caravan my_app] ", "") =~ pattern(line)
             end),
             "nobody logs #{line}"
    end

    calls = for file <- Path.wildcard("lib/**/*.ex"), file != @topology_log, call <- calls(file), do: {file, call}
    assert length(calls) == length(others)

    for {file, {level, line, arguments}} <- calls do
      literal = arguments |> literals() |> Enum.max_by(&String.length/1) |> String.trim()

      assert Enum.any?(others, fn [of, text | _] -> of == to_string(level) and String.contains?(text, literal) end),
             "no row of #{@guide} has the line of #{file}:#{line}: #{literal}"
    end
  end

  test "the guide has each reason to refuse a name" do
    reasons =
      for {:def, _, [{:why, _, [reason]} | _]} <- definitions("lib/caravan/sentences.ex"), is_atom(reason), do: reason

    assert [_ | _] = reasons
    for reason <- reasons, do: assert(Sentences.why(reason) != to_string(reason))
    assert Enum.map(rows("| reason |"), &hd/1) |> Enum.sort() == reasons |> Enum.map(&inspect/1) |> Enum.sort()
  end

  # `{level, line of the source, text}` of what an event logs. The metadata tells which call it was.
  defp logged(event) do
    me = self()
    handler = :caravan_log_lines
    :ok = :logger.add_handler(handler, __MODULE__, %{config: me})
    ExUnit.CaptureLog.capture_log(fn -> Log.tell(:my_app, event) end)
    :ok = :logger.remove_handler(handler)
    assert [_ | _] = lines = received(), "nothing is logged of #{inspect(event)}"
    lines
  end

  @doc false
  def log(%{level: level, msg: {:string, text}, meta: %{pid: pid, line: line}}, %{config: pid}),
    do: send(pid, {__MODULE__, {level, line, IO.chardata_to_string(text)}})

  def log(_event_of_another, _config), do: :ok

  defp received do
    receive do
      {__MODULE__, line} -> [line | received()]
    after
      0 -> []
    end
  end

  # `{level, line, arguments}` of each call of a logger in a file.
  defp calls(file) do
    {_, found} =
      Macro.prewalk(Code.string_to_quoted!(File.read!(file)), [], fn
        {{:., _, [logger, level]}, meta, arguments} = ast, found when level in @levels ->
          if logger == :logger or match?({:__aliases__, _, [:Logger]}, logger),
            do: {ast, [{level, meta[:line], arguments} | found]},
            else: {ast, found}

        ast, found ->
          {ast, found}
      end)

    Enum.sort(found)
  end

  defp definitions(file) do
    {_, found} =
      Macro.prewalk(Code.string_to_quoted!(File.read!(file)), [], fn
        {:def, _, _} = ast, found -> {ast, [ast | found]}
        ast, found -> {ast, found}
      end)

    found
  end

  # The text between what is filled in.
  defp literals(ast) do
    {_, found} =
      Macro.prewalk(ast, [], fn
        text, found when is_binary(text) -> {text, String.split(text, "~ts") ++ found}
        ast, found -> {ast, found}
      end)

    found
  end

  # The cells of the tables whose head begins like this, without their backticks.
  defp rows(head) do
    tables = for table <- String.split(Readme.text(@guide), ~r/\n{2,}/), String.starts_with?(table, head), do: table

    for table <- tables, row <- table |> String.split("\n", trim: true) |> Enum.drop(2) do
      row |> String.trim("|") |> String.split(" | ") |> Enum.map(&(&1 |> String.trim() |> String.trim("`")))
    end
  end

  # A row's line as a pattern: words in capitals and … stand for anything.
  defp pattern(line),
    do: Regex.compile!("^" <> Regex.replace(~r/\b[A-Z]+\b|…/u, Regex.escape(line), ".*") <> "$", "us")
end
