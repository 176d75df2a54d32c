defmodule Caravan.PlumtreeSim do
  @moduledoc false
  # Many nodes at once: their links keep the order of what is sent, take a random time for it, and lose what is under way
  # when they are cut.

  alias Caravan.Broadcast.Plumtree

  defstruct [:rand, nodes: %{}, edges: %{}, queue: :gb_sets.new(), now: 0, seq: 0] ++
              [counters: %{}, delivered: %{}, sent: %{}, busy: 0.0]

  def new(seed), do: %__MODULE__{rand: :rand.seed_s(:exsss, seed)}

  def random(sim, n) do
    {value, rand} = :rand.uniform_s(n, sim.rand)
    {value, %{sim | rand: rand}}
  end

  def pick(sim, list) do
    {n, sim} = random(sim, length(list))
    {Enum.at(list, n - 1), sim}
  end

  @doc "A connected graph: a random tree, and more links until there are `degree / 2` for each node."
  def graph(sim, size, degree) do
    sim = Enum.reduce(1..size, sim, &join(&2, &1, 1))
    more = max(0, div(size * degree, 2) - size + 1)

    Enum.reduce(List.duplicate(nil, more), sim, fn _, sim ->
      {a, sim} = random(sim, size)
      {b, sim} = random(sim, size)
      if a == b, do: sim, else: link(sim, a, b)
    end)
  end

  def join(sim, node, links) do
    others = live(sim)
    sim = put_in(sim.nodes[node], Plumtree.new(node))

    Enum.reduce(1..links, sim, fn _, sim ->
      if others == [] do
        sim
      else
        {other, sim} = pick(sim, others)
        link(sim, node, other)
      end
    end)
  end

  def live(sim), do: Map.keys(sim.nodes)

  def link(sim, a, b) do
    if is_map_key(sim.edges, {a, b}) do
      sim
    else
      # A frame is lost with its link, also when there is a new one.
      edges = Map.merge(sim.edges, %{{a, b} => {sim.seq, sim.now}, {b, a} => {sim.seq, sim.now}})

      sim = %{sim | edges: edges, seq: sim.seq + 1}
      sim |> event(a, &Plumtree.up(&1, b)) |> event(b, &Plumtree.up(&1, a))
    end
  end

  def cut(sim, a, b) do
    sim = %{sim | edges: sim.edges |> Map.delete({a, b}) |> Map.delete({b, a})}
    sim |> event(a, &Plumtree.down(&1, b)) |> event(b, &Plumtree.down(&1, a))
  end

  def kill(sim, node) do
    peers = for {^node, peer} <- Map.keys(sim.edges), do: peer
    sim = %{sim | nodes: Map.delete(sim.nodes, node)}
    Enum.reduce(peers, sim, &cut(&2, node, &1))
  end

  def broadcast(sim, node) do
    n = Map.get(sim.counters, node, 0) + 1
    id = {node, n}
    sim = %{sim | counters: Map.put(sim.counters, node, n)}
    sim = %{sim | delivered: Map.update(sim.delivered, {id, node}, 1, &(&1 + 1))}
    {id, event(sim, node, &Plumtree.broadcast(&1, sim.now, id, {:message, ""}))}
  end

  @doc "Lets all happen that is to happen within `ms`."
  def run(sim, ms), do: run_until(sim, sim.now + ms)

  defp run_until(sim, until) do
    wakeups = for {node, tree} <- sim.nodes, do: {Plumtree.next_wakeup(tree), node}
    {wake_at, waker} = Enum.min(wakeups)

    arrival =
      if :gb_sets.is_empty(sim.queue),
        do: :infinity,
        else: elem(:gb_sets.smallest(sim.queue), 0)

    cond do
      min(wake_at, arrival) > until ->
        %{sim | now: until}

      wake_at < arrival ->
        sim |> at(wake_at) |> event(waker, &Plumtree.tick(&1, wake_at)) |> run_until(until)

      true ->
        sim |> at(arrival) |> arrive() |> run_until(until)
    end
  end

  defp at(sim, now), do: %{sim | now: max(now, sim.now)}

  defp arrive(sim) do
    {{_, _, {from, to, edge, frame}}, queue} = :gb_sets.take_smallest(sim.queue)
    sim = %{sim | queue: queue}

    case sim.edges do
      %{{^from, ^to} => {^edge, _}} -> hear(sim, from, to, frame)
      _ -> sim
    end
  end

  defp hear(sim, from, to, {:gossip, id, message}) do
    tree = sim.nodes[to]

    {times, {effects, tree}} =
      if Plumtree.seen?(tree, id),
        do: {0, Plumtree.again(tree, sim.now, from, id)},
        else: {1, Plumtree.first(tree, sim.now, from, id, message)}

    delivered = Map.update(sim.delivered, {id, to}, times, &(&1 + times))
    perform(put_in(%{sim | delivered: delivered}.nodes[to], tree), to, effects)
  end

  defp hear(sim, from, to, {:ihave, ids}),
    do: event(sim, to, &Plumtree.ihave(&1, sim.now, from, ids))

  defp hear(sim, from, to, {:graft, ids}), do: event(sim, to, &Plumtree.graft(&1, from, ids))
  defp hear(sim, from, to, :prune), do: event(sim, to, &Plumtree.prune(&1, from))

  defp event(sim, node, fun) do
    case sim.nodes do
      %{^node => tree} ->
        {effects, tree} = fun.(tree)
        perform(put_in(sim.nodes[node], tree), node, effects)

      _ ->
        sim
    end
  end

  defp perform(sim, node, effects) do
    for({:send, peers, frame} <- effects, peer <- peers, do: {peer, frame})
    |> Enum.reduce(sim, fn {peer, frame}, sim -> post(sim, node, peer, frame) end)
  end

  defp post(sim, from, to, frame) do
    {chance, rand} = :rand.uniform_s(sim.rand)
    sim = %{sim | rand: rand}

    cond do
      not is_map_key(sim.edges, {from, to}) -> sim
      chance < sim.busy -> update_in(sim.nodes[from], &Plumtree.unsent(&1, sim.now, to, frame))
      true -> send_off(sim, from, to, frame)
    end
  end

  defp send_off(sim, from, to, frame) do
    {delay, sim} = random(sim, 10)
    {edge, last} = sim.edges[{from, to}]
    at = max(last, sim.now + delay)
    word = if is_tuple(frame), do: elem(frame, 0), else: frame

    %{
      sim
      | queue: :gb_sets.add_element({at, sim.seq, {from, to, edge, frame}}, sim.queue),
        edges: Map.put(sim.edges, {from, to}, {edge, at}),
        sent: Map.update(sim.sent, word, 1, &(&1 + 1)),
        seq: sim.seq + 1
    }
  end

  def connected?(sim) do
    [first | _] = live = live(sim)
    reached = reach(sim, [first], MapSet.new([first]))
    MapSet.size(reached) == length(live)
  end

  defp reach(_sim, [], reached), do: reached

  defp reach(sim, [node | rest], reached) do
    next = for {^node, peer} <- Map.keys(sim.edges), peer not in reached, do: peer
    reach(sim, next ++ rest, MapSet.union(reached, MapSet.new(next)))
  end

  def times(sim, id), do: for(node <- live(sim), do: Map.get(sim.delivered, {id, node}, 0))
end
