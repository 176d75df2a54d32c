defmodule Caravan.PubSub do
  @moduledoc """
  An adapter of [`Phoenix.PubSub`](https://hexdocs.pm/phoenix_pubsub), whose messages go to the nodes of a topology as
  those of `Caravan.broadcast/2` do. Channels, presence and LiveView then work where nodes aren't all connected with each
  other, which Phoenix's own adapter needs.

      children = [
        {Caravan, topologies: [app: [query: "_app._tcp.example.org"]]},
        {Phoenix.PubSub, name: MyApp.PubSub, adapter: Caravan.PubSub, topology: :app}
      ]

  The option `:topology` is the name of a topology of this node, be it Caravan's own or libcluster's. It is to be started
  before: as long as it isn't running, broadcasts fail with the `Caravan.Error` that says so, `:unknown_topology`. All
  nodes use the same adapter, and the same names for the topology and for the PubSub.

  What is promised, and how long a message may be, is said at `Caravan.broadcast/2`. `direct_broadcast` to a node that
  isn't connected goes over the tree, past all nodes, and is dispatched at that node only.

  `:pool_size` partitions the registry of `Phoenix.PubSub`, as with any adapter, and may differ from node to node. It
  doesn't add processes here: one dispatches all that other nodes broadcast, so that messages keep their order.

  Caravan is compiled without `phoenix_pubsub`, and works with version 2.
  """

  use GenServer
  require Logger
  alias Caravan.{Broadcast, Error}
  alias Caravan.Broadcast.Subscribers

  # What goes from node to node, over the tree or straight, is {:caravan, version, :dispatch, target, topic, message,
  # dispatcher}; the target is a node or :all. A message of this version never changes.
  @version 1

  # How long to wait before subscribing again, in ms, once the subscriptions are lost.
  @subscribe_again 500

  @typep dispatcher :: module

  @doc "Called by `Phoenix.PubSub`."
  @spec node_name(atom) :: node
  def node_name(_adapter), do: node()

  @doc "Called by `Phoenix.PubSub`."
  @spec child_spec(keyword) :: Supervisor.child_spec()
  def child_spec(options) do
    %{id: __MODULE__, start: {__MODULE__, :start_link, [options]}}
  end

  @doc "Called by `Phoenix.PubSub`."
  @spec broadcast(atom, String.t(), term, dispatcher) :: :ok | {:error, term}
  def broadcast(adapter, topic, message, dispatcher) do
    all = {:caravan, @version, :dispatch, :all, topic, message, dispatcher}
    Broadcast.to_others(topology(adapter), adapter, all)
  end

  @doc "Called by `Phoenix.PubSub`."
  @spec direct_broadcast(atom, node, String.t(), term, dispatcher) :: :ok | {:error, term}
  def direct_broadcast(adapter, node, topic, message, dispatcher) do
    direct = {:caravan, @version, :dispatch, node, topic, message, dispatcher}

    with :noconnect <- :erlang.send({adapter, node}, direct, [:noconnect]),
         do: Broadcast.to_others(topology(adapter), adapter, direct)
  end

  @doc false
  # The name of a Phoenix.PubSub of this node that uses Phoenix's own adapter, as text. That joins a group of the scope
  # Phoenix.PubSub, whose first one is called NAME.Adapter. Reads a table, and there may be none.
  @spec pg2() :: String.t() | nil
  def pg2 do
    case for group <- :pg.which_groups(Phoenix.PubSub), :pg.get_local_members(Phoenix.PubSub, group) != [], do: group do
      [] -> nil
      groups -> groups |> Enum.min() |> inspect() |> String.replace_suffix(".Adapter", "")
    end
  rescue
    # Phoenix.PubSub isn't running, or a table of that name is somebody else's.
    _error in [ArgumentError, UndefinedFunctionError] -> nil
  end

  ## The process that dispatches here what others broadcast

  @doc false
  @spec start_link(keyword) :: GenServer.on_start()
  def start_link(options) do
    topology = options[:topology]

    if topology == nil or not is_atom(topology) do
      raise Error.new(
              {:invalid_option,
               "expected the option :topology of #{inspect(options[:name])} to name the topology whose nodes the " <>
                 "adapter Caravan.PubSub sends to, as in topology: :my_app; got #{inspect(topology)}"}
            )
    end

    adapter = Keyword.fetch!(options, :adapter_name)
    pubsub = Keyword.fetch!(options, :name)
    GenServer.start_link(__MODULE__, {adapter, pubsub, topology}, name: adapter)
  end

  @impl true
  def init({adapter, pubsub, topology}) do
    :persistent_term.put({__MODULE__, adapter}, topology)
    # The topology may be started later.
    {:ok, subscribe(%{pubsub: pubsub, key: {topology, adapter}, subscribers: nil})}
  end

  # With the application :caravan, which may be started again without this, all subscriptions end.
  defp subscribe(%{key: key} = state) do
    monitor = Process.monitor(Subscribers)
    :ok = Subscribers.subscribe(key)
    %{state | subscribers: monitor}
  catch
    :exit, _not_there ->
      Process.send_after(self(), :subscribe, @subscribe_again)
      state
  end

  @impl true
  def handle_info({:DOWN, monitor, :process, _subscribers, _reason}, %{subscribers: monitor} = state),
    do: {:noreply, subscribe(%{state | subscribers: nil})}

  def handle_info(:subscribe, %{subscribers: nil} = state), do: {:noreply, subscribe(state)}

  def handle_info({:caravan, topology, _node, message}, %{key: {topology, _adapter}} = state),
    do: dispatch(message, state)

  def handle_info(message, state), do: dispatch(message, state)

  # Anyone in the cluster may call and cast, too, and would end this by that.
  @impl true
  def handle_call(_no_question_of_ours, _from, state), do: {:noreply, state}

  @impl true
  def handle_cast(_no_message_of_ours, state), do: {:noreply, state}

  # The dispatcher may be one that only newer nodes have. Phoenix.PubSub is called through apply, since it is not a
  # dependency.
  defp dispatch({:caravan, @version, :dispatch, target, topic, message, dispatcher}, state)
       when (target == :all or target == node()) and is_binary(topic) and is_atom(dispatcher) do
    if Code.ensure_loaded?(dispatcher) and function_exported?(dispatcher, :dispatch, 3),
      do: apply(Phoenix.PubSub, :local_broadcast, [state.pubsub, topic, message, dispatcher])

    {:noreply, state}
  catch
    # With this process, all messages that wait for it would be lost.
    kind, reason ->
      Logger.error(
        "[caravan] a message to the topic #{inspect(topic)} of #{inspect(state.pubsub)} is dropped, since its dispatcher " <>
          "#{inspect(dispatcher)} failed: #{Exception.format_banner(kind, reason, __STACKTRACE__)}"
      )

      {:noreply, state}
  end

  defp dispatch(_to_others, state), do: {:noreply, state}

  defp topology(adapter), do: :persistent_term.get({__MODULE__, adapter})
end
