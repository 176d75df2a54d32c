defmodule Caravan.Cluster.DnsStrategy do
  @moduledoc """
  Caravan as a [libcluster](https://hexdocs.pm/libcluster) strategy.

      config :libcluster,
        topologies: [
          app: [
            strategy: Caravan.Cluster.DnsStrategy,
            config: [query: "likes-service.service.consul", node_sname: "likes-service"]
          ]
        ]

  The options of Caravan 1.0 (`query`, `node_sname`, `poll_interval`) work as before; its `dns_client`
  is gone. An invalid option raises `Caravan.Error`.

  #{Caravan.Options.table(:topology)}

  Custom `connect`, `disconnect` and `list_nodes` functions are honored. With a custom `connect`, lost peers are not
  probed before they are dialed, and a failed dial is not investigated. A custom `list_nodes` is called at each lookup
  to find out which nodes are connected.

  Caravan compiles without libcluster: any map or struct with the fields of a `Cluster.Strategy.State` will do.
  """

  alias Caravan.Topology

  @type state :: %{
          required(:topology) => atom,
          required(:config) => keyword,
          required(:connect) => {module, atom, [term]},
          required(:disconnect) => {module, atom, [term]},
          required(:list_nodes) => {module, atom, [term]},
          optional(term) => term
        }

  @spec child_spec([state]) :: Supervisor.child_spec()
  def child_spec([state]) do
    %{id: {__MODULE__, state.topology}, start: {__MODULE__, :start_link, [[state]]}}
  end

  @spec start_link([state]) :: GenServer.on_start()
  def start_link([state]) do
    state
    |> Map.take([:topology, :config, :connect, :disconnect, :list_nodes])
    |> Topology.start_link()
  end
end
