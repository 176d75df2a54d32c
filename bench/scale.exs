# Large clusters of real VMs, Caravan's beside those of rivals: see bin/bench. The VMs and their names are those of the
# mesh bench, and so is the DNS server.

require = &Code.require_file("mesh/#{&1}.exs", __DIR__)
nodes_code = Enum.flat_map(~w(subject quiet node), require)
Enum.each(~w(table dns vm scale), require)

defmodule Bench.Scale do
  alias Bench.Mesh.{Dns, Scale, Subject, Table, Vm}

  @switches [
    nodes: :string,
    restart: :string,
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
    counts = Map.new(sizes, &{&1, count!(options[:restart], &1)})
    flags = flags!(options)
    rounds = rounds!(options)

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
          figures = Scale.run(subject, size, counts[size], restarts(options), flags)
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
    for kind <- [:formed, :calm, :at_once],
        [_ | _] = figures <- [for(%{^kind => figure} <- rounds, do: figure)],
        into: %{} do
      {kind, Map.new(Map.keys(hd(figures)), &{&1, median(figures, &1)})}
    end
  end

  defp median(figures, key), do: figures |> Enum.map(& &1[key]) |> Table.median()

  defp lines(size, count, restarts, figures) do
    formed = figures.formed

    [
      "#{size} nodes: #{time("formed in", formed)}, #{cpu(formed)}, #{formed.cut} links cut"
      | for(kind <- restarts, do: restarted(kind, count, figures[kind]))
    ]
  end

  defp restarted(kind, count, nil), do: "#{what(kind, count)}: not tried, there was no mesh"

  defp restarted(kind, count, figure) do
    released = "released #{seconds(figure.booted, 1)} s after the kill"

    "#{what(kind, count)}: #{time("whole after", figure)} (#{released}), #{cpu(figure)}, " <>
      "#{figure.cut} links between the others cut"
  end

  defp what(:at_once, count), do: "#{count} killed and restarted at once"
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
        options

      {_, rest, invalid} ->
        odd = rest ++ for {name, value} <- invalid, do: String.trim("#{name} #{value}")
        fail("unknown or bad: #{Enum.join(odd, ", ")}; bin/bench --help tells the options")
    end
  end

  defp restarts(options) do
    if options[:restart],
      do: if(options[:calm], do: [:calm, :at_once], else: [:at_once]),
      else: []
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
      else: fail("expected --restart of 1 to #{size - 1} of #{size} nodes, such as 10%, got #{text}")
  end

  defp flags!(options) do
    connect_all =
      case options[:connect_all] || "true" do
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
