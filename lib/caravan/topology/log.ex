defmodule Caravan.Topology.Log do
  @moduledoc false
  # Reports what happens in a topology: a log line when a state changes, and a telemetry event each time. Every log
  # line of a topology is here.

  require Logger
  alias Caravan.{Sentences, Telemetry}
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
          | {:pg2, pubsub :: String.t()}

  @spec tell(atom, event) :: :ok
  def tell(topology, :alone), do: Logger.warning("#{prefix(topology)}#{Sentences.alone()}")

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

  def tell(topology, {:pg2, pubsub}) do
    Logger.warning(
      "#{prefix(topology)}#{pubsub} uses Phoenix.PubSub.PG2, which reaches only the nodes that this one is connected " <>
        "to, and with mesh: [links: n] these are a few: the others miss its broadcasts, and with them channels, Presence " <>
        "and LiveView. On all nodes, write {Phoenix.PubSub, name: #{pubsub}, adapter: Caravan.PubSub, " <>
        "topology: #{inspect(topology)}}"
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
    do: Logger.warning("#{prefix(topology)}#{Sentences.ill_named(node, note)}")

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

    if name = outcome.alias,
      do: Logger.warning("#{prefix(topology)}#{Sentences.called_otherwise(query, node(), name)}")

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

  defp refused(topology, query, refused, news?) do
    if news?, do: Logger.warning("#{prefix(topology)}#{Sentences.refused(query, refused)}")

    Telemetry.execute([:caravan, :member, :refused], %{count: refused.count}, %{
      topology: topology,
      query: query,
      reason: refused.reason,
      example: refused.example
    })
  end

  defp about(event, topology, node, more \\ %{}) do
    metadata = Map.merge(%{topology: topology, node: node}, more)
    Telemetry.execute([:caravan | event], %{count: 1}, metadata)
  end

  defp prefix(topology), do: "[caravan #{topology}] "
end
