defmodule Caravan.Chaos.Plan do
  @moduledoc """
  What goes wrong, when and for how long. Pure: the seed and the number of nodes decide all of it.

  A plan is a sequence of rounds without end; `round/2` gives each. In a round a fault of the DNS, one of its
  records and one or two of the nodes and their links overlap. After it the nodes have to find together.

  Where a node is paused another one, which nobody has ever seen, joins: while it is paused, and in half of the rounds
  within a second of its return. It leaves with the next round. With `restart: percent` so many of the nodes are killed
  and restarted at once in each round, instead of what strikes single ones.

  Nodes are numbers, from 1 on; those above `nodes` are the ones that join. A fault is one of

    * `{:dns, command}`: a fault of `caravan_dns`;
    * `{:records, kind, count}`: `count` more records in the answer, addresses that are black holes (`:silent`)
      or `:refusing`, out of bounds (`:forbidden`) or names that are none (`:foreign`);
    * `{:misdirect, n}`: the DNS gives n the address of another node;
    * `{:kill, n}`: SIGKILL, and a restart by the same name; `{:crash, n}`: its topology is killed;
    * `{:kills, [n]}`: SIGKILL of all of them at once, and a restart of all at once;
    * `{:join, n}`: a new node, which is healthy from then on; `{:leave, n}`: it is killed for good;
    * `{:pause, n}`: SIGSTOP and SIGCONT; `{:cut, n}`: its cable is pulled;
    * `{:reborn, n}`: killed and started again while its cable is pulled, so that nobody hears it die;
    * `{:part, n, m}`: the packets between two nodes vanish.

  ## How long

  A node that hears nothing from another for 0.75 to 1.25 `net_ticktime` takes the link down. In between some
  nodes have done so and others have not; then OTP itself tears links between healthy nodes, to prevent
  overlapping partitions. So pauses and cuts are either over well before or long enough that every node has
  noticed. TCP may take as long again as the silence lasted until it sends the next packet.
  """

  defstruct [
    :seed,
    :nodes,
    :ticktime,
    :naming,
    :poll_interval,
    :expire_after,
    :restart,
    :links,
    connect_all: true
  ]

  # Where nodes can be; the last of these are for those that join.
  @places 99
  @joining 9

  @type node_number :: pos_integer
  @type fault ::
          {:dns, String.t()}
          | {:records, :silent | :refusing | :forbidden | :foreign, pos_integer}
          | {:misdirect | :kill | :crash | :pause | :cut | :reborn | :join | :leave, node_number}
          | {:kills, [node_number, ...]}
          | {:part, node_number, node_number}
  @type step :: %{
          id: {pos_integer, pos_integer},
          fault: fault,
          at: non_neg_integer,
          lasts: pos_integer
        }
  @type t :: %__MODULE__{
          seed: integer,
          nodes: pos_integer,
          ticktime: pos_integer,
          naming: :host | :address,
          poll_interval: pos_integer,
          expire_after: pos_integer,
          restart: pos_integer | nil,
          # How many members each node picks to link with; nil for all.
          links: pos_integer | nil,
          # Whether the nodes' `global` links all with all.
          connect_all: boolean
        }

  @dns [
    "silence",
    "servfail",
    "refused",
    "nxdomain",
    "empty",
    "subset 1",
    "subset 3",
    "shorten 2",
    "truncate",
    "truncate-no-tcp",
    "delay 700",
    "slow-tcp 5",
    "malformed loop",
    "malformed counts",
    "malformed rdata",
    "malformed id",
    "malformed question",
    "malformed label",
    "malformed garbage"
  ]

  @records for(kind <- [:silent, :refusing], count <- [2, 8, 50], do: {kind, count}) ++
             [forbidden: 8, foreign: 20, misdirect: 1]

  @nodes [
    :kill,
    :crash,
    :reborn,
    pause: :short,
    pause: :long,
    cut: :short,
    cut: :long,
    part: :short,
    part: :long
  ]

  # Those of which one must be over before OTP is quiet about the next.
  @apart [:reborn, :pause, :cut, :part]

  # A node that joins within such a time before a paused one goes on may meet it as it does so, in ms.
  @moment 1_000

  @doc "The most nodes that a plan can be for."
  def most, do: @places - @joining

  @doc "The plan of a seed. `ticktime` is net_ticktime in seconds, chosen by the seed unless given; so is `naming`."
  @spec new(integer, pos_integer, keyword) :: t
  def new(seed, nodes, opts \\ []) when nodes >= 3 and nodes <= @places - @joining do
    rand = rand(seed, :settings)
    {ticktime, rand} = pick(rand, [4, 6, 8])
    {naming, rand} = pick(rand, [:host, :address])
    {poll_interval, rand} = pick(rand, [1_000, 2_500, 5_000])
    {expire_after, _} = pick(rand, [3 * poll_interval, 60_000])

    %__MODULE__{
      seed: seed,
      nodes: nodes,
      ticktime: opts[:ticktime] || ticktime,
      naming: opts[:naming] || naming,
      poll_interval: poll_interval,
      expire_after: expire_after,
      restart: opts[:restart],
      links: opts[:links],
      connect_all: Keyword.get(opts, :connect_all, opts[:links] == nil)
    }
  end

  @doc "Round `k`, from 1 on: its faults by the time they begin, in ms from its start."
  @spec round(t, pos_integer) :: [step]
  def round(plan, k) do
    rand = rand(plan.seed, {:round, k})
    dns = {:dns, draw(plan, :dns, @dns, k)}
    {kind, count} = draw(plan, :records, @records, k)
    {second, rand} = pick(rand, [nil, :kill, :crash])

    {numbers, rand} = shuffle(rand, Enum.to_list(1..plan.nodes))
    [_, _, c | _] = numbers
    records = if kind == :misdirect, do: {:misdirect, c}, else: {:records, kind, count}
    faults = [{dns, :any}, {records, :any} | node_faults(plan, k, numbers, second)]

    {steps, _} =
      faults
      |> Enum.with_index(1)
      |> Enum.map_reduce(rand, fn {{fault, length}, index}, rand ->
        {at, rand} = between(rand, 0, latest(fault))
        {lasts, rand} = lasts(rand, fault, length, plan.ticktime * 1_000)
        {%{id: {k, index}, fault: fault, at: at, lasts: lasts}, rand}
      end)

    Enum.sort_by(steps ++ joins(plan, k, steps) ++ leaves(plan, k), &{&1.at, &1.id})
  end

  @doc "The nodes that are not healthy during `fault`."
  @spec struck(fault) :: [node_number]
  def struck({:part, a, b}), do: [a, b]
  def struck({:kills, numbers}), do: numbers
  def struck({kind, n}) when kind in [:kill, :leave | @apart], do: [n]
  def struck(_), do: []

  @doc "How long after the end of a fault a link to a node it struck may still be lost, in ms."
  @spec aftermath(t) :: pos_integer
  def aftermath(plan), do: div(plan.ticktime * 1_000 * 5, 4) + 2_000

  @doc "The name of node `n`."
  @spec name(t, node_number) :: String.t()
  def name(%{naming: :host}, n), do: "app-4370@n#{n}.chaos.test"
  def name(%{naming: :address}, n), do: "app-4370@10.77.0.#{100 + n}"

  @doc "The nodes that a text names, those that join among them."
  @spec named(t, String.t()) :: [node_number]
  def named(plan, text), do: Enum.filter(1..@places, &String.contains?(text, name(plan, &1)))

  @doc "The number of the node with this name, if it is any."
  @spec number(t, String.t()) :: node_number | nil
  def number(plan, name), do: Enum.find(1..@places, &(name(plan, &1) == name))

  # In about half of the rounds the DNS is itself again by then, and tells how soon the restarted are linked.
  defp latest({:kills, _}), do: 9_000
  defp latest(_fault), do: 3_000

  defp node_faults(%{restart: nil} = plan, k, [a, b | _] = numbers, second) do
    second = if second && plan.nodes > 3, do: [{{second, Enum.at(numbers, 3)}, :any}], else: []
    [node_fault(draw(plan, :nodes, @nodes, k), a, b) | second]
  end

  # The third is the one that DNS may be wrong about, and stays.
  defp node_faults(%{restart: percent} = plan, _k, [a, b, _ | numbers], _second) do
    count = plan.nodes |> Kernel.*(percent) |> div(100) |> max(1) |> min(plan.nodes - 1)
    [{{:kills, Enum.take([a, b | numbers], count)}, :any}]
  end

  defp node_fault({:part, length}, a, b), do: {{:part, a, b}, length}
  defp node_fault({kind, length}, a, _b), do: {{kind, a}, length}
  defp node_fault(kind, a, _b), do: {{kind, a}, if(kind == :reborn, do: :long, else: :any)}

  # Chance of its own, so that a seed means what it meant before there were joins. A number that comes again does so after
  # so many rounds that nobody remembers it.
  defp joins(plan, k, steps) do
    for %{fault: {:pause, _}, at: at, lasts: lasts} <- steps do
      {return?, rand} = pick(rand(plan.seed, {:join, k}), [true, false])

      {before, _} =
        if return? or lasts <= @moment,
          do: between(rand, 0, min(lasts, @moment)),
          else: between(rand, @moment, lasts)

      %{id: {k, 5}, fault: {:join, joining(plan, k)}, at: at + lasts - before, lasts: 100}
    end
  end

  defp leaves(_plan, 1), do: []

  defp leaves(%{restart: nil} = plan, k) do
    for {:pause, _length} <- [draw(plan, :nodes, @nodes, k - 1)],
        do: %{id: {k, 6}, fault: {:leave, joining(plan, k - 1)}, at: 0, lasts: 100}
  end

  defp leaves(_plan, _k), do: []

  defp joining(plan, k), do: plan.nodes + 1 + rem(k - 1, @places - plan.nodes)

  defp lasts(rand, _fault, :short, tick), do: between(rand, div(tick, 8), div(tick, 4))
  defp lasts(rand, _fault, :long, tick), do: between(rand, div(tick * 3, 2), tick * 2)

  defp lasts(rand, {:kills, _}, :any, _tick), do: between(rand, 100, 1_000)
  defp lasts(rand, {:kill, _}, :any, _tick), do: between(rand, 100, 4_000)
  # It is over at once; the time is its share of the round.
  defp lasts(rand, {:crash, _}, :any, _tick), do: between(rand, 100, 500)
  defp lasts(rand, _dns_or_records, :any, _tick), do: between(rand, 2_000, 8_000)

  # Each comes once before any comes again.
  defp draw(plan, name, cards, k) do
    count = length(cards)
    {deck, _} = shuffle(rand(plan.seed, {name, div(k - 1, count)}), cards)
    Enum.at(deck, rem(k - 1, count))
  end

  defp rand(seed, what), do: :rand.seed_s(:exsss, {seed, :erlang.phash2(what), 0})

  defp pick(rand, list) do
    {n, rand} = :rand.uniform_s(length(list), rand)
    {Enum.at(list, n - 1), rand}
  end

  defp between(rand, low, high) do
    {n, rand} = :rand.uniform_s(high - low + 1, rand)
    {low + n - 1, rand}
  end

  defp shuffle(rand, list) do
    {keyed, rand} =
      Enum.map_reduce(list, rand, fn item, rand ->
        {r, rand} = :rand.uniform_s(rand)
        {{r, item}, rand}
      end)

    {for({_, item} <- Enum.sort(keyed), do: item), rand}
  end
end
