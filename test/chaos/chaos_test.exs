defmodule Caravan.ChaosTest do
  @moduledoc false
  # As bin/chaos, in little: each kind of fault once, without chance.
  use ExUnit.Case, async: false
  alias Caravan.Chaos.{Plan, Run, Timeline}

  @moduletag :chaos
  @moduletag timeout: 180_000

  # With a net_ticktime of 4 s all links to a silent node are down after 5 s.
  @long 6_500

  @dns [
    "silence",
    "servfail",
    "nxdomain",
    "refused",
    "empty",
    "subset 1",
    "truncate",
    "truncate-no-tcp",
    "malformed loop",
    "malformed garbage",
    "malformed question"
  ]

  test "links between healthy nodes hold, and the mesh is whole again after each fault" do
    dns = for {command, i} <- Enum.with_index(@dns), do: {{:dns, command}, i * 700, 700}

    rounds = [
      dns ++ [{{:kill, 1}, 500, 900}, {{:crash, 2}, 2_000, 100}, {{:misdirect, 3}, 100, 4_000}],
      [
        {{:records, :silent, 50}, 0, 6_000},
        {{:records, :forbidden, 8}, 0, 6_000},
        {{:dns, "subset 3"}, 0, 4_000},
        {{:pause, 3}, 300, @long},
        {{:kill, 2}, 1_000, 500}
      ],
      [
        {{:records, :refusing, 8}, 0, 6_000},
        {{:records, :foreign, 20}, 0, 6_000},
        {{:dns, "silence"}, 0, 3_000},
        {{:cut, 4}, 300, @long},
        {{:crash, 1}, 500, 100}
      ],
      [
        {{:records, :silent, 2}, 0, 6_000},
        {{:reborn, 5}, 0, @long},
        {{:kill, 3}, 4_000, 300}
      ]
    ]

    %{verdict: verdict, events: events} = run(5, rounds, [naming: :host], [])
    assert verdict.violations == [], told(verdict, events)
    assert %{rounds: 4, excused_losses: excused} = verdict.figures
    # The faults did strike: four links of each of the five nodes killed, paused or cut.
    assert excused >= 5 * 4
  end

  test "nodes that join while another one is paused, or as it goes on, cut nothing and are linked with all" do
    rounds = [
      # All have noticed, and it stays paused for a while.
      [{{:pause, 3}, 0, @long}, {{:join, 6}, @long - 1_500, 100}],
      # All have noticed, and it goes on as the new node dials it.
      [{{:leave, 6}, 0, 100}, {{:pause, 4}, 300, @long}, {{:join, 7}, @long, 100}],
      # Nobody has noticed.
      [{{:leave, 7}, 0, 100}, {{:pause, 5}, 300, 900}, {{:join, 8}, 900, 100}]
    ]

    %{verdict: verdict, events: events} = run(5, rounds, [naming: :host], [])
    assert verdict.violations == [], told(verdict, events)
    assert verdict.figures.rounds == 3
    for n <- 6..8, m <- 1..5, do: assert(Enum.any?(events, &match?({_, ^n, {:up, ^m}}, &1)))
  end

  test "a quarter that is killed and restarted at once costs the others nothing" do
    rounds = [[{{:kills, [2, 5]}, 0, 100}], [{{:kills, [1, 8]}, 0, 2_000}]]
    %{verdict: verdict, events: events} = run(8, rounds, [naming: :address], [])
    assert verdict.violations == [], told(verdict, events)
    # The two lose six others each time, and each other.
    assert verdict.figures.excused_losses >= 2 * 12
  end

  test "where global links nobody, Caravan alone makes the mesh whole again" do
    rounds = [
      [{{:kills, [2, 5]}, 0, 100}, {{:dns, "silence"}, 0, 2_000}],
      [{{:pause, 3}, 0, @long}, {{:crash, 1}, 500, 100}],
      [{{:reborn, 4}, 0, @long}]
    ]

    %{verdict: verdict, events: events} = run(5, rounds, [naming: :host, connect_all: false], [])
    assert verdict.violations == [], told(verdict, events)
    assert verdict.figures.rounds == 3
    refute Enum.any?(events, &match?({_, _, {:log, _, "global: " <> _}}, &1))
  end

  test "with two links each, the nodes are connected again after each fault, and each has its picks" do
    rounds = [
      [{{:kills, [2, 5, 8]}, 0, 100}, {{:dns, "silence"}, 0, 2_000}],
      # Most of what the restarted nodes could pick is dead.
      [{{:records, :silent, 50}, 0, 6_000}, {{:records, :refusing, 8}, 0, 6_000}, {{:kills, [3, 6]}, 500, 100}],
      [{{:pause, 4}, 0, @long}, {{:join, 9}, @long, 100}, {{:crash, 1}, 500, 100}],
      [{{:leave, 9}, 0, 100}, {{:reborn, 7}, 300, @long}]
    ]

    %{verdict: verdict, events: events} = run(8, rounds, [naming: :host, links: 2], [])
    assert verdict.violations == [], told(verdict, events)
    assert verdict.figures.rounds == 4
    # Nine of them in the third round; all got all of it.
    assert verdict.figures.broadcasts == 8 + 8 + 9 + 8
    # They are not linked with everybody.
    pairs = for {_, a, {:up, b}} <- events, a in 1..8, b in 1..8, uniq: true, do: Enum.sort([a, b])
    assert length(Enum.uniq(pairs)) < div(8 * 7, 2)
  end

  test "and a topology that takes DNS at its word is found guilty" do
    # An answer without a live node is all that it takes.
    missing = [[{{:misdirect, 2}, 0, 4_000}]]
    %{verdict: verdict} = run(3, missing, [naming: :address], disconnect: [after: 1_000])
    assert Enum.any?(verdict.violations, &match?({:lost_link, _, _}, &1))
  end

  # What is said of the first violation comes a little later.
  @later 2_000

  defp told(verdict, events) do
    # What counts comes last, where a long report is cut off at its beginning.
    {start, _, _} = Enum.min_by(events, &elem(&1, 0))
    until = with [{_, at, _} | _] <- verdict.violations, do: at + @later, else: (_ -> :end)
    Enum.join([Timeline.said(events, until) | Timeline.verdict(verdict, start)], "\n")
  end

  defp run(nodes, rounds, settings, options) do
    plan = %{Plan.new(1, nodes, [ticktime: 4] ++ settings) | poll_interval: 500}

    steps =
      for {faults, k} <- Enum.with_index(rounds, 1) do
        for {{fault, at, lasts}, i} <- Enum.with_index(faults, 1),
            do: %{id: {k, i}, fault: fault, at: at, lasts: lasts}
      end

    Run.run(plan, rounds: steps, options: options)
  end
end
