# A node that counts all its peers as connected, and the CPU of a poll in which nothing is new. Runs in a node.
#
# What is no discovery is made as cheap as can be, for the rivals' sake: the list of connected nodes is a constant, and
# where a rival needs a topology for each query, each is given its own nodes only.

defmodule Bench.Mesh.Quiet do
  @hour 3_600_000

  alias Bench.Mesh.Subject

  # Rivals need not be there.
  @compile {:no_warn_undefined, [DNSCluster, DNSCluster.Resolver, Caravan.DnsClient.InetRes]}

  @doc "Starts the discovery of `queries`, each for `count` nodes; answers with how many were found."
  def start(subject, queries, count) do
    names =
      for {_query, index} <- Enum.with_index(queries),
          do: Enum.map(Subject.addresses(index, count), &Subject.name/1)

    pids = discovery(subject, queries, names)
    :persistent_term.put(__MODULE__, {pids, length(queries)})
    found = found(subject, pids, queries, count * length(queries))
    Enum.each(1..3, fn _ -> poll(subject, pids, length(queries)) end)
    found
  end

  @doc "µs of CPU of a poll, the whole VM."
  def cpu(subject, polls) do
    {pids, queries} = :persistent_term.get(__MODULE__)
    before = cpu_time()
    Enum.each(1..polls, fn _ -> poll(subject, pids, queries) end)
    (cpu_time() - before) / polls
  end

  ## Each subject

  defp discovery(:caravan, queries, names) do
    config = [
      query: queries,
      type: :a,
      nameservers: ["127.0.0.53"],
      poll_interval: @hour,
      max_members: names |> List.flatten() |> length()
    ]

    spec = %{topology: :quiet, config: config, connect: {__MODULE__, :connected, []}}
    {:ok, pid} = Caravan.Topology.start_link(spec)
    [pid]
  end

  defp discovery(:dns_cluster, queries, names) do
    :persistent_term.put({__MODULE__, :names}, List.flatten(names))
    {:ok, pid} = DNSCluster.start_link(query: queries, interval: @hour, resolver: __MODULE__)
    [pid]
  end

  defp discovery(:libcluster, queries, names) do
    for {query, index} <- Enum.with_index(queries) do
      config = [query: query, node_basename: "app-4370", polling_interval: @hour]
      start_strategy(Cluster.Strategy.DNSPoll, config, index, names)
    end
  end

  defp discovery(:caravan1, queries, names) do
    for {query, index} <- Enum.with_index(queries) do
      config = [query: query, node_sname: "app", poll_interval: @hour]
      start_strategy(Caravan.Cluster.DnsStrategy, config, index, names)
    end
  end

  defp start_strategy(strategy, config, index, names) do
    :persistent_term.put({__MODULE__, index}, Enum.at(names, index))

    state =
      struct!(Cluster.Strategy.State,
        topology: :"quiet#{index}",
        config: config,
        connect: {__MODULE__, :stranger, []},
        disconnect: {__MODULE__, :stranger, []},
        list_nodes: {__MODULE__, :list_nodes, [index]}
      )

    {:ok, pid} = strategy.start_link([state])
    pid
  end

  # A poll is asked for as the subject's own timer does, and is over when the process answers again.
  defp poll(:caravan, [pid], queries) do
    :erlang.trace(pid, true, [:receive])
    :ok = GenServer.call(pid, :poll)
    Enum.each(1..queries, fn _ -> looked_up(pid) end)
    barrier(pid)
    :erlang.trace(pid, false, [:receive])
    flush()
  end

  defp poll(subject, pids, _queries) do
    message = if subject == :dns_cluster, do: :discover_ips, else: :poll
    Enum.each(pids, &send(&1, message))
    Enum.each(pids, &barrier/1)
  end

  defp looked_up(pid) do
    receive do
      {:trace, ^pid, :receive, {ref, {:ok, %{added: []}}}} when is_reference(ref) -> :ok
      {:trace, ^pid, :receive, {ref, other}} when is_reference(ref) -> exit({:poll, other})
    after
      20_000 -> exit(:no_answer)
    end
  end

  # Unlike :sys.get_state it copies nothing.
  defp barrier(pid) do
    :ok = :sys.suspend(pid, 60_000)
    :ok = :sys.resume(pid, 60_000)
  end

  defp flush do
    receive do
      {:trace, _pid, :receive, _message} -> flush()
    after
      0 -> :ok
    end
  end

  # How many addresses were found: what finds fewer polls cheaper.
  defp found(:caravan, _pids, _queries, count) do
    {:ok, nodes} = Caravan.await(:quiet, min: count, timeout: 60_000)
    length(nodes)
  end

  defp found(:libcluster, pids, _queries, _count),
    do: pids |> Enum.map(&MapSet.size(:sys.get_state(&1, 60_000).meta)) |> Enum.sum()

  defp found(:dns_cluster, [pid], queries, _count) do
    barrier(pid)
    {:dictionary, dictionary} = Process.info(pid, :dictionary)

    queries
    |> Enum.map(&List.keyfind!(dictionary, {&1, :a}, 0))
    |> Enum.map(&elem(&1, 1))
    |> Enum.sum()
  end

  defp found(:caravan1, _pids, queries, _count) do
    client = Caravan.DnsClient.InetRes
    queries |> Enum.map(&length(client.get_nodes(&1))) |> Enum.sum()
  end

  ## What the subjects call

  def list_nodes(index), do: :persistent_term.get({__MODULE__, index})
  def stranger(node), do: exit({:not_known, node})

  # As net_kernel tells.
  def connected(node) do
    send(GenServer.whereis(Caravan.Topology.Registry.via(:quiet)), {:nodeup, node, %{}})
    true
  end

  # The resolver of dns_cluster, its own but for the nodes.
  def basename(node), do: DNSCluster.Resolver.basename(node)
  def list_nodes, do: :persistent_term.get({__MODULE__, :names})
  def connect_node(node), do: stranger(node)

  def lookup(query, type) do
    found = DNSCluster.Resolver.lookup(query, type)
    Process.put({query, type}, length(found))
    found
  end

  # proc(5): the first figure of schedstat is ns on a CPU.
  defp cpu_time do
    for task <- File.ls!("/proc/self/task"),
        {:ok, text} <- [File.read("/proc/self/task/#{task}/schedstat")],
        reduce: 0 do
      sum -> sum + (text |> String.split() |> hd() |> String.to_integer()) / 1_000
    end
  end
end
