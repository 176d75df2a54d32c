defmodule Caravan.Topology.State do
  @moduledoc false
  # The state of a topology's process.

  alias Caravan.Link.{Drain, Global}
  alias Caravan.Status
  alias Caravan.Topology.{Calls, Config, Connector, Dialer, Peers, PollSchedule, Queries, Waiters}

  @enforce_keys [:name, :config, :connector]
  defstruct [
    :name,
    :config,
    :connector,
    :queries,
    :peers,
    :dialer,
    :calls,
    :schedule,
    # The process for broadcasts.
    :broadcast,
    # When to look up next, when the last lookup was, when withdrawn peers may next be disconnected.
    :poll_at,
    :polled_at,
    :disconnect_at,
    # The timer, and when it fires.
    :timer,
    wake_at: :infinity,
    waiters: Waiters.new(),
    # The last listing of `list_nodes`, and whether the last call succeeded.
    listed: nil,
    lists?: true,
    # The peers that have come up since `broadcast` was last told.
    untold: [],
    # Does `global` link all with all, and has the log said that they are too many for that?
    connect_all?: false,
    crowded?: false,
    # Has the log said that Phoenix.PubSub doesn't reach all nodes?
    pg2?: false
  ]

  @type t :: %__MODULE__{
          name: atom,
          config: Config.t(),
          connector: Connector.t(),
          queries: Queries.t(),
          peers: Peers.t(),
          dialer: Dialer.t(),
          calls: Calls.t(),
          schedule: PollSchedule.t(),
          poll_at: integer,
          polled_at: integer,
          disconnect_at: integer,
          timer: reference | nil,
          wake_at: integer | :infinity,
          waiters: Waiters.t(),
          broadcast: pid | nil,
          untold: [node],
          listed: MapSet.t(node) | nil,
          lists?: boolean,
          connect_all?: boolean,
          crowded?: boolean,
          pg2?: boolean
        }

  @doc """
  The state of a new topology on the node `self`. The node's name is part of the seed, so that nodes started together
  don't act in step.
  """
  @spec new(atom, Config.t(), Connector.t(), node, integer) :: t
  def new(name, config, connector, self, now) do
    %__MODULE__{
      name: name,
      config: config,
      connector: connector,
      queries: Queries.new(config, Connector.probes?(connector)),
      calls: Calls.new(connector),
      peers: Peers.new(now, {self, name}),
      dialer: Dialer.new(connector, config.dial_concurrency, config.links != nil),
      schedule: PollSchedule.new(config.poll_interval, {self, name}),
      poll_at: now,
      polled_at: now,
      disconnect_at: now,
      connect_all?: Connector.probes?(connector) and Global.connect_all?()
    }
  end

  @doc "Starts over without peers, since the node has a new name."
  @spec reset(t, node, integer) :: t
  def reset(state, self, now) do
    fresh = new(state.name, state.config, state.connector, self, now)
    %{state | peers: fresh.peers, schedule: fresh.schedule}
  end

  @doc "The linked nodes, as far as known: those that a custom `list_nodes` missed, its next listing will find."
  @spec linked(t) :: Enumerable.t()
  def linked(state) do
    if Connector.polls?(state.connector),
      do: state.listed || [],
      else: Connector.list!(state.connector)
  end

  @spec status(t, integer) :: Status.t()
  def status(state, now) do
    picks = Peers.picks(state.peers)
    members = if state.config.links, do: state.queries.members, else: picks

    struct!(
      Status,
      Map.merge(Queries.status(state.queries, now), %{
        name: state.name,
        members: members,
        picks: picks,
        spares: max(0, members - picks),
        links: Peers.count(state.peers),
        peers: Queries.itself(state.queries, now) ++ Peers.list(state.peers, now),
        draining: Drain.draining?()
      })
    )
  end
end
