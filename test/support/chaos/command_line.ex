defmodule Caravan.Chaos.CommandLine do
  @moduledoc "What `bin/chaos` runs."

  alias Caravan.Chaos.{Plan, Run, Timeline}
  alias Caravan.Netns

  # What is said of what went wrong comes a little later.
  @later 2_000

  @switches [
    minutes: :integer,
    nodes: :integer,
    seed: :integer,
    restart: :string,
    connect_all: :boolean,
    links: :integer
  ]

  def main(arguments) do
    options = options!(arguments)
    Netns.possible?() || fail("this user may not make network namespaces here; run it as root")

    seed = options[:seed] || :rand.uniform(999_999)
    nodes = Keyword.get(options, :nodes, 8)
    minutes = Keyword.get(options, :minutes, 10)
    restart = options[:restart] && percent!(options[:restart])
    links = options[:links]
    if links == nil, do: check_neighbours!(nodes)
    connect_all = Keyword.get(options, :connect_all, links == nil)
    if links && connect_all, do: fail("--links needs --no-connect-all, which it implies, not --connect-all")
    plan = Plan.new(seed, nodes, restart: restart, connect_all: connect_all, links: links)

    again =
      "bin/chaos --minutes #{minutes} --nodes #{nodes} --seed #{seed}" <>
        if(restart, do: " --restart #{restart}%", else: "") <>
        cond do
          links -> " --links #{links}"
          connect_all -> ""
          true -> " --no-connect-all"
        end

    IO.puts("#{again}   (repeats this run)")
    IO.puts(Timeline.settings(plan))
    %{verdict: verdict, events: events} = Run.run(plan, ms: minutes * 60_000, say: &IO.puts/1)

    IO.puts("")
    Enum.each(Timeline.verdict(verdict, start(events)), &IO.puts/1)

    if verdict.violations == [] do
      IO.puts("\nEverything held: #{again}")
    else
      [{_, at, _} | _] = verdict.violations

      IO.puts("\nUntil a little after the first of them:\n#{Timeline.said(events, at + @later)}\n")

      fail("#{length(verdict.violations)} violations; again: #{again}")
    end
  end

  # All network namespaces share the kernel's table of them. When it is full, hosts can't be reached.
  defp check_neighbours!(nodes) do
    needed = nodes * (nodes + 1)
    most = Netns.most_neighbours()

    if needed > most do
      fail(
        "#{nodes} hosts that all talk to each other and to the DNS server are #{needed} neighbours, and the kernel keeps " <>
          "#{most}; run fewer nodes, or raise it: sysctl net.ipv4.neigh.default.gc_thresh3=#{needed}"
      )
    end
  end

  defp start(events), do: events |> Enum.map(&elem(&1, 0)) |> Enum.min()

  defp options!(arguments) do
    case OptionParser.parse(arguments, strict: @switches) do
      {options, [], []} ->
        if Enum.all?(options, &within?/1),
          do: options,
          else: fail("expected at least 1 minute, 3 to #{Plan.most()} nodes, a seed from 0 on and 2 to 64 links")

      {_, rest, invalid} ->
        unknown = rest ++ Enum.map(invalid, &elem(&1, 0))

        fail(
          "expected --minutes N, --nodes N, --seed N, --restart P%, --no-connect-all and --links N, " <>
            "got #{Enum.join(unknown, " ")}"
        )
    end
  end

  defp within?({:minutes, n}), do: n >= 1
  defp within?({:nodes, n}), do: n in 3..Plan.most()
  defp within?({:seed, n}), do: n >= 0
  defp within?({:links, n}), do: n in 2..64
  defp within?({option, _}) when option in [:restart, :connect_all], do: true

  defp percent!(text) do
    case Integer.parse(text) do
      {percent, "%"} when percent in 1..90 -> percent
      _ -> fail("expected --restart 1% to 90% of the nodes, such as 25%, got #{text}")
    end
  end

  @spec fail(String.t()) :: no_return
  defp fail(sentence) do
    IO.puts(:stderr, "bin/chaos: #{sentence}")
    System.halt(1)
  end
end
