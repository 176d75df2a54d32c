defmodule Caravan.Chaos.Stage do
  @moduledoc """
  Where a plan is carried out: the laboratory, the DNS server and the nodes, and how a fault begins and ends
  there. What the nodes say comes to the process that set the stage, as messages of their ports.
  """

  alias Caravan.{DnsServer, Netns, Vm}
  alias Caravan.Chaos.Plan

  @max_members 300
  @port 4370

  defstruct [:plan, :lab, :dns, :options, hosts: [], nodes: %{}, records: %{}]

  @type t :: %__MODULE__{}

  def max_members, do: @max_members

  @doc """
  Starts the laboratory with its DNS server and all nodes, which nobody can find yet. `more` are options for all
  topologies.
  """
  def set(plan, more \\ []) do
    lab = Netns.start()
    for n <- 1..plan.nodes, do: Netns.add_host(lab, host(n), 100 + n)

    stage = %__MODULE__{
      plan: plan,
      lab: lab,
      dns: DnsServer.start(within: lab),
      options: Keyword.merge(options(plan), more)
    }

    Enum.reduce(1..plan.nodes, stage, &start_node(&2, &1))
  end

  @doc "Publishes all nodes in the DNS."
  def publish(stage),
    do: Enum.each(1..stage.plan.nodes, &records(stage, "add", live(stage.plan, &1)))

  def clear(stage), do: Netns.stop(stage.lab)

  @doc "The node whose port this is."
  def node_of(stage, port),
    do: Enum.find_value(stage.nodes, fn {n, node} -> node.port == port && n end)

  @doc "A node has told its process id."
  def started(stage, n, os_pid), do: put_in(stage.nodes[n].os_pid, os_pid)

  @doc "How many packets were sent out of bounds so far."
  def forbidden(stage), do: Netns.trespassers(stage.lab)

  @doc "Has all ready that `fault` needs: a node that joins waits for its word."
  def prepare(stage, {:join, n}) do
    unless n in stage.hosts, do: Netns.add_host(stage.lab, host(n), 100 + n)
    start_node(%{stage | hosts: Enum.uniq([n | stage.hosts])}, n, :when_told)
  end

  def prepare(stage, _fault), do: stage

  @doc "Begins the fault of a step."
  def begin(stage, %{id: id, fault: fault}) do
    case fault do
      {:dns, command} ->
        dns(stage, "fault " <> command)

      {:records, kind, count} ->
        add_records(stage, id, Enum.flat_map(1..count, &record(stage.plan, kind, id, &1)))

      {:misdirect, n} ->
        misdirect(stage, n)

      {:kill, n} ->
        kill(stage, [n])

      {:kills, numbers} ->
        kill(stage, numbers)

      {:join, n} ->
        stage |> records("add", live(stage.plan, n)) |> tell(n, "go")

      {:leave, n} ->
        stage |> records("remove", live(stage.plan, n)) |> kill([n])

      {:crash, n} ->
        tell(stage, n, "crash")

      {:pause, n} ->
        signal(stage, n, "STOP")

      {:cut, n} ->
        cable(stage, :cut, n)

      {:reborn, n} ->
        stage |> cable(:cut, n) |> kill([n]) |> start_node(n)

      {:part, a, b} ->
        part(stage, &Netns.part/3, a, b)
    end
  end

  @doc "Ends it. A node that was killed is there again only when it says so."
  def finish(stage, %{id: id, fault: fault}) do
    case fault do
      {:dns, _} -> dns(stage, "fault none")
      {:records, _, _} -> remove_records(stage, id)
      {:misdirect, n} -> direct(stage, n)
      {:kill, n} -> start_node(stage, n)
      {:kills, numbers} -> Enum.reduce(numbers, stage, &start_node(&2, &1))
      {kind, _} when kind in [:crash, :join, :leave] -> stage
      {:pause, n} -> signal(stage, n, "CONT")
      {:cut, n} -> cable(stage, :heal, n)
      {:reborn, n} -> cable(stage, :heal, n)
      {:part, a, b} -> part(stage, &Netns.join/3, a, b)
    end
  end

  @doc "Has the nodes broadcast number `k`."
  def broadcast(stage, numbers, k), do: Enum.each(numbers, &tell(stage, &1, "broadcast #{k}"))

  @doc "Which nodes end by the fault."
  def killed({kind, n}) when kind in [:kill, :reborn, :leave], do: [n]
  def killed({:kills, numbers}), do: numbers
  def killed(_), do: []

  @doc "Which nodes have to say that they are there before the fault has ended."
  def awaited({:join, n}), do: [n]
  def awaited({:leave, _}), do: []
  def awaited(fault), do: killed(fault)

  ## Nodes

  defp start_node(stage, n, from \\ :at_once) do
    options = stage.options |> :erlang.term_to_binary() |> Base.encode64()

    code = "'Elixir.Caravan.Chaos.Node':start(binary_to_term(base64:decode(\"#{options}\")), #{from})"

    args =
      ["-name", Plan.name(stage.plan, n), "-kernel", "net_ticktime", "#{stage.plan.ticktime}"] ++
        ["-connect_all", "#{stage.plan.connect_all}"] ++
        ["-pa", :logger |> :code.lib_dir() |> Path.join("ebin")] ++
        ["-noshell", "-eval", code]

    port =
      Vm.open(
        "erl",
        Vm.arguments(args, ip: {0, 0, 0, 0}),
        [within: Netns.enter(stage.lab, host(n)), env: [ERL_CRASH_DUMP_SECONDS: 0]],
        line: 65_536
      )

    put_in(stage.nodes[n], %{port: port, os_pid: nil})
  end

  defp options(plan) do
    [
      type: if(plan.naming == :host, do: :srv, else: :a),
      query: query(plan),
      nameservers: ["#{Netns.hub()}:53"],
      timeout: 1_000,
      poll_interval: plan.poll_interval,
      expire_after: plan.expire_after,
      max_members: @max_members,
      mesh: if(plan.links, do: [links: plan.links], else: :full),
      allow: ["10.77.0.0/24", "10.66.0.0/16", "10.67.0.0/16"]
    ]
  end

  defp kill(stage, numbers) do
    Enum.each(numbers, &signal(stage, &1, "KILL"))
    # What their ports still have to say is nobody's any more.
    %{stage | nodes: Map.drop(stage.nodes, numbers)}
  end

  defp signal(stage, n, signal) do
    Netns.signal(stage.lab, signal, stage.nodes[n].os_pid)
    stage
  end

  defp tell(stage, n, line) do
    Port.command(stage.nodes[n].port, line <> "\n")
    stage
  end

  ## Links

  defp cable(stage, what, n) do
    apply(Netns, what, [stage.lab, host(n)])
    stage
  end

  defp part(stage, change, a, b) do
    change.(stage.lab, host(a), 100 + b)
    change.(stage.lab, host(b), 100 + a)
    stage
  end

  defp host(n), do: "n#{n}"

  ## Records

  defp query(%{naming: :host}), do: "_chaos._tcp.chaos.test"
  defp query(%{naming: :address}), do: "chaos.test"

  defp live(%{naming: :host} = plan, n), do: target(plan, "n#{n}", Netns.address(100 + n))
  defp live(plan, n), do: ["#{query(plan)} 1 A #{Netns.address(100 + n)}"]

  defp target(plan, label, ip) do
    ["#{query(plan)} 1 SRV 0 10 #{@port} #{label}.chaos.test", "#{label}.chaos.test 1 A #{ip}"]
  end

  # New ones in each round, lower than those of the nodes.
  defp record(plan, kind, {round, step}, i) do
    # No more than 50 of a kind; four steps fit into the last byte.
    i = 60 * rem(step, 4) + i

    case {kind, plan.naming} do
      {:foreign, :host} ->
        foreign(plan, round, i)

      {:foreign, :address} ->
        [
          "#{query(plan)} 1 A #{Enum.at(~w(0.0.0.0 127.0.0.1 224.0.0.1 255.255.255.255), rem(i, 4))}"
        ]

      {_, :host} ->
        target(plan, "a#{round}-#{i}", elsewhere(kind, round, i))

      {_, :address} ->
        ["#{query(plan)} 1 A #{elsewhere(kind, round, i)}"]
    end
  end

  defp elsewhere(:silent, round, i), do: "10.66.#{rem(round, 256)}.#{i}"
  defp elsewhere(:refusing, round, i), do: "10.67.#{rem(round, 256)}.#{i}"
  defp elsewhere(:forbidden, round, i), do: "10.99.#{rem(round, 256)}.#{i}"

  # No node names: characters that no host has, ports that no node has, addresses for names.
  defp foreign(plan, round, i) do
    label =
      case rem(i, 5) do
        0 -> "x\\000y#{round}-#{i}"
        1 -> "at@sign#{round}-#{i}"
        2 -> String.duplicate("long", 15) <> "#{i}." <> String.duplicate("name", 15)
        3 -> "sp\\032ace#{i}"
        4 -> "\\255\\254#{i}"
      end

    [
      "#{query(plan)} 1 SRV 0 10 #{rem(i * 13, 70)} #{label}.chaos.test",
      "#{label}.chaos.test 1 A 10.99.1.#{i}"
    ]
  end

  defp add_records(stage, id, records) do
    records = Enum.uniq(records)
    records(stage, "add", records)
    put_in(stage.records[id], records)
  end

  defp remove_records(stage, id) do
    {records, rest} = Map.pop!(stage.records, id)
    records(stage, "remove", records)
    %{stage | records: rest}
  end

  # n is where the next node is, which will not answer to its name.
  defp misdirect(%{plan: %{naming: :host}} = stage, n) do
    dns(stage, "remove n#{n}.chaos.test")
    dns(stage, "add n#{n}.chaos.test 1 A #{Netns.address(100 + rem(n, stage.plan.nodes) + 1)}")
  end

  # A name that is an address can't be led astray; it can be missing.
  defp misdirect(stage, n) do
    records(stage, "remove", live(stage.plan, n))
    stage
  end

  defp direct(%{plan: %{naming: :host}} = stage, n) do
    dns(stage, "remove n#{n}.chaos.test")
    records(stage, "add", live(stage.plan, n))
    stage
  end

  defp direct(stage, n) do
    records(stage, "add", live(stage.plan, n))
    stage
  end

  defp records(stage, "add", records) do
    Enum.each(records, &dns(stage, "add " <> &1))
    stage
  end

  defp records(stage, "remove", records) do
    for record <- records do
      [name, _ttl | rest] = String.split(record, " ")
      dns(stage, Enum.join(["remove", name | rest], " "))
    end

    stage
  end

  defp dns(stage, command) do
    DnsServer.command(stage.dns, command)
    stage
  end
end
