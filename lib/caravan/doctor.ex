defmodule Caravan.Doctor do
  @moduledoc """
  Finds out why nodes don't connect, layer by layer, from the native library up to the handshake with each peer.

  `Caravan.doctor/1` and `Caravan.explain/2` print what `check/1` and `explain/2` return here: a list of
  `Caravan.Doctor.Finding`, each with a verdict and, if something is wrong, its cure. All of this also works if the
  application isn't running, if this VM isn't a node, and even if the native library is missing.

  Nothing is changed, and no cookie is ever printed. Peers that aren't connected are asked by `Caravan.Handshake`, with
  this node's cookie, so that one with another cookie logs a line.
  """

  alias Caravan.{Error, Status}
  alias Caravan.Doctor.{Dns, Facts, Finding, Lookups, Peer, Text, ThisNode}
  alias Caravan.Topology.{Config, Registry}

  @version Mix.Project.config()[:version]
  # More peers than these nobody reads about.
  @most_peers 50
  @at_once 16
  @ask_timeout 2_000

  @doc """
  Checks this node, the DNS answers of its topologies, and the peers in them that aren't connected.

  `options` are those of a topology (see `Caravan.Options`): with a `query`, that is looked up, too.
  """
  @spec check(keyword) :: [Finding.t()]
  def check(options \\ []) do
    {facts, options} = facts(options)
    this_node = ThisNode.findings(facts)
    with_library(facts, this_node, fn -> this_node ++ discovery(facts, options, facts.node) end)
  end

  @doc "Checks what stands between this node and the node `name`; the options are those of `check/1`."
  @spec explain(node | String.t(), keyword) :: [Finding.t()]
  def explain(name, options \\ []) do
    {facts, options} = facts(options)
    name = if is_atom(name) or is_binary(name), do: to_string(name), else: inspect(name)
    this_node = Enum.reject(ThisNode.findings(facts), &(&1.verdict == :ok))

    with_library(facts, this_node, fn ->
      {lookups, findings} = lookups(facts, options, facts.node || name, all?: true)
      # They keep the addresses found.
      this_node ++ findings ++ node(name, facts, lookups)
    end)
  end

  @doc false
  @spec text([Finding.t()]) :: String.t()
  def text(findings), do: Text.render(findings, heading())

  # Mix's task asks as a `:tool`, and knows the project and a `:cookie`. What a release runs by eval is no node either, and
  # can't become one. What is no list of options is for their check to refuse.
  defp facts(options) do
    {given, options} =
      if Keyword.keyword?(options), do: Keyword.split(options, [:role, :templates, :cookie]), else: {[], options}

    {Facts.collect(Map.merge(%{role: role(), templates: "rel", cookie: nil}, Map.new(given))), options}
  end

  defp role, do: if(System.get_env("RELEASE_COMMAND") == "eval" and not Node.alive?(), do: :tool, else: :node)

  # Without the library nothing else can be found out.
  defp with_library(%{library: :ok}, _findings, more), do: Enum.uniq(more.())
  defp with_library(_facts, findings, _more), do: findings

  defp heading do
    name = if Node.alive?(), do: "Node #{node()}", else: "This VM, which is not a node"
    "#{name}: Caravan #{@version}, OTP #{System.otp_release()}, Elixir #{System.version()}"
  end

  ## DNS

  defp discovery(facts, options, own) do
    {lookups, findings} = lookups(facts, options, own)
    names = lookups |> Enum.flat_map(&Lookups.names/1) |> Enum.concat(members(facts.topologies)) |> Enum.uniq()
    connected = MapSet.new(Node.list(:connected), &Atom.to_string/1)
    {up, down} = Enum.split_with(names, &MapSet.member?(connected, &1))
    connected(facts.node, length(up), length(names)) ++ findings ++ peers(facts, down)
  end

  defp connected(node, _up, all) when node == nil or all == 0, do: []

  defp connected(_node, up, all) do
    nodes = if all == 1, do: "node", else: "nodes"
    [Finding.ok(:topology, "this node is connected to #{up} of the #{all} #{nodes} below")]
  end

  # Members that DNS doesn't list just now are dialed, too.
  defp members(names) when names in [[], :not_started], do: []

  defp members(_names),
    do: for({_, {:ok, nodes}} <- Registry.call_all(:members, @ask_timeout), node <- nodes, do: Atom.to_string(node))

  # The lookups, and what is wrong with them.
  defp lookups(facts, options, own, which \\ []) do
    long? = if facts.node, do: facts.domain == :long, else: own == nil or String.contains?(own, ".")
    # Nobody looks for a node that doesn't listen.
    reader = [long?: long?, sought?: facts.node == nil or (facts.listens != [] and not facts.hidden?)] ++ which
    {answered, stuck} = running(facts.topologies)

    topologies =
      for {about, config, ages} <- given(options) ++ answered ++ configured(facts, options) do
        for lookup <- Lookups.ask(about, config, own, reader), do: %{lookup | age: ages[lookup.query]}
      end

    {Enum.concat(topologies), stuck ++ Enum.flat_map(topologies, &Dns.findings/1)}
  rescue
    error in Error -> {[], [Finding.fault(:topology, error.kind, error.message)]}
  end

  # How to refer to a query of a topology, its options, and the ages of its own answers.
  defp given([]), do: []
  defp given(options), do: [{&{:query, &1}, Config.new!(:doctor, options), %{}}]

  defp running(names) when names in [[], :not_started], do: {[], []}

  defp running(_names) do
    statuses = Registry.call_all(:status, @ask_timeout)
    {answered, stuck} = Enum.split_with(Registry.call_all(:config, @ask_timeout), &match?({_, {:ok, _}}, &1))

    {for({name, {:ok, config}} <- answered, do: {&{:topology, name, &1}, config, ages(statuses[name])}),
     for({name, :timeout} <- stuck, do: stuck(name)) ++
       for({name, {:ok, %{draining: true}}} <- statuses, do: draining(name))}
  end

  # libcluster's, which Mix hasn't started.
  defp configured(%{role: :tool}, []) do
    for {name, topology} <- Application.get_env(:libcluster, :topologies, []),
        topology[:strategy] == Caravan.Cluster.DnsStrategy,
        do: {&{:topology, name, &1}, Config.new!(name, topology[:config] || []), %{}}
  end

  defp configured(_facts, _options), do: []

  defp ages({:ok, status}), do: for(query <- status.queries, into: %{}, do: {query.query, query.age})
  defp ages(_no_answer), do: %{}

  defp stuck(name) do
    [sentence] = Status.lines(%Status{name: name, responding: false}, :infinity)
    %{Finding.fault(:topology, :not_responding, sentence) | about: {:topology, name, nil}}
  end

  defp draining(name) do
    message = "this node is draining, so it looks for nobody any more"
    cure = "restart the application :caravan if it is to stay"
    %{Finding.warning(:topology, :draining, message, cure) | about: {:topology, name, nil}}
  end

  ## Peers

  defp peers(facts, names) do
    {asked, left} = Enum.split(names, @most_peers)

    findings =
      asked
      |> Task.async_stream(&Peer.findings(Peer.collect(&1, domain(facts), facts.cookie)),
        max_concurrency: @at_once,
        timeout: :infinity
      )
      |> Enum.flat_map(fn {:ok, findings} -> findings end)

    if left == [],
      do: findings,
      else: findings ++ [Finding.ok(:handshake, "#{length(left)} more nodes that aren't connected were not asked")]
  end

  defp domain(facts), do: if(facts.node, do: facts.domain)

  defp node(name, facts, lookups) do
    listed = for lookup <- lookups, name in Lookups.names(lookup) or name in itself(lookup), do: lookup
    about = {:node, name}

    [%{listed(listed, name, lookups) | about: about} | dials(name, listed, facts.topologies)] ++
      Peer.findings(Peer.collect(name, domain(facts), facts.cookie))
  end

  defp itself(%{outcome: {:ok, %{itself: names}}}), do: names
  defp itself(_lookup), do: []

  defp listed([], name, lookups) do
    if Enum.any?(lookups, &match?({:ok, _}, &1.outcome)) do
      message = "no answer lists #{name}, or none that this node accepts, so no topology dials it"
      Finding.warning(:dns, :not_listed, message, "see the answers above for what they list and what is refused")
    else
      Finding.ok(:dns, "nothing could be looked up")
    end
  end

  defp listed(listed, _name, _lookups), do: Finding.ok(:dns, "listed by #{Enum.map_join(listed, ", ", & &1.query)}")

  # What the topologies of this node have made of it so far.
  defp dials(_name, _listed, names) when names in [[], :not_started], do: []

  defp dials(name, listed, _names) do
    for {_, {:ok, status}} <- Registry.call_all(:status, @ask_timeout),
        line = dials_line(Enum.find(status.peers, &(Atom.to_string(&1.node) == name)), status, listed) do
      %{Finding.ok(:topology, "#{inspect(status.name)}: #{line}") | about: {:node, name}}
    end
  end

  defp dials_line(nil, %{name: name, picks: picks, spares: spares}, listed) do
    if spares > 0 and Enum.any?(listed, &match?({:topology, ^name, _query}, &1.about)),
      do: "it is a spare, since the option :mesh bounds the links, and #{picks} others are picked; it isn't dialed"
  end

  defp dials_line(peer, _status, _listed), do: Status.peer_line(peer)
end
