defmodule Caravan.Chaos.Verdict do
  @moduledoc """
  What must hold, judged over the events of a run. Pure.

  An event is `{time in ms, who, what}`. Who is a node's number, or `:lab` for what the run itself did. Events
  of different nodes may come in any order; the time decides.

    * `{:begin, id, fault}` and `{:end, id}`, of the lab; a killed node's fault ends when the node is there again
    * `:over`, of the lab: the end of a round, before the next fault
    * `:hello`, `{:ended, reason}`: a node is there, or is gone
    * `{:up, peer}`, `{:down, peer, reason}`: a link
    * `{:log, level, text}`, `{:gauge, atoms, bytes}`
    * `{:broadcast, k, nodes}`, of the lab: these nodes broadcast number `k` in quiet; `{:got, from, k}`: a node got it
    * `{:forbidden, packets}`, of the lab: packets sent out of bounds so far
  """

  alias Caravan.Chaos.{Mesh, Plan}

  # The mesh is whole again so long after the last fault's end.
  @whole_within 10_000

  # Atoms beyond those that DNS names may cost: modules are loaded as they are needed.
  @atoms 2_000
  @bytes 64 * 1024 * 1024

  # Where members are kept so long, none expires and comes back within a round.
  @memory 60_000

  @type who :: pos_integer | :lab
  @type event :: {integer, who, term}
  @type violation :: {atom, integer, String.t()}
  @type t :: %{violations: [violation], figures: map}

  @doc "Judges a run. `max_members` is the option that all nodes had."
  @spec judge(Plan.t(), [event], pos_integer) :: t
  def judge(plan, events, max_members) do
    events = Enum.sort_by(events, &elem(&1, 0))
    windows = windows(plan, events)
    {losses, excused} = losses(events, windows)
    {partitions, foreseen} = partitions(plan, events, windows)
    {late, slowest, rounds} = meshes(plan, events)
    {growth, grown} = growth(events, max_members)

    violations =
      losses ++
        partitions ++
        late ++
        growth ++
        unreached(events) ++
        deaths(events, windows) ++ crashes(events) ++ repeated(plan, events) ++ forbidden(events)

    %{
      violations: Enum.sort_by(violations, &elem(&1, 1)),
      figures: %{
        rounds: rounds,
        broadcasts: Enum.sum(for {_, :lab, {:broadcast, _, nodes}} <- events, do: length(nodes)),
        faults: Enum.count(events, &match?({_, _, {:begin, _, _}}, &1)),
        excused_losses: excused,
        foreseen_partitions: foreseen,
        slowest: slowest,
        atoms: grown.atoms,
        bytes: grown.bytes
      }
    }
  end

  @doc "Which nodes each fault strikes, and from when to when that may cost them links."
  @spec windows(Plan.t(), [event]) :: [
          %{nodes: [pos_integer], from: integer, to: integer | :infinity}
        ]
  def windows(plan, events) do
    ends = for {at, :lab, {:end, id}} <- events, into: %{}, do: {id, at + Plan.aftermath(plan)}

    for {at, :lab, {:begin, id, fault}} <- events, nodes = Plan.struck(fault), nodes != [] do
      %{nodes: nodes, from: at, to: Map.get(ends, id, :infinity)}
    end
  end

  ## Nothing healthy is lost

  defp losses(events, windows) do
    {excused, lost} =
      Enum.split_with(for({_, _, {:down, _, _}} = event <- events, do: event), fn {at, node, {:down, peer, _}} ->
        struck?(windows, at, [node, peer])
      end)

    {for({at, node, {:down, peer, reason}} <- lost) do
       {:lost_link, at, "#{node} lost its link to #{peer} (#{inspect(reason)}), both healthy"}
     end, length(excused)}
  end

  # OTP says in the log when it takes down a link to prevent overlapping partitions.
  defp partitions(plan, events, windows) do
    lines =
      for {at, node, {:log, _, text}} <- events,
          String.contains?(text, "prevent overlapping partitions"),
          do: {at, node, text}

    {foreseen, others} =
      Enum.split_with(lines, fn {at, node, text} ->
        struck?(windows, at, [node | Plan.named(plan, text)])
      end)

    {for({at, node, text} <- others, do: {:partitions, at, "#{node}: #{text}"}), length(foreseen)}
  end

  defp struck?(windows, at, nodes) do
    Enum.any?(windows, fn window ->
      at >= window.from and at <= window.to and Enum.any?(nodes, &(&1 in window.nodes))
    end)
  end

  ## The mesh is whole again in time

  defp meshes(plan, events) do
    start = %{
      mesh: Mesh.new(plan.links),
      open: MapSet.new(),
      since: nil,
      whole_at: nil,
      late: [],
      slowest: 0,
      rounds: 0
    }

    state = Enum.reduce(events, start, &step/2)
    {Enum.reverse(state.late), state.slowest, state.rounds}
  end

  defp step({at, :lab, {:begin, id, _}}, state),
    do: observe(%{state | open: MapSet.put(state.open, id), since: nil}, at)

  defp step({at, :lab, {:end, id}}, state),
    do: observe(%{state | open: MapSet.delete(state.open, id), since: at, whole_at: nil}, at)

  defp step({at, :lab, :over}, state) do
    took = state.whole_at && state.since && max(state.whole_at - state.since, 0)

    late =
      cond do
        MapSet.size(state.open) > 0 -> "a fault has not ended"
        took == nil -> "not whole after the last fault: #{Mesh.missing(state.mesh)}"
        took > @whole_within -> "whole only #{took} ms after the last fault"
        true -> nil
      end

    late = if late, do: [{:late_mesh, at, late} | state.late], else: state.late
    %{state | late: late, slowest: max(state.slowest, took || 0), rounds: state.rounds + 1}
  end

  defp step({at, who, what}, state),
    do: observe(%{state | mesh: Mesh.change(state.mesh, who, what)}, at)

  # Whole from when on: a loss takes it back.
  defp observe(state, at) do
    whole? = Mesh.whole?(state.mesh)
    %{state | whole_at: if(whole?, do: state.whole_at || at, else: nil)}
  end

  ## What is sent in quiet reaches all, once

  defp unreached(events) do
    got = Enum.frequencies(for {_, to, {:got, from, k}} <- events, do: {k, from, to})

    for {at, :lab, {:broadcast, k, nodes}} <- events,
        from <- nodes,
        to <- nodes,
        times = Map.get(got, {k, from, to}, 0),
        times != 1 do
      {:broadcast, at, "#{to} got broadcast #{k} of #{from} #{times} times"}
    end
  end

  ## Bounds

  # From each life's first full second on; code is still being loaded before.
  defp growth(events, max_members) do
    lives =
      events
      |> Enum.reduce(%{}, fn
        {_, node, :hello}, gauges ->
          Map.update(gauges, node, [[]], &[[] | &1])

        {at, node, {:gauge, atoms, bytes}}, gauges ->
          Map.update(gauges, node, [[{at, atoms, bytes}]], fn [life | old] ->
            [[{at, atoms, bytes} | life] | old]
          end)

        _, gauges ->
          gauges
      end)
      |> Enum.flat_map(fn {node, lives} -> for life <- lives, do: {node, Enum.reverse(life)} end)

    growths =
      for {node, [_, {_, atoms0, bytes0} | rest]} <- lives, {at, atoms, bytes} <- rest do
        %{node: node, at: at, atoms: atoms - atoms0, bytes: bytes - bytes0}
      end

    most = fn key -> growths |> Enum.map(& &1[key]) |> Enum.max(fn -> 0 end) end

    violations =
      for {key, bound} <- [atoms: 2 * max_members + @atoms, bytes: @bytes],
          worst = Enum.max_by(growths, & &1[key], fn -> nil end),
          worst[key] > bound do
        {key, worst.at, "#{worst.node} has #{worst[key]} more #{key} than when it was young, bound #{bound}"}
      end

    {violations, %{atoms: most.(:atoms), bytes: most.(:bytes)}}
  end

  defp deaths(events, windows) do
    for {at, node, {:ended, reason}} <- events, not struck?(windows, at, [node]) do
      {:death, at, "#{node} ended by itself: #{inspect(reason)}"}
    end
  end

  # A topology that the run has killed says nothing: its supervisor's report is not an error of its own.
  defp crashes(events) do
    for {at, node, {:log, level, text}} <- events,
        level in [:error, :critical, :alert, :emergency],
        text =~ "Caravan",
        not (text =~ ~r/reason: killed/i) do
      {:crash, at, "#{node}: #{String.slice(text, 0, 500)}"}
    end
  end

  # A state is told once: of a peer, that it can't be reached, until it is connected; of a query, that it
  # fails, until it is answered. A member that expired is a new one when it comes back.
  defp repeated(%{expire_after: expire_after}, _events) when expire_after < @memory, do: []

  defp repeated(_plan, events) do
    {violations, _} =
      Enum.reduce(events, {[], %{}}, fn
        {_, node, :hello}, {violations, said} ->
          {violations, Map.delete(said, node)}

        # A new topology knows nothing of what the old one said.
        {_, :lab, {:begin, _, {:crash, node}}}, {violations, said} ->
          {violations, Map.delete(said, node)}

        {at, node, {:log, _, "[caravan " <> _ = text}}, {violations, said} ->
          {subject, state} = statement(text)
          again? = subject != nil and get_in(said, [node, subject]) == state
          again = if again?, do: [{:repeated, at, "#{node} again: #{text}"}], else: []

          {again ++ violations, Map.update(said, node, %{subject => state}, &Map.put(&1, subject, state))}

        _, acc ->
          acc
      end)

    violations
  end

  defp statement(text) do
    cond do
      match = Regex.run(~r/can't connect to ([^:\s]+)/, text) ->
        {Enum.at(match, 1), :unreachable}

      match = Regex.run(~r/ (\S+@\S+) is connected/, text) ->
        {Enum.at(match, 1), :connected}

      match = Regex.run(~r/ (\S+@\S+) is disconnected/, text) ->
        {Enum.at(match, 1), :disconnected}

      text =~ "succeed again" ->
        {:query, :answered}

      text =~ "Known peers are kept" ->
        {:query, :failing}

      true ->
        {nil, nil}
    end
  end

  defp forbidden(events) do
    for {at, :lab, {:forbidden, packets}} <- events, packets > 0 do
      {:forbidden, at, "#{packets} packets were sent to addresses that :allow excludes"}
    end
  end
end
