defmodule Caravan.Topology.Connector do
  @moduledoc false
  # The functions that connect, disconnect and list nodes: Erlang's own, or those that libcluster was given.

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

  @doc "The functions in `spec`, or Erlang's own for those missing there."
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

  @doc "Must `list_nodes` be polled to learn who is connected? For Erlang's own links, net_kernel tells."
  @spec polls?(t) :: boolean
  def polls?(%{list_nodes: {module, function, _}}),
    do: {module, function} not in [{:erlang, :nodes}, {Node, :list}]

  @spec connect(t, node) :: term
  def connect(connector, node), do: call(connector.connect, [node])

  @spec disconnect(t, node) :: term
  def disconnect(connector, node), do: call(connector.disconnect, [node])

  @doc "The connected nodes. May hang or raise, unless the function is Erlang's own."
  @spec list!(t) :: [node]
  def list!(connector), do: connector.list_nodes |> call([]) |> Enum.to_list()

  defp call({module, function, arguments}, more), do: apply(module, function, arguments ++ more)
end
