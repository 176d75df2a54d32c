# What bin/demo shows: on a terminal a screen drawn anew after each event, elsewhere a line for each.

defmodule Demo.Screen do
  @green "\e[32m"
  @red "\e[31m"
  @dim "\e[2m"
  @bold "\e[1m"
  @plain "\e[0m"

  # Lines too long are cut at the edge, not wrapped, so that the screen keeps its height.
  def new(live?) do
    if live?, do: IO.write("\e[2J\e[?25l\e[?7l")
    %{live?: live?, began: now(), since: now(), steps: [], drawn: nil}
  end

  def step(screen, title) do
    unless screen.live?, do: say("\n#{stamp(screen)}  #{title}")
    %{screen | since: now(), steps: screen.steps ++ [{title, nil}]}
  end

  def passed(screen) do
    took = "#{seconds(now() - screen.since)} s"
    unless screen.live?, do: say("#{stamp(screen)}  ok, in #{took}")
    %{screen | steps: List.update_at(screen.steps, -1, fn {title, _} -> {title, took} end)}
  end

  @doc "`node` has other peers than before."
  def peers(screen, node, peers) do
    unless screen.live? do
      for peer <- peers -- node.peers,
          do: say("#{stamp(screen)}    #{short(node.name)} up   #{short(peer)}")

      for peer <- node.peers -- peers,
          do: say("#{stamp(screen)}    #{short(node.name)} down #{short(peer)}")
    end

    screen
  end

  def draw(%{live?: false} = screen, _state), do: screen

  def draw(screen, state) do
    text = [head(screen, state), "", table(state), "", steps(screen)]
    IO.write(["\e[H", text |> List.flatten() |> Enum.map(&[&1, "\e[K\n"]), "\e[J"])
    screen
  end

  def finish(%{screen: %{live?: true}} = state) do
    draw(state.screen, state)
    IO.write("\e[?25h\e[?7h")
  end

  def finish(_state), do: :ok

  def say(line), do: IO.puts(line)

  def failed(state, reason) do
    finish(state)
    say("\nFAILED: #{reason}.")

    for node <- Map.values(state.nodes),
        do:
          say(
            "  #{node.name} #{if node.alive?, do: "up", else: "not up"}, last look-up #{node.lookup}, sees: #{Enum.map_join(node.peers, " ", &short/1)}"
          )

    for log <- Path.wildcard(Path.join(state.logs, "*.log")),
        {:ok, text} <- [File.read(log)],
        text != "" do
      say("\n#{Path.basename(log)} ends with")
      text |> String.split("\n", trim: true) |> Enum.take(-8) |> Enum.each(&say("  " <> &1))
    end
  end

  def kept(state) do
    nodes = state.nodes |> Map.values() |> Enum.sort_by(& &1.name)
    pids = [state.dns_pid | Enum.map(nodes, & &1.os_pid)]

    """

    The cluster stays. Its DNS server is #{state.nameserver}, its logs are in #{state.logs}.
    Attach to a node:

      ERL_LIBS=#{System.fetch_env!("ERL_LIBS")} iex --name rem-1-demo@127.0.0.1 --cookie #{state.cookie} --hidden \\
        --remsh #{hd(nodes).name} --erl "-start_epmd false -epmd_module caravan_epmd -dist_listen false"

    End it:

      kill #{Enum.join(pids, " ")}; rm -r #{state.logs}
    """
  end

  defp head(screen, state) do
    "#{@bold}Caravan: a cluster by DNS, without epmd#{@plain}   #{seconds(now() - screen.began)} s   DNS #{dns(state)}"
  end

  defp dns(%{dns_state: "silent"}), do: "#{@red}silent#{@plain}"
  defp dns(state), do: "#{state.nameserver} #{state.dns_state}"

  defp table(state) do
    nodes = Enum.sort_by(state.nodes, &elem(&1, 0))
    ports = Enum.map_join(nodes, fn {port, _} -> "  #{port}" end)

    [
      "#{@dim}#{String.pad_trailing("node", 22)} #{String.pad_leading("pid", 8)} #{ports}  last look-up#{@plain}"
    ] ++
      for {_, node} <- nodes, do: row(node, nodes)
  end

  defp row(node, nodes) do
    pid = if node.alive?, do: node.os_pid, else: "-"
    cells = Enum.map_join(nodes, fn {_, other} -> "    " <> cell(node, other) <> " " end)
    lookup = if node.alive? and node.lookup != "none", do: node.lookup, else: ""
    "#{String.pad_trailing(node.name, 22)} #{String.pad_leading(pid, 8)} #{cells}  #{lookup}"
  end

  defp cell(%{name: name}, %{name: name}), do: "#{@dim}\\#{@plain}"
  defp cell(%{alive?: false}, _other), do: " "

  defp cell(node, other),
    do: if(other.name in node.peers, do: "#{@green}●#{@plain}", else: "#{@dim}·#{@plain}")

  defp steps(screen) do
    for {title, took} <- screen.steps do
      if took,
        do: "#{@green}ok#{@plain}  #{title}#{@dim} (#{took})#{@plain}",
        else: "..  #{title} (#{seconds(now() - screen.since)} s)"
    end
  end

  defp short(name), do: name |> String.split("@") |> hd()
  defp stamp(screen), do: String.pad_leading(seconds(now() - screen.began), 5) <> " s"
  defp seconds(ms), do: :erlang.float_to_binary(ms / 1000, decimals: 1)
  defp now, do: System.monotonic_time(:millisecond)
end
