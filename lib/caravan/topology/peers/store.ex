defmodule Caravan.Topology.Peers.Store do
  @moduledoc false
  # The peers by name, and indexes so that nothing has to iterate over all: the waiting ones, by time and then at
  # random; those being dialed; the connected ones; those to disconnect. Pure.
  #
  # Exactly the peers that wait (idle, backing off, left alone) have an `entry` in the queue.

  alias Caravan.Topology.Peers.Peer

  @enforce_keys [:rand, :changed_at]
  defstruct [
    :rand,
    :changed_at,
    by_node: %{},
    queue: :gb_sets.new(),
    dialling: MapSet.new(),
    connected: MapSet.new(),
    # With the number of disconnects tried.
    withdrawn: %{}
  ]

  @type t :: %__MODULE__{
          rand: :rand.state(),
          # When the set of connected peers last changed.
          changed_at: integer,
          by_node: %{node => Peer.t()},
          queue: :gb_sets.set({integer, float, node}),
          dialling: MapSet.t(node),
          connected: MapSet.t(node),
          withdrawn: %{node => non_neg_integer}
        }

  @spec new(integer, term) :: t
  def new(now, seed) do
    %__MODULE__{rand: :rand.seed_s(:exsss, :erlang.phash2(seed)), changed_at: now}
  end

  @spec put(t, Peer.t()) :: t
  def put(peers, %{node: node} = peer) do
    index = if peer.state == :dialling, do: &MapSet.put/2, else: &MapSet.delete/2
    %{peers | by_node: Map.put(peers.by_node, node, peer), dialling: index.(peers.dialling, node)}
  end

  @spec forget(t, Peer.t()) :: t
  def forget(peers, peer) do
    peers = dequeue(peers, peer)

    %{
      peers
      | by_node: Map.delete(peers.by_node, peer.node),
        dialling: MapSet.delete(peers.dialling, peer.node),
        withdrawn: Map.delete(peers.withdrawn, peer.node)
    }
  end

  @doc "The peer waits in this state, to be dialed `at` that time."
  @spec enqueue(t, Peer.t(), Peer.state(), integer) :: t
  def enqueue(peers, peer, state, at) do
    peers = dequeue(peers, peer)
    {r, rand} = :rand.uniform_s(peers.rand)
    entry = {at, r, peer.node}
    queue = :gb_sets.add_element(entry, peers.queue)
    put(%{peers | queue: queue, rand: rand}, %{peer | state: state, entry: entry})
  end

  defp dequeue(peers, %{entry: nil}), do: peers

  defp dequeue(peers, %{entry: entry}),
    do: %{peers | queue: :gb_sets.del_element(entry, peers.queue)}

  @doc "Those that are being dialed."
  @spec dialling(t) :: [Peer.t()]
  def dialling(peers), do: Enum.map(peers.dialling, &peers.by_node[&1])

  @doc "Those that wait."
  @spec waiting(t) :: [Peer.t()]
  def waiting(peers), do: for({_at, _random, node} <- :gb_sets.to_list(peers.queue), do: peers.by_node[node])

  @doc "Takes out the first peer in the queue, if its time has come."
  @spec take_due(t, integer) :: {Peer.t(), t} | nil
  def take_due(peers, now) do
    with false <- :gb_sets.is_empty(peers.queue),
         {at, _, node} when at <= now <- :gb_sets.smallest(peers.queue) do
      peer = peers.by_node[node]
      {%{peer | entry: nil}, dequeue(peers, peer)}
    else
      _ -> nil
    end
  end

  @doc "When `take_due/2` will have something."
  @spec next_due(t) :: integer | :infinity
  def next_due(peers) do
    if :gb_sets.is_empty(peers.queue),
      do: :infinity,
      else: elem(:gb_sets.smallest(peers.queue), 0)
  end

  @spec connect(t, integer, Peer.t()) :: t
  def connect(peers, now, peer) do
    peers = dequeue(peers, peer)
    fresh = %{Peer.reset(peer) | state: :connected, entry: nil, error: nil, reported: false}
    peers = put(peers, Peer.since(fresh, now))

    %{peers | connected: MapSet.put(peers.connected, peer.node), changed_at: now}
    |> note_withdrawn(peer)
  end

  @spec disconnect(t, integer, Peer.t()) :: t
  def disconnect(peers, now, %{node: node}) do
    if MapSet.member?(peers.connected, node),
      do: %{peers | connected: MapSet.delete(peers.connected, node), changed_at: now},
      else: peers
  end

  @doc "Marks the live peer for disconnecting if it is withdrawn, even if that was before it came up."
  @spec note_withdrawn(t, Peer.t()) :: t
  def note_withdrawn(peers, %{membership: :withdrawn, node: node}),
    do: %{peers | withdrawn: Map.put_new(peers.withdrawn, node, 0)}

  def note_withdrawn(peers, _peer), do: peers
end
