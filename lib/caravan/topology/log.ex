defmodule Caravan.Topology.Log do
  @moduledoc false
  # Reports what happens in a topology: a log line when a state changes, and a telemetry event each time. Every log
  # line of a topology is here.

  require Logger
  alias Caravan.Telemetry
  alias Caravan.Topology.{Peers, Queries}
  alias Caravan.Topology.Queries.Query

  @type event ::
          :alone
          | {:ill_named, node, Queries.note()}
          | {:lookup_started, query :: String.t()}
          | {:looked_up, Query.outcome()}
          | {:member, node, :added | :expired}
          | {:peer, node, Peers.event()}
          | {:disconnecting, node, after_ms :: pos_integer}
          | {:not_disconnected, node, reason :: String.t()}
          | {:unlisted, reason :: String.t()}
          | {:crowded, members :: pos_integer}

  @spec tell(atom, event) :: :ok
  def tell(topology, :alone) do
    Logger.warning(
      "#{prefix(topology)}this node is not distributed and can't join a cluster; start it with --name or " <>
        "--sname, or set RELEASE_DISTRIBUTION in a release"
    )
  end

  def tell(topology, {:unlisted, reason}) do
    Logger.warning(
      "#{prefix(topology)}list_nodes failed: #{reason}. Known peers are kept. " <>
        "Retrying; further failures are not logged"
    )
  end

  def tell(topology, {:crowded, members}) do
    Logger.warning(
      "#{prefix(topology)}#{members} members are many for a full mesh kept by global, which connects all of them to all, and " <>
        "drops connections between healthy nodes when others are lost. If nothing needs global's names and locks, write " <>
        "-connect_all false in vm.args, on all nodes; mesh: [links: n] then also bounds each node's connections"
    )
  end

  def tell(topology, {:not_disconnected, node, reason}) do
    Logger.warning(
      "#{prefix(topology)}disconnect failed for #{node}: #{reason}. " <>
        "Retrying; further failures are not logged",
      node: node
    )
  end

  def tell(topology, {:ill_named, node, note}),
    do: Logger.warning("#{prefix(topology)}#{ill_named(node, note)}")

  def tell(topology, {:lookup_started, query}) do
    Telemetry.execute([:caravan, :lookup, :start], %{system_time: System.system_time()}, %{
      topology: topology,
      query: query
    })
  end

  def tell(topology, {:looked_up, %{query: query, result: {:ok, report}} = outcome}) do
    if outcome.outcome_changed?,
      do: Logger.info("#{prefix(topology)}lookups of #{query} succeed again")

    Telemetry.execute(
      [:caravan, :lookup, :stop],
      %{
        duration: outcome.duration,
        endpoints: report.endpoints,
        members: report.members,
        ttl: report.ttl
      },
      %{topology: topology, query: query, server: report.server, transport: report.transport}
    )

    if outcome.newly_cut? do
      Logger.warning("#{prefix(topology)}#{report.incomplete}. The complete records add peers; none are removed")
    end

    if outcome.alias, do: called_otherwise(topology, query, outcome.alias)
    Enum.each(report.refused, &refused(topology, query, &1, &1.reason in outcome.newly_refused))
  end

  def tell(topology, {:looked_up, %{query: query, result: {:error, error}} = outcome}) do
    if outcome.outcome_changed? do
      Logger.warning(
        "#{prefix(topology)}#{error.message}. Known peers are kept. Retrying; further failures are not logged"
      )
    end

    Telemetry.execute([:caravan, :lookup, :exception], %{duration: outcome.duration}, %{
      topology: topology,
      query: query,
      error: error
    })
  end

  def tell(topology, {:member, node, change}), do: about([:member, change], topology, node)

  def tell(topology, {:peer, node, :up}) do
    Logger.info("#{prefix(topology)}#{node} is connected", node: node)
    about([:peer, :up], topology, node)
  end

  def tell(topology, {:peer, node, {:down, reason, _wanted?}}) do
    Logger.notice("#{prefix(topology)}#{node} is disconnected: #{reason}", node: node)
    about([:peer, :down], topology, node, %{reason: reason})
  end

  def tell(topology, {:peer, node, {:dial_failed, stage, reason, first?}}) do
    if first? do
      Logger.warning(
        "#{prefix(topology)}can't connect to #{node}: #{reason}. Retrying; further failures are not logged",
        node: node
      )
    end

    about([:peer, :dial_failed], topology, node, %{stage: stage, reason: reason})
  end

  def tell(topology, {:peer, node, :self}) do
    Logger.warning(
      "#{prefix(topology)}#{node} is this node itself, whose name is #{node()}. It won't be dialed again; name the " <>
        "nodes as DNS does, or adjust the topology's options (:node_name, :node_sname, :type)",
      node: node
    )
  end

  def tell(topology, {:peer, node, :leaving}) do
    Logger.info("#{prefix(topology)}#{node} is shutting down or draining", node: node)
  end

  def tell(topology, {:peer, node, :forgotten}), do: about([:peer, :forgotten], topology, node)

  def tell(topology, {:disconnecting, node, after_ms}) do
    Logger.notice(
      "#{prefix(topology)}disconnecting #{node}: DNS has not listed it for #{after_ms} ms, " <>
        "and the option :disconnect is set",
      node: node
    )
  end

  defp ill_named(node, {:by_host, nil}) do
    "this node's name is #{node}, with a host, but the topology names nodes by address, so its peers can't find it " <>
      "under that name; set the option :type to :srv and publish SRV records, which carry hosts, or name the nodes by " <>
      "address"
  end

  defp ill_named(node, {:capitals, host}) do
    "this node's name is #{node}, but names from DNS are in lower case, so its peers can't find it under that name; " <>
      "write #{host} in lower case in the node's name"
  end

  defp ill_named(node, {:other_name, name}) do
    "this node's name is #{node}, but the topology's options would name it #{name}, so peers with the same options " <>
      "can't find it; set :node_sname or :node_name to match the nodes' names"
  end

  defp called_otherwise(topology, query, name) do
    Logger.warning(
      "#{prefix(topology)}the answer for #{query} lists this node as #{name}, but its name is #{node()}, so it " <>
        "rejects peers that dial #{name}; rename the node or correct the record"
    )
  end

  defp refused(topology, query, refused, news?) do
    if news? do
      Logger.warning(
        "#{prefix(topology)}#{refused.count} of the names in the answer for #{query} " <>
          "#{verdict(refused.reason)}, such as #{inspect(refused.example)}: #{why(refused.reason)}"
      )
    end

    Telemetry.execute([:caravan, :member, :refused], %{count: refused.count}, %{
      topology: topology,
      query: query,
      reason: refused.reason,
      example: refused.example
    })
  end

  defp verdict(reason) when reason in [:atom_limit, :no_answer], do: "are waiting to join"
  defp verdict(_reason), do: "are refused"

  defp why(:invalid_name), do: "they are not valid host or node names; check what publishes them"
  defp why(:not_allowed), do: "their addresses are outside the networks in the option :allow"

  defp why(:other_family),
    do:
      "they are addresses of an IP family that this node's distribution doesn't use; check the option :type, and " <>
        "-proto_dist in vm.args"

  defp why(:short_name),
    do:
      "their hosts have no dot, and this node uses long names (-name), which can't connect to short ones; name all " <>
        "nodes the same way"

  defp why(:long_name),
    do:
      "their hosts have dots, and this node uses short names (-sname), which can't connect to long ones; name all " <>
        "nodes the same way"

  defp why(:no_port),
    do:
      "their SRV records have port 0, like those of a headless Kubernetes Service whose port has no name; name the " <>
        "port, or set :node_name to a template without {port}, such as \"my_app@{host}\""

  defp why(:max_members),
    do: "the topology already has as many members as the option :max_members allows"

  defp why(:atom_limit),
    do:
      "atoms are never freed; the topology has used up its hourly budget (:max_members), or the VM's atom table is more " <>
        "than three quarters full"

  defp why(:no_answer),
    do:
      "half of :max_members new names have joined recently or have never answered; these join once their hosts answer " <>
        "a probe"

  defp why(reason), do: to_string(reason)

  defp about(event, topology, node, more \\ %{}) do
    metadata = Map.merge(%{topology: topology, node: node}, more)
    Telemetry.execute([:caravan | event], %{count: 1}, metadata)
  end

  defp prefix(topology), do: "[caravan #{topology}] "
end
