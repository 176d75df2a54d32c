defmodule Caravan.Top do
  @moduledoc false
  # The VM that `mix caravan.top` becomes: it asks a node for its status now and then, and draws it on a terminal or
  # prints it. Setting up the terminal and restoring it is up to the shell around it (`Caravan.Top.Launch`).

  alias Caravan.Status
  alias Caravan.Top.{Launch, Picture, Remote, Text, Triage}

  # How often the size of the terminal is looked at, in ms.
  @look 200

  # An answer that takes longer, in ms, is missed.
  @patience 3_000

  # How long to wait, in ms, before asking once more where that is in vain, and a line in the node's log.
  @in_vain 60_000

  @spec main() :: no_return
  def main do
    # It would write into the picture.
    _ = :logger.set_primary_config(:level, :none)
    {options, mode} = Launch.given()
    begun = Remote.start(options.node, long?: options.long?, cookie: options.cookie)

    with {:ok, node} <- begun,
         {:ok, statuses} <- first(node) do
      view = %{node: node, statuses: Triage.statuses(statuses), gone: nil, at: now()}
      if mode == :live, do: live(view, options), else: plain(view, options.every)
    else
      {:error, sentence} -> fail(sentence)
    end
  rescue
    # Nobody reads the output any longer.
    error in ErlangError -> if error.original == :terminated, do: System.halt(0), else: reraise(error, __STACKTRACE__)
  end

  defp first(node) do
    with {:error, {_until, sentence}} <- Remote.status(node), do: {:error, sentence}
  end

  @spec fail(String.t()) :: no_return
  defp fail(sentence) do
    IO.puts(:stderr, sentence)
    System.halt(1)
  end

  ## Plain lines

  defp plain(view, every) do
    IO.puts(block(view))

    if every do
      Process.sleep(every)
      IO.puts("")
      view.node |> Remote.status() |> seen(view) |> plain(every)
    else
      System.halt(0)
    end
  end

  defp block(%{gone: {_until, sentence}}), do: "#{clock()}  #{Text.printable(sentence)}"

  defp block(view) do
    {_level, verdict} = Triage.verdict(view.statuses)
    ["#{clock()}  #{Text.printable(view.node)}: #{verdict}" | Enum.flat_map(view.statuses, &topology/1)]
  end

  defp topology(status) do
    [head | lines] = status |> Status.lines(:infinity) |> Enum.map(&Text.printable/1)
    ["\n", head | for(line <- lines, do: ["\n  ", line])]
  end

  defp seen({:ok, statuses}, view), do: %{view | statuses: Triage.statuses(statuses), gone: nil, at: now()}
  defp seen({:error, reason}, view), do: %{view | gone: reason}

  ## On a terminal

  defp live(view, options) do
    every = options.every || Launch.every()
    here = self()
    spawn_link(fn -> keys(here) end)
    spawn_link(fn -> ask(here, view.node, every) end)
    :ok = Launch.raw()
    IO.write(Launch.enter())
    loop(view, every, nil)
  end

  # The keys come one by one, since the shell has set the terminal so.
  defp keys(screen) do
    case IO.getn("", 1) do
      # The last is Ctrl-D, which is also what becomes of the end of a program's output.
      key when key in ["q", "Q", "\x04"] -> send(screen, :quit)
      key when is_binary(key) -> keys(screen)
      _closed -> :ok
    end
  end

  defp ask(screen, node, every) do
    Process.sleep(every)
    answer = Remote.status(node)
    send(screen, {:status, answer})
    if match?({:error, {:for_good, _}}, answer), do: Process.sleep(@in_vain)
    ask(screen, node, every)
  end

  defp loop(view, every, drawn) do
    drawn = draw(view, every, drawn)

    receive do
      :quit ->
        IO.write(Launch.leave())
        System.halt(0)

      {:status, answer} ->
        answer |> seen(view) |> loop(every, drawn)
    after
      @look -> loop(view, every, drawn)
    end
  end

  # In a single write, over what was drawn last, so that nothing flickers.
  defp draw(view, every, drawn) do
    {width, height} = size()
    age = now() - view.at

    gone =
      case view.gone do
        nil when age > every + @patience -> {age, "#{view.node} has not answered yet"}
        nil -> nil
        {_until, sentence} -> {age, sentence}
      end

    clock = clock() |> NaiveDateTime.to_time() |> Time.to_string()
    note = "every #{Launch.seconds(every)} s, q quits"
    seen = %{node: view.node, statuses: view.statuses, gone: gone, clock: clock, note: note}
    lines = Picture.lines(seen, width, height)
    picture = {width, height, lines}

    if picture != drawn do
      clear = if match?({^width, ^height, _}, drawn), do: "", else: "\e[2J"
      text = lines |> Enum.map(&[Text.paint(&1), "\e[K"]) |> Enum.intersperse("\r\n")
      IO.write([clear, "\e[H", text, "\e[J"])
    end

    picture
  end

  defp size do
    with {:ok, width} when width > 0 <- :io.columns(), {:ok, height} when height > 0 <- :io.rows() do
      {width, height}
    else
      _unknown -> {80, 24}
    end
  end

  defp clock, do: NaiveDateTime.truncate(NaiveDateTime.local_now(), :second)
  defp now, do: System.monotonic_time(:millisecond)
end
