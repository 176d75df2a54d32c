defmodule Caravan.Topology.Connector do
  @moduledoc false
  # The functions that make, cut and list links: Erlang's own, or those that libcluster was given.

  @connect {:net_kernel, :connect_node, []}
  @disconnect {:erlang, :disconnect_node, []}
  @list_nodes {:erlang, :nodes, [:connected]}

  @enforce_keys [:connect, :disconnect, :list_nodes]
  defstruct [:connect, :disconnect, :list_nodes]

  @type function_with_arguments :: {module, atom, [term]}
  @type t :: %__MODULE__{
          connect: function_with_arguments,
          disconnect: function_with_arguments,
          list_nodes: function_with_arguments
        }

  @doc "Those of `spec`, Erlang's own for what is missing there."
  @spec new(map) :: t
  def new(spec) do
    %__MODULE__{
      connect: spec[:connect] || @connect,
      disconnect: spec[:disconnect] || @disconnect,
      list_nodes: spec[:list_nodes] || @list_nodes
    }
  end

  @doc "May a peer be probed? Only Erlang's own distribution is known to listen where the node's name says."
  @spec probes?(t) :: boolean
  def probes?(connector), do: connector.connect == @connect

  @doc "Has `list_nodes` to be asked who is connected? Of Erlang's own links net_kernel tells."
  @spec polls?(t) :: boolean
  def polls?(%{list_nodes: {module, function, _}}),
    do: {module, function} not in [{:erlang, :nodes}, {Node, :list}]

  @spec connect(t, node) :: term
  def connect(connector, node), do: call(connector.connect, [node])

  @spec disconnect(t, node) :: term
  def disconnect(connector, node), do: call(connector.disconnect, [node])

  @doc "Who is connected. May hang or raise, unless the function is Erlang's own."
  @spec list!(t) :: [node]
  def list!(connector), do: connector.list_nodes |> call([]) |> Enum.to_list()

  defp call({module, function, arguments}, more), do: apply(module, function, arguments ++ more)
end
