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

  The options of Caravan 1.0 (`query`, `node_sname`, `poll_interval`) work as they did; its `dns_client`
  is gone. A wrong option raises `Caravan.Error`.

  #{Caravan.Options.table(:topology)}

  Custom functions to `connect`, `disconnect` and `list_nodes` are honoured. Only with Erlang's own
  `connect` are lost peers probed before they are dialled, and asked why when a dial fails. A `list_nodes`
  that isn't Erlang's own is called at each look-up to find out who is connected.

  libcluster isn't needed to compile Caravan: any map or struct with the fields of a
  `Cluster.Strategy.State` will do.
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
