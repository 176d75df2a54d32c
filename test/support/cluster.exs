# As much of libcluster 3.x as it takes to run a strategy, where libcluster itself isn't at hand.
defmodule Cluster.Strategy.State do
  defstruct [:topology, :connect, :disconnect, :list_nodes, :meta, config: []]
end

defmodule Cluster.Supervisor do
  use Supervisor

  def start_link([topologies, options]),
    do: Supervisor.start_link(__MODULE__, topologies, options)

  @impl true
  def init(topologies) do
    children =
      for {name, spec} <- topologies do
        state = %Cluster.Strategy.State{
          topology: name,
          connect: spec[:connect] || {:net_kernel, :connect_node, []},
          disconnect: spec[:disconnect] || {:erlang, :disconnect_node, []},
          list_nodes: spec[:list_nodes] || {:erlang, :nodes, [:connected]},
          config: spec[:config] || []
        }

        %{id: name, start: {spec[:strategy], :start_link, [[state]]}}
      end

    Supervisor.init(children, strategy: :one_for_one)
  end
end
