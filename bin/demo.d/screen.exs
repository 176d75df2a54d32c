# What bin/demo shows: on a terminal, a picture redrawn after each event; elsewhere, a line per event. A recording has
# the picture in any case.

defmodule Demo.Screen do
  @green "\e[32m"
  @red "\e[31m"
  @dim "\e[2m"
  @bold "\e[1m"
  @plain "\e[0m"

  # bin/demo asks for the picture only if this fits.
  @width 78

  def new(titles, live?, record?) do
    steps = for title <- titles, do: %{title: title, state: :to_come, took: nil}
    %{live?: live?, record?: record?, frames: [], start: now(), since: now(), steps: steps, height: 0}
  end

  ## Steps

  def began(screen) do
    index = Enum.find_index(screen.steps, &(&1.state == :to_come))
    %{title: title} = Enum.at(screen.steps, index)
    if not screen.live?, do: IO.puts("\n#{stamp(screen)}  #{title}")
    change_step(%{screen | since: now()}, :to_come, :running)
  end

  def passed(screen) do
    if not screen.live?, do: IO.puts("#{stamp(screen)}  ok, in #{seconds(now() - screen.since)}")
    change_step(screen, :running, :passed)
  end

  defp change_step(screen, from, to) do
    index = Enum.find_index(screen.steps, &(&1.state == from))
    change = &%{&1 | state: to, took: now() - screen.since}
    %{screen | steps: List.update_at(screen.steps, index, change)}
  end

  @doc "A line for plain output; the picture shows it already."
  def note(screen, text), do: if(not screen.live?, do: IO.puts("#{stamp(screen)}    #{text}"))

  ## The picture

  def draw(%{live?: false, record?: false} = screen, _state), do: screen

  def draw(screen, state) do
    lines = [head(screen), "" | about(state)] ++ ["" | table(state)] ++ ["" | steps(screen)]
    screen |> record(lines) |> show(lines)
  end

  defp record(%{record?: false} = screen, _lines), do: screen
  defp record(screen, lines), do: %{screen | frames: [{now(), lines} | screen.frames]}

  # Drawn over the last one, in a single write and to the end of each line: nothing flickers, and what is above stays.
  defp show(%{live?: false} = screen, _lines), do: screen

  defp show(screen, lines) do
    # Lines that are too long are cut off, not wrapped, so that their number is known.
    above = if screen.height > 0, do: "\e[#{screen.height}A", else: "\n\e[?25l\e[?7l"
    IO.write([above, "\r", Enum.map(lines, &[&1, "\e[K\n"]), "\e[J"])
    %{screen | height: length(lines)}
  end

  defp head(screen) do
    title = "#{@bold}Caravan#{@plain}  a cluster of real nodes, found by DNS, without epmd"
    right(title, stamp(screen))
  end

  defp about(state) do
    dns =
      case state.dns_state do
        :silent -> "#{@red}silent#{@plain}"
        other -> "#{other}"
      end

    records =
      case state.records do
        0 -> "no records"
        1 -> "1 SRV record"
        count -> "#{count} SRV records"
      end

    [
      "DNS   #{state.nameserver} #{dns}, #{records}",
      "epmd  none started, in #{state.epmd_looks} checks"
    ]
  end

  defp table(state) do
    nodes = for {_, node} <- Enum.sort(state.nodes), do: node
    head = columns("node", "port", "pid", "state", "lookup") <> "linked to"

    ["#{@dim}#{head}#{@plain}"] ++
      for node <- nodes do
        columns(
          node.name,
          Enum.join(node.listens, " "),
          if(node.state == :up, do: node.os_pid, else: ""),
          "#{node.state}",
          if(node.state == :up and node.lookup != "none", do: node.lookup, else: "")
        )
        |> coloured()
        |> Kernel.<>(Enum.map_join(nodes, " ", &cell(node, &1)))
      end
  end

  defp columns(name, port, os_pid, state, lookup) do
    String.pad_trailing(name, 21) <>
      String.pad_leading(port, 5) <>
      String.pad_leading(os_pid, 9) <>
      "  " <> String.pad_trailing(state, 10) <> String.pad_trailing(lookup, 11)
  end

  # After the padding, which would count the colors.
  defp coloured(row) do
    row
    |> String.replace(~r/ (up|ok) /, " #{@green}\\1#{@plain} ")
    |> String.replace(~r/ (killed|timeout) /, " #{@red}\\1#{@plain} ")
  end

  defp cell(%{name: name}, %{name: name}), do: "#{@dim}\\#{@plain}"

  defp cell(%{state: :up} = node, other),
    do: if(other.name in node.peers, do: "#{@green}●#{@plain}", else: "·")

  defp cell(_node, _other), do: " "

  defp steps(screen) do
    for step <- screen.steps do
      case step.state do
        :to_come -> "#{@dim}·  #{step.title}#{@plain}"
        :running -> right("#{@bold}▸  #{step.title}#{@plain}", seconds(now() - screen.since))
        :passed -> right("#{@green}✓#{@plain}  #{step.title}", seconds(step.took))
        :failed -> right("#{@red}✗#{@plain}  #{step.title}", seconds(step.took))
      end
    end
  end

  defp right(text, last) do
    text <> String.pad_leading(last, @width - String.length(plain(text)))
  end

  defp plain(text), do: String.replace(text, ~r/\e\[\d*m/, "")

  ## The end

  def finished(%{screen: screen} = state, verdict) do
    %{frames: frames} = close(screen, state)
    IO.puts(["\n", if(screen.live?, do: [@bold, verdict, @plain], else: verdict)])
    if screen.record?, do: picture(frames, verdict)
  end

  defp picture([{at, lines} | _] = frames, verdict) do
    frames = Enum.reverse([{at, lines ++ ["", "#{@bold}#{verdict}#{@plain}"]} | frames])
    file = System.fetch_env!("CARAVAN_DEMO_RECORD")
    File.write!(file, Demo.Picture.svg(frames, @width, "bin/demo", verdict))
    IO.puts("\nThe recording is #{file}.")
  end

  def failed(state, reason) do
    running? = Enum.any?(state.screen.steps, &(&1.state == :running))
    screen = if running?, do: change_step(state.screen, :running, :failed), else: state.screen
    close(screen, state)

    for log <- Path.wildcard(Path.join(state.logs, "*.log")),
        {:ok, text} when text != "" <- [File.read(log)] do
      IO.puts("\n#{Path.basename(log)} ends with")
      text |> String.split("\n", trim: true) |> Enum.take(-5) |> Enum.each(&IO.puts("  " <> &1))
    end

    if not screen.live?, do: IO.puts(["\n" | Enum.map(table(state), &[plain(&1), "\n"])])
    IO.puts("\nFAILED: #{reason}.")
  end

  defp close(screen, state) do
    screen = draw(screen, state)
    if screen.live?, do: IO.write("\e[?25h\e[?7h")
    screen
  end

  def kept(state) do
    nodes = for {_, node} <- Enum.sort(state.nodes), do: node
    pids = [state.dns_pid | Enum.map(nodes, & &1.os_pid)]

    """

    The cluster stays. Attach to a node:

      ERL_LIBS=#{System.fetch_env!("ERL_LIBS")} \\
        iex --name rem-1-demo@127.0.0.1 --cookie #{state.cookie} \\
        --hidden --remsh #{hd(nodes).name} \\
        --erl "-start_epmd false -epmd_module caravan_epmd -dist_listen false"

    and ask it: Node.list(), Caravan.status(). The DNS server is #{state.nameserver}.
    The logs are in #{state.logs}. To stop everything:

      kill #{Enum.join(pids, " ")}
      rm -r #{state.logs}
    """
  end

  def short(name), do: name |> String.split("@") |> hd()

  defp stamp(screen), do: String.pad_leading(seconds(now() - screen.start), 6)
  defp seconds(ms), do: :erlang.float_to_binary(ms / 1000, decimals: 1) <> " s"
  defp now, do: System.monotonic_time(:millisecond)
end
