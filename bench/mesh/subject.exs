# Who is compared. `children/2` runs in the nodes, the rest where the bench does.

defmodule Bench.Mesh.Subject do
  @base "app-4370"
  @port 4370

  defstruct [:id, :label, :paths]

  @type t :: %__MODULE__{}

  @rivals [
    libcluster: {"libcluster", [Cluster.Supervisor, Cluster.Strategy, Cluster.Strategy.DNSPoll]},
    dns_cluster: {"dns_cluster", [DNSCluster, DNSCluster.Resolver]},
    caravan1: {"Caravan 1.0", [Cluster.Supervisor, Cluster.Strategy, Caravan.DnsClient.InetRes]}
  ]

  @doc "Caravan and the rivals, all of them; `paths` is nil where one was not found in `folders`."
  def all(folders) do
    own = %__MODULE__{id: :caravan, label: "Caravan", paths: []}

    [
      own
      | for {id, {label, modules}} <- @rivals do
          found? = Enum.all?(modules, fn module -> Enum.any?(folders, &beam?(&1, module)) end)
          %__MODULE__{id: id, label: label, paths: if(found?, do: folders)}
        end
    ]
  end

  defp beam?(folder, module), do: File.exists?(Path.join(folder, "#{module}.beam"))

  def found(subjects), do: Enum.filter(subjects, & &1.paths)

  def name(ip), do: :"#{@base}@#{ip}"

  @doc "`Node.connect` to all of a list, again and again: what there is without any discovery."
  def plain, do: %__MODULE__{id: :plain, label: "Node.connect", paths: []}

  @doc "How a VM knows the port of all nodes, without an epmd. Rivals have the kernel's own way, without Caravan."
  def port_flags(:caravan), do: ~w(-epmd_module caravan_epmd)
  def port_flags(_rival), do: ~w(-erl_epmd_port #{@port})

  @doc "The DNS record of a node at `ip`: the names are the same for all."
  def record(id, query, ip, ttl \\ 5)
  def record(:caravan1, query, ip, ttl), do: "#{query} #{ttl} SRV 0 10 #{@port} #{ip}"
  def record(_id, query, ip, ttl), do: "#{query} #{ttl} A #{ip}"

  @doc "What a node is given to find the others at `ips`, for `children/2`."
  def target(:plain, _query, ips), do: Enum.map(ips, &name/1)
  def target(_id, query, _ips), do: query

  @doc "The same for a subject whose nodes pick that many to link with."
  def bounded(query, nil), do: query
  def bounded(query, links) when is_binary(query), do: {query, links}

  @doc "The addresses that query number `index` of a quiet poll finds."
  def addresses(index, count) do
    for i <- 1..count, do: "10.#{index}.#{div(i, 250)}.#{rem(i, 250) + 1}"
  end

  @doc "What an application puts into its supervisor; all intervals are the defaults."
  def children(:caravan, {query, links}), do: caravan(query, mesh: [links: links])
  def children(:caravan, query), do: caravan(query, [])

  def children(:libcluster, query) do
    config = [query: query, node_basename: @base]
    [cluster(mesh: [strategy: Cluster.Strategy.DNSPoll, config: config])]
  end

  # Its names are the base, the record's port and the record's target, which may look like an address.
  def children(:caravan1, query) do
    config = [query: query, node_sname: "app"]
    [cluster(mesh: [strategy: Caravan.Cluster.DnsStrategy, config: config])]
  end

  def children(:dns_cluster, query), do: [{DNSCluster, query: query}]

  def children(:plain, names),
    do: [{Task, fn -> connect(List.delete(names, node())) end}]

  defp caravan(query, more) do
    options = [query: query, type: :a, nameservers: ["127.0.0.53"]]
    [{Caravan, topologies: [mesh: options ++ more]}]
  end

  # As many at a time as Task.async_stream/3 takes by itself, and as often as the others look for nodes.
  defp connect(names) do
    new = names -- Node.list()
    new |> Task.async_stream(&Node.connect/1, timeout: :infinity) |> Stream.run()
    Process.sleep(5_000)
    connect(names)
  end

  defp cluster(topologies), do: {Cluster.Supervisor, [topologies, [name: Bench.Mesh.Cluster]]}
end
