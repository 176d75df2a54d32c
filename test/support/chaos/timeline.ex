defmodule Caravan.Chaos.Timeline do
  @moduledoc "How a run of the chaos is told. Pure."

  alias Caravan.Chaos.{Plan, Verdict}

  # How many of a node's last lines are shown when something went wrong.
  @tail 40

  def line(ms, text), do: "#{time(ms)}  #{text}"

  defp time(ms), do: :io_lib.format("~7.1f s", [ms / 1_000]) |> IO.iodata_to_binary()

  @doc "What the seed has chosen for all of the run."
  def settings(plan) do
    "#{plan.nodes} nodes such as #{Plan.name(plan, 1)}, net_ticktime #{plan.ticktime} s, " <>
      "poll_interval #{plan.poll_interval} ms, expire_after #{plan.expire_after} ms" <>
      if(plan.connect_all, do: "", else: ", connect_all off") <>
      if(plan.links, do: ", each picks #{plan.links} to link with", else: "")
  end

  @doc "A fault, in words."
  def fault({:dns, command}), do: "DNS: #{command}"
  def fault({:records, :silent, count}), do: "DNS lists #{count} black holes first"
  def fault({:records, :refusing, count}), do: "DNS lists #{count} refusing addresses first"

  def fault({:records, :forbidden, count}),
    do: "DNS lists #{count} addresses that :allow excludes"

  def fault({:records, :foreign, count}), do: "DNS lists #{count} that are no nodes"
  def fault({:misdirect, n}), do: "DNS is wrong about node #{n}"

  def fault({:kills, numbers}),
    do: "nodes #{Enum.join(numbers, ", ")} killed at once, to be started again at once"

  def fault({:join, n}), do: "node #{n} joins, which is new"
  def fault({:leave, n}), do: "node #{n} killed for good"
  def fault({:kill, n}), do: "node #{n} killed, to be started again"
  def fault({:crash, n}), do: "the topology of node #{n} killed"
  def fault({:pause, n}), do: "node #{n} paused"
  def fault({:cut, n}), do: "node #{n} cut off"
  def fault({:reborn, n}), do: "node #{n} cut off, killed and started again"
  def fault({:part, a, b}), do: "the link between nodes #{a} and #{b} cut"

  @doc "The verdict, as lines."
  @spec verdict(Verdict.t(), integer) :: [String.t()]
  def verdict(%{violations: violations, figures: figures}, start) do
    figures = [
      "#{figures.rounds} rounds, #{figures.faults} faults",
      "#{figures.excused_losses} ends of links to nodes that were killed, paused or cut; " <>
        "#{count(violations, :lost_link)} between healthy ones",
      "#{figures.broadcasts} broadcasts in quiet; #{count(violations, :broadcast)} not received, or not once",
      "whole again at most #{figures.slowest} ms after the last fault of a round",
      "#{figures.foreseen_partitions} times OTP took a link down to prevent overlapping partitions, of nodes at fault; " <>
        "#{count(violations, :partitions)} times of healthy ones",
      "at most #{figures.atoms} atoms and #{div(figures.bytes, 1024)} KiB more than a node had when it was young"
    ]

    violated = for {kind, at, text} <- violations, do: "VIOLATED (#{kind}) " <> line(at - start, text)

    figures ++ Enum.take(violated, @tail)
  end

  @doc "The last of what each node said until `at`, for who looks for a reason."
  @spec said([Verdict.event()], integer | :end) :: String.t()
  def said(events, at \\ :end) do
    start = events |> Enum.map(&elem(&1, 0)) |> Enum.min(fn -> 0 end)

    events
    # Any integer is less than the atom :end.
    |> Enum.reject(fn {time, who, what} ->
      who == :lab or match?({:gauge, _, _}, what) or time > at
    end)
    |> Enum.group_by(&elem(&1, 1))
    |> Enum.sort()
    |> Enum.map_join("\n", fn {node, events} ->
      lines = events |> Enum.sort_by(&elem(&1, 0)) |> Enum.take(-@tail) |> Enum.map(&told(&1, start))

      Enum.join(["node #{node}" | lines], "\n")
    end)
  end

  defp told({at, _, {:log, level, text}}, start),
    do: line(at - start, "[#{level}] #{String.slice(text, 0, 400)}")

  defp told({at, _, {:output, text}}, start), do: line(at - start, text)
  defp told({at, _, what}, start), do: line(at - start, inspect(what))

  defp count(violations, kind), do: Enum.count(violations, &(elem(&1, 0) == kind))
end
