# Large clusters of real VMs, Caravan's beside those of rivals: see bin/bench. The VMs and their names are those of the
# mesh bench, and so is the DNS server.

require = &Code.require_file("mesh/#{&1}.exs", __DIR__)
nodes_code = Enum.flat_map(~w(subject vm broadcast quiet node), require)
Enum.each(~w(table dns picks scale), require)

defmodule Bench.Scale do
  alias Bench.Mesh.{Dns, Scale, Subject, Table, Vm}

  @switches [
    nodes: :string,
    restart: :string,
    kill: :string,
    links: :integer,
    broadcast: :boolean,
    calm: :boolean,
    subjects: :string,
    rounds: :integer,
    connect_all: :string,
    backlog: :integer
  ]

  def main(arguments, nodes_code) do
    options = options!(arguments)
    subjects = subjects!(options[:subjects])
    sizes = options |> Keyword.get(:nodes, "128") |> String.split(",") |> Enum.map(&size!/1)
    counts = Map.new(sizes, &{&1, count!(options[:restart] || options[:kill], &1)})
    flags = flags!(options)
    rounds = rounds!(options)
    links = links!(options, subjects)

    Vm.prepare("/run/mesh", nodes_code)
    {:ok, _} = Dns.start_link()
    Scale.warm_up(subjects, flags)

    for size <- sizes do
      tell = fn heading, figures ->
        lines = lines(size, counts[size], restarts(options), figures)
        IO.puts(["\n", heading | Enum.map(lines, &["\n", &1])])
      end

      measured =
        for round <- 1..rounds, subject <- subjects do
          figures = Scale.run(subject, size, counts[size], restarts(options), flags, links, !!options[:broadcast])

          figures =
            if options[:broadcast], do: Map.put(figures, :pg, Scale.fan_out(subject, size, flags)), else: figures

          tell.("#{subject.label}, round #{round}", figures)
          {subject.id, figures}
        end

      for %{id: id, label: label} <- subjects, rounds > 1 do
        tell.(
          "#{label}, median of #{rounds}",
          medians(for({^id, figures} <- measured, do: figures))
        )
      end
    end
  end

  ## What was measured

  # What was tried in some rounds only is judged by those.
  defp medians(rounds) do
    for kind <- [:formed, :calm, :at_once, :killed],
        [_ | _] = figures <- [for(%{^kind => figure} <- rounds, do: figure)],
        into: %{} do
      medians = Map.new(Map.keys(hd(figures)) -- [:degree, :connected, :broadcast], &{&1, median(figures, &1)})

      # For what isn't a number, the round with the median time.
      typical = Enum.find(figures, hd(figures), &(&1.time == medians.time))
      {kind, Map.merge(typical, medians)}
    end
  end

  defp median(figures, key), do: figures |> Enum.map(& &1[key]) |> Table.median()

  defp lines(size, count, restarts, figures) do
    formed = figures.formed

    [
      "#{size} nodes: #{time("formed in", formed)}, #{cpu(formed)}, #{formed.cut} links cut, #{graph(formed)}"
      | for(kind <- restarts, do: restarted(kind, count, figures[kind]))
    ] ++ broadcasts(figures)
  end

  # Last come those over the tree, after what they are compared with.
  defp broadcasts(%{pg: pg} = figures) do
    lines = for kind <- [:formed, :killed, :at_once, :calm], figure = figures[kind][:broadcast], do: {kind, figure}

    first =
      if pg, do: "pg to all, over a full mesh: #{delivery(pg)}", else: "pg to all: not tried, there was no full mesh"

    [first | for({kind, figure} <- lines, do: "broadcast, #{kind}: #{delivery(figure)}#{ratio(figure, pg)}")]
  end

  defp broadcasts(_figures), do: []

  defp delivery(%{reached: reached, cpu: cpu, p50: p50, p99: p99}) do
    "reached #{:erlang.float_to_binary(reached * 100, decimals: 2)} %, #{round(cpu)} µs CPU a delivery, " <>
      "p50 #{Float.round(p50 / 1_000, 1)} ms, p99 #{Float.round(p99 / 1_000, 1)} ms"
  end

  defp ratio(_figure, nil), do: ""
  defp ratio(figure, pg), do: ", #{:erlang.float_to_binary(figure.cpu / pg.cpu, decimals: 2)} × the CPU of pg"

  defp restarted(kind, count, nil), do: "#{what(kind, count)}: not tried, there was no mesh"

  defp restarted(:killed, count, figure) do
    "#{what(:killed, count)}: #{time("the others whole after", figure)}, #{cpu(figure)}, #{figure.cut} links between the " <>
      "others cut, #{graph(figure)}"
  end

  defp restarted(kind, count, figure) do
    released = "released #{seconds(figure.booted, 1)} s after the kill"

    "#{what(kind, count)}: #{time("whole after", figure)} (#{released}), #{cpu(figure)}, " <>
      "#{figure.cut} links between the others cut, #{graph(figure)}"
  end

  defp graph(%{degree: {least, mean, most}} = figure) do
    mean = :erlang.float_to_binary(mean, decimals: 1)
    connected = if figure.connected, do: "connected", else: "NOT connected"
    mib = :erlang.float_to_binary(figure.memory / 1_024, decimals: 2)
    "#{figure.links} links, #{connected}, #{mib} MiB more a node, degree #{least}/#{mean}/#{most}"
  end

  defp what(:at_once, count), do: "#{count} killed and restarted at once"
  defp what(:killed, count), do: "#{count} killed"
  defp what(:calm, count), do: "#{count} killed and restarted #{div(Scale.calm(), 1_000)} s later"

  defp time(_text, %{time: nil}), do: "not in #{div(Scale.within(), 1_000)} s"
  defp time(text, %{time: us}), do: "#{text} #{seconds(us, if(us < 1_000_000, do: 2, else: 1))} s"

  defp cpu(%{cpu: us}), do: "#{seconds(us, 1)} CPU s"

  defp seconds(us, decimals), do: :erlang.float_to_binary(us / 1.0e6, decimals: decimals)

  ## What is asked for

  defp options!(arguments) do
    case OptionParser.parse(arguments, strict: @switches) do
      {options, [], []} ->
        if options[:calm] && !options[:restart], do: fail("--calm needs --restart")
        if options[:kill] && options[:restart], do: fail("expected --kill or --restart, not both")
        if options[:broadcast] && !options[:links], do: fail("--broadcast needs --links")
        if options[:broadcast] && options[:rounds], do: fail("expected --broadcast or --rounds, not both")
        options

      {_, rest, invalid} ->
        odd = rest ++ for {name, value} <- invalid, do: String.trim("#{name} #{value}")
        fail("unknown or bad: #{Enum.join(odd, ", ")}; bin/bench --help tells the options")
    end
  end

  defp restarts(options) do
    cond do
      options[:kill] -> [:killed]
      options[:calm] -> [:calm, :at_once]
      options[:restart] -> [:at_once]
      true -> []
    end
  end

  # Subjects without such an option would be measured for something else.
  defp links!(options, subjects) do
    case options[:links] do
      nil ->
        nil

      n when n in 2..64 ->
        if Enum.any?(subjects, &(&1.id != :caravan)), do: fail("--links needs --subjects caravan")
        n

      n ->
        fail("expected --links from 2 to 64, got #{n}")
    end
  end

  defp rounds!(options) do
    case options[:rounds] || 1 do
      rounds when rounds >= 1 -> rounds
      rounds -> fail("expected --rounds of at least 1, got #{rounds}")
    end
  end

  defp size!(text) do
    case Integer.parse(text) do
      {size, ""} when size in 2..1_000 -> size
      _ -> fail("expected --nodes from 2 to 1000, with commas between, got #{text}")
    end
  end

  defp count!(nil, _size), do: 0

  defp count!(text, size) do
    count =
      case Integer.parse(text) do
        {part, "%"} -> div(size * part, 100)
        {count, ""} -> count
        _ -> 0
      end

    if count in 1..(size - 1),
      do: count,
      else: fail("expected --restart or --kill of 1 to #{size - 1} of #{size} nodes, such as 10%, got #{text}")
  end

  defp flags!(options) do
    # A bounded mesh needs connect_all off.
    connect_all =
      case options[:connect_all] || "#{options[:links] == nil}" do
        "true" -> []
        "false" -> ~w(-kernel connect_all false)
        other -> fail("expected --connect-all true or false, got #{other}")
      end

    backlog =
      case options[:backlog] do
        nil -> []
        n when n >= 1 -> ["-kernel", "inet_dist_listen_options", "[{backlog,#{n}}]"]
        n -> fail("expected --backlog of at least 1, got #{n}")
      end

    connect_all ++ backlog
  end

  defp subjects!(wanted) do
    folders = String.split(System.get_env("PEERS_EBIN", ""), ":", trim: true)
    all = Subject.all(folders) ++ [Subject.plain()]
    by_id = Map.new(all, &{"#{&1.id}", &1})

    if wanted do
      for id <- String.split(wanted, ",") do
        case by_id do
          %{^id => %{paths: nil}} -> fail("#{id} is not in the folders of PEERS_EBIN")
          %{^id => subject} -> subject
          _ -> fail("expected --subjects of #{Enum.join(Map.keys(by_id), ",")}, got #{id}")
        end
      end
    else
      for id <- ~w(caravan plain dns_cluster), subject = by_id[id], subject.paths, do: subject
    end
    # Caravan comes last: its lines are what others look for.
    |> Enum.sort_by(&(&1.id == :caravan))
  end

  defp fail(sentence) do
    IO.puts(:stderr, "bin/bench scale: #{sentence}")
    System.halt(2)
  end
end

Bench.Scale.main(System.argv(), nodes_code)
