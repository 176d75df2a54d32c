defmodule Caravan.Chaos.Run do
  @moduledoc """
  Carries a plan out, round by round, and has what happened judged. The process that calls `run/2` owns all that
  is started; with it, all of that ends.
  """

  alias Caravan.Chaos.{Mesh, Node, Plan, Stage, Timeline, Verdict}

  @start_within 60_000
  @form_within 30_000
  @restart_within 30_000
  # How long after the end of a round's faults is looked at, at most, and once the mesh is whole.
  @recover_within 12_000
  @calm 1_500
  # How long is waited for what all nodes broadcast in quiet.
  @reach_within 5_000

  defstruct [
    :plan,
    :stage,
    :start,
    :say,
    :mesh,
    events: [],
    ready: MapSet.new(),
    awaited: MapSet.new()
  ]

  @doc """
  Runs `rounds`, lists of steps as `Plan.round/2` gives them and by default all of those, until so many `ms` have
  passed; answers with the verdict.

  `say` is called with each line of the timeline, `options` are added to those of the topologies. Raises when the
  nodes don't even start.
  """
  @spec run(Plan.t(), keyword) :: %{verdict: Verdict.t(), events: [Verdict.event()]}
  def run(plan, opts) do
    say = Keyword.get(opts, :say, fn _ -> :ok end)
    stage = Stage.set(plan, Keyword.get(opts, :options, []))

    try do
      mesh = Mesh.new(plan.links)
      state = %__MODULE__{plan: plan, stage: stage, start: Node.now(), say: say, mesh: mesh}

      rounds =
        Keyword.get_lazy(opts, :rounds, fn ->
          Stream.map(Stream.iterate(1, &(&1 + 1)), &Plan.round(plan, &1))
        end)

      until = if ms = opts[:ms], do: state.start + ms, else: :infinity
      state = state |> form() |> rounds(rounds, until) |> forbidden()
      # In the order in which each node told them, which counts where the times are the same.
      events = Enum.reverse(state.events)
      %{verdict: Verdict.judge(plan, events, Stage.max_members()), events: events}
    after
      Stage.clear(stage)
    end
  end

  defp form(state) do
    everybody = MapSet.new(1..state.plan.nodes)
    state = await(state, @start_within, "all nodes up", &(&1.mesh.alive == everybody))
    Stage.publish(state.stage)
    from = Node.now()
    state = await(state, @form_within, "a first mesh", &Mesh.whole?(&1.mesh))

    say(
      state,
      "#{state.plan.nodes} nodes are a mesh, #{Node.now() - from} ms after their records were added"
    )

    quiet(state)
  end

  # Any integer is less than the atom :infinity.
  defp rounds(state, rounds, until) do
    rounds
    |> Stream.with_index(1)
    |> Enum.reduce_while(state, fn {steps, k}, state ->
      if Node.now() < until, do: {:cont, round(state, steps, k)}, else: {:halt, state}
    end)
  end

  defp round(state, steps, k) do
    say(state, "round #{k}")
    state = prepare(state, steps)
    from = Node.now()

    acts =
      for step <- steps,
          {at, act} <- [{step.at, :begin}, {step.at + step.lasts, :finish}],
          do: {at, act, step}

    state = acts |> Enum.sort_by(&elem(&1, 0)) |> Enum.reduce(state, &act(&2, from, &1))
    ended = Node.now()
    state = tick_until(state, ended + @recover_within, &Mesh.whole?(&1.mesh))
    took = Node.now() - ended

    say(
      state,
      if(Mesh.whole?(state.mesh),
        do: "  whole #{took} ms after the last fault",
        else: "  NOT WHOLE after #{took} ms: #{Mesh.missing(state.mesh)}"
      )
    )

    state |> quiet() |> broadcast(k) |> forbidden() |> record(:lab, :over)
  end

  # Whatever has been done to the links, all get what is sent now.
  defp broadcast(state, k) do
    if Mesh.whole?(state.mesh) do
      Stage.broadcast(state.stage, state.mesh.alive, k)
      count = MapSet.size(state.mesh.alive)

      state
      |> record(:lab, {:broadcast, k, Enum.sort(state.mesh.alive)})
      |> tick_until(Node.now() + @reach_within, &(got(&1) >= count * count))
    else
      state
    end
  end

  # Since they were told to; the newest event comes first.
  defp got(state) do
    state.events
    |> Enum.take_while(&(not match?({_, :lab, {:broadcast, _, _}}, &1)))
    |> Enum.count(&match?({_, _, {:got, _, _}}, &1))
  end

  # The mesh is whole, or was given up, and no fault is under way.
  defp quiet(state), do: tick_until(state, Node.now() + @calm, fn _ -> false end)

  defp prepare(state, steps) do
    joining = for %{fault: {:join, n}} <- steps, into: MapSet.new(), do: n
    stage = Enum.reduce(steps, state.stage, &Stage.prepare(&2, &1.fault))
    state = %{state | stage: stage, ready: MapSet.new()}

    await(state, @restart_within, "nodes ready to join", &MapSet.subset?(joining, &1.ready))
  end

  defp act(state, from, {at, :begin, step}) do
    state = tick_until(state, from + at, fn _ -> false end)
    say(state, "  #{Timeline.fault(step.fault)}, for #{step.lasts} ms")
    state = record(state, :lab, {:begin, step.id, step.fault})
    state = %{state | stage: Stage.begin(state.stage, step)}

    awaited = step.fault |> Stage.awaited() |> Enum.into(state.awaited)

    step.fault
    |> Stage.killed()
    |> Enum.reduce(%{state | awaited: awaited}, &record(&2, &1, {:ended, :killed}))
  end

  defp act(state, from, {at, :finish, step}) do
    state = tick_until(state, from + at, fn _ -> false end)
    state = %{state | stage: Stage.finish(state.stage, step)}
    awaited = step.fault |> Stage.awaited() |> MapSet.new()
    what = "after \"#{Timeline.fault(step.fault)}\": all there"
    state = await(state, @restart_within, what, &MapSet.disjoint?(awaited, &1.awaited))
    say(state, "  over: #{Timeline.fault(step.fault)}")
    record(state, :lab, {:end, step.id})
  end

  ## Events

  defp await(state, ms, what, done?) do
    state = tick_until(state, Node.now() + ms, done?)

    if done?.(state),
      do: state,
      else: raise("not within #{ms} ms: #{what}\n#{Timeline.said(state.events)}")
  end

  defp tick_until(state, until, done?) do
    if done?.(state) do
      state
    else
      receive do
        {port, message} when is_port(port) ->
          state |> hear(port, message) |> tick_until(until, done?)
      after
        max(until - Node.now(), 0) -> state
      end
    end
  end

  defp hear(%{stage: %{lab: %{port: port}}}, port, {:exit_status, status}),
    do: raise("the laboratory ended with #{status}")

  defp hear(state, port, message) do
    case {Stage.node_of(state.stage, port), message} do
      {nil, _} -> state
      {n, {:data, {:eol, "@" <> event}}} -> heard(state, n, event)
      {n, {:data, {_, text}}} -> record(state, n, {:output, text})
      {n, {:exit_status, status}} -> ended(state, n, status)
    end
  end

  # Nothing that the plan says of the node can be done any more.
  defp ended(state, n, status) do
    state = record(state, n, {:ended, status})
    raise "node #{n} ended by itself with #{status}\n#{Timeline.said(state.events)}"
  end

  defp heard(state, n, line) do
    {at, _node, what} = line |> Base.decode64!() |> :erlang.binary_to_term()

    case what do
      {:hello, os_pid} ->
        stage = Stage.started(state.stage, n, os_pid)
        record(%{state | stage: stage, awaited: MapSet.delete(state.awaited, n)}, n, :hello, at)

      {:ready, os_pid} ->
        stage = Stage.started(state.stage, n, os_pid)
        %{state | stage: stage, ready: MapSet.put(state.ready, n)}

      {:up, peer} ->
        record(state, n, {:up, number(state, peer)}, at)

      {:down, peer, reason} ->
        record(state, n, {:down, number(state, peer), reason}, at)

      {:got, peer, k} ->
        record(state, n, {:got, number(state, peer), k}, at)

      other ->
        record(state, n, other, at)
    end
  end

  defp number(%{plan: plan}, peer), do: Plan.number(plan, Atom.to_string(peer)) || peer

  defp forbidden(state), do: record(state, :lab, {:forbidden, Stage.forbidden(state.stage)})

  defp record(state, who, what, at \\ Node.now()) do
    %{state | events: [{at, who, what} | state.events], mesh: Mesh.change(state.mesh, who, what)}
  end

  defp say(state, text), do: state.say.(Timeline.line(Node.now() - state.start, text))
end
