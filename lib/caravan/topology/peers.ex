defmodule Caravan.Topology.Peers do
  @moduledoc false
  # The peers of a topology: who is connected, who is to be dialled next and when. Pure: no clock, no
  # process, no node(); `now` is in ms, randomness comes from the seed given to new/2.
  #
  # A peer is in one of these states:
  #
  #   :idle         to be dialled at once, or a moment after its link was lost
  #   :dialling     a probe or a dial is under way
  #   :backing_off  to be dialled later, after a failure
  #   :connected
  #   :leaving      said good-bye; still linked, or, after that, left alone for a while
  #   :self         this node itself, under another name
  #
  # Every change answers with what happened, for `Caravan.Topology.Log` to tell:
  #
  #   :up, :leaving, :forgotten, :self
  #   {:down, reason, wanted?}                 wanted?: will be dialled again before long
  #   {:dial_failed, stage, reason, first?}    first?: it was up since the last failure, or never failed
  #
  # A peer that waits (idle, backing off, left alone) has an `entry` in the queue, which is ordered by
  # time and then at random. Nothing walks over all peers but list/1, members/1, reconcile/2, retry/2 and halt/2.

  alias Caravan.Topology.{Dialer, Retry}
  alias Caravan.Topology.Peers.Peer

  # At most this share of the connected peers is disconnected in a round.
  @disconnect_share 5

  @enforce_keys [:rand, :changed_at]
  defstruct [
    :rand,
    :changed_at,
    by_node: %{},
    queue: :gb_sets.new(),
    connected: MapSet.new(),
    # And how often it was to be disconnected.
    withdrawn: %{}
  ]

  @type t :: %__MODULE__{
          rand: :rand.state(),
          changed_at: integer,
          by_node: %{node => Peer.t()},
          queue: :gb_sets.set({integer, float, node}),
          connected: MapSet.t(node),
          withdrawn: %{node => non_neg_integer}
        }

  @type event ::
          :up
          | :self
          | :leaving
          | :forgotten
          | {:down, String.t(), boolean}
          | {:dial_failed, :probe | :dial, String.t(), boolean}

  @type change :: {[event], t}

  @spec new(integer, term) :: t
  def new(now, seed) do
    %__MODULE__{rand: :rand.seed_s(:exsss, :erlang.phash2(seed)), changed_at: now}
  end

  ## What discovery says

  @doc "A member came, or came back. `linked?`: a connection to it exists already."
  @spec add(t, integer, node, boolean) :: change
  def add(peers, now, node, linked?) do
    case peers.by_node do
      %{^node => peer} ->
        peers = %{peers | withdrawn: Map.delete(peers.withdrawn, node)}
        {[], put(peers, %{peer | membership: :member})}

      _ when linked? ->
        {[:up], connect(peers, now, %Peer{node: node, since: now})}

      _ ->
        {[], enqueue(peers, %Peer{node: node, since: now}, :idle, now)}
    end
  end

  @doc "No member any more. A live peer stays until its link is gone."
  @spec expire(t, node) :: change
  def expire(peers, node), do: disown(peers, node, :expired)

  @doc "Missing from answers for so long that a live peer may be disconnected."
  @spec withdraw(t, node) :: change
  def withdraw(peers, node) do
    {events, peers} = disown(peers, node, :withdrawn)
    peer = peers.by_node[node]
    if peer && linked?(peer), do: {events, withdrawn(peers, peer)}, else: {events, peers}
  end

  @doc "The member's address changed: what was learnt of the old one is void."
  @spec move(t, integer, node) :: change
  def move(peers, now, node) do
    case peers.by_node do
      %{^node => %{state: state, entry: entry} = peer} when entry != nil or state == :self ->
        {[], enqueue(peers, reset(peer), :idle, now)}

      %{^node => %{state: :dialling} = peer} ->
        {[], put(peers, reset(peer))}

      _ ->
        {[], peers}
    end
  end

  ## What the connections say

  @doc "A link to the node exists, whoever made it."
  @spec up(t, integer, node) :: change
  def up(peers, now, node) do
    case peers.by_node do
      %{^node => %{state: :connected}} -> {[], peers}
      %{^node => peer} -> {[:up], connect(peers, now, peer)}
      _ -> {[], peers}
    end
  end

  @doc "The link to the node is gone."
  @spec down(t, integer, node, String.t()) :: change
  def down(peers, now, node, reason) do
    peer = peers.by_node[node]
    if peer && linked?(peer), do: lost(peers, now, peer, reason), else: {[], peers}
  end

  defp lost(peers, now, peer, reason) do
    peers = disconnected(peers, now, peer)

    cond do
      peer.membership != :member ->
        {[{:down, reason, false}, :forgotten], forget(peers, peer)}

      peer.state == :leaving ->
        {[{:down, reason, false}], enqueue(peers, since(peer, now), :leaving, now + Retry.left())}

      true ->
        flaps = Retry.flaps(now - peer.since, peer.flaps)
        {state, delay, rand} = Retry.lost(flaps, peers.rand)
        peer = since(%{peer | flaps: flaps, error: reason}, now)
        {[{:down, reason, true}], enqueue(%{peers | rand: rand}, peer, state, now + delay)}
    end
  end

  @doc "A probe or a dial failed. `refuser`: who refused the handshake."
  @spec dial_failed(t, integer, node, :probe | :dial, String.t(), Dialer.refuser()) :: change
  def dial_failed(peers, now, node, stage, reason, refuser \\ nil) do
    dial_ended(peers, node, fn peer ->
      event = {:dial_failed, stage, reason, not peer.reported}
      failed = %{peer | attempts: peer.attempts + 1, error: reason, reported: true}
      {[event], back_off(peers, now, since(failed, now), stage, refuser)}
    end)
  end

  # Who is no member any more by then is forgotten, whatever came of it.
  defp dial_ended(peers, node, change) do
    case peers.by_node do
      %{^node => %{state: :dialling, membership: :member} = peer} -> change.(peer)
      %{^node => %{state: :dialling} = peer} -> {[:forgotten], forget(peers, peer)}
      _ -> {[], peers}
    end
  end

  # Nobody is there, so whoever refused a handshake is gone.
  defp back_off(peers, now, peer, stage, nil) do
    waiting = :gb_sets.size(peers.queue)
    {delay, rand} = Retry.failed(stage, peer.attempts, waiting, peers.rand)
    enqueue(%{peers | rand: rand}, unrefused(peer), :backing_off, now + delay)
  end

  defp back_off(peers, now, peer, :dial, refuser) do
    {delay, rand} = Retry.refused(peer.refusals + 1, peers.rand)
    peer = %{peer | refusals: peer.refusals + 1, refuser: refuser, dial_at: now + delay}
    wait_for_another(%{peers | rand: rand}, now, peer)
  end

  defp wait_for_another(peers, _now, %{refuser: :unknown, dial_at: at} = peer),
    do: enqueue(peers, peer, :backing_off, at)

  defp wait_for_another(peers, now, peer),
    do: enqueue(peers, peer, :backing_off, min(peer.dial_at, now + Retry.refused_check()))

  @doc "Whoever refused the last handshake is there still."
  @spec same(t, integer, node) :: change
  def same(peers, now, node) do
    dial_ended(peers, node, fn
      # What was learnt of it has become void meanwhile: another address may have been asked.
      %{refuser: nil} = peer -> {[], enqueue(peers, peer, :idle, now)}
      peer -> {[], wait_for_another(peers, now, peer)}
    end)
  end

  @doc "The name leads to this node itself."
  @spec self(t, integer, node) :: change
  def self(peers, now, node) do
    dial_ended(peers, node, fn peer ->
      {[:self], put(peers, since(%{peer | state: :self}, now))}
    end)
  end

  @doc "Who waits after a failure is to be dialled now, whatever was learnt of it, also if it is being asked just now."
  @spec retry(t, integer) :: t
  def retry(peers, now) do
    Enum.reduce(peers.by_node, peers, fn
      {_, %{state: :backing_off} = peer}, peers -> enqueue(peers, reset(peer), :idle, now)
      {_, %{state: :dialling} = peer}, peers -> put(peers, reset(peer))
      _, peers -> peers
    end)
  end

  defp reset(peer), do: unrefused(%{peer | attempts: 0})
  defp unrefused(peer), do: %{peer | refusals: 0, refuser: nil, dial_at: nil}

  @doc "The node says that it is going away."
  @spec left(t, integer, node) :: change
  def left(peers, now, node) do
    case peers.by_node do
      %{^node => %{state: :connected} = peer} ->
        leaving = since(%{peer | state: :leaving}, now)
        {[:leaving], peers |> disconnected(now, peer) |> put(leaving)}

      %{^node => %{state: state, membership: :member} = peer} when state != :leaving ->
        {[:leaving], enqueue(peers, since(peer, now), :leaving, now + Retry.left())}

      _ ->
        {[], peers}
    end
  end

  @doc "It is not going away after all."
  @spec stayed(t, integer, node) :: change
  def stayed(peers, now, node) do
    case peers.by_node do
      %{^node => %{state: :leaving, entry: nil} = peer} -> {[:up], connect(peers, now, peer)}
      _ -> {[], peers}
    end
  end

  @doc """
  What `up/3` and `down/4` have to hear, given all nodes that are linked. Who is up since they were `asked` for was
  maybe not yet among them.
  """
  @spec reconcile(t, [node], integer | :infinity) :: {ups :: [node], downs :: [node]}
  def reconcile(peers, nodes, asked \\ :infinity) do
    nodes = MapSet.new(nodes)

    Enum.reduce(peers.by_node, {[], []}, fn {node, peer}, {ups, downs} ->
      case {linked?(peer), MapSet.member?(nodes, node)} do
        {false, true} -> {[node | ups], downs}
        {true, false} when peer.since < asked -> {ups, [node | downs]}
        _ -> {ups, downs}
      end
    end)
  end

  ## What to do

  @doc "Takes out at most `limit` nodes that are to be dialled now; they count as dialling from here."
  @spec due(t, integer, non_neg_integer) :: {[node], t}
  def due(peers, now, limit), do: due(peers, now, limit, [])

  defp due(peers, now, limit, nodes) do
    with true <- limit > 0 and not :gb_sets.is_empty(peers.queue),
         {at, _, node} when at <= now <- :gb_sets.smallest(peers.queue) do
      peer = peers.by_node[node]
      peers = peers |> dequeue(peer) |> put(since(%{peer | state: :dialling, entry: nil}, now))
      due(peers, now, limit - 1, [node | nodes])
    else
      _ -> {nodes, peers}
    end
  end

  @doc "No dial is under way any more, and nothing came of those that were."
  @spec halt(t, integer) :: t
  def halt(peers, now) do
    dialling = for {_, %{state: :dialling} = peer} <- peers.by_node, do: peer

    Enum.reduce(dialling, peers, fn
      %{membership: :member} = peer, peers -> enqueue(peers, since(peer, now), :idle, now)
      peer, peers -> forget(peers, peer)
    end)
  end

  @doc "Was its link lost, or a dial in vain, since it was last up?"
  @spec redial?(t, node) :: boolean
  def redial?(peers, node), do: peers.by_node[node].error != nil

  @doc "Whom to dial only if somebody else is there now."
  @spec refuser(t, integer, node) :: Dialer.identity() | nil
  def refuser(peers, now, node) do
    case peers.by_node do
      %{^node => %{refuser: {_, _} = refuser, dial_at: at}} when at > now -> refuser
      _ -> nil
    end
  end

  @doc "When `due/3` will have something."
  @spec next_wakeup(t) :: integer | :infinity
  def next_wakeup(peers) do
    if :gb_sets.is_empty(peers.queue),
      do: :infinity,
      else: elem(:gb_sets.smallest(peers.queue), 0)
  end

  @doc """
  The withdrawn peers to disconnect in this round: at most a fifth of those connected, at least one; those first that
  were so least often, since a disconnect function may fail. None that somebody else `wants?`. `first?`: it was not so
  before.
  """
  @spec to_disconnect(t, (node -> boolean)) :: {[{node, first? :: boolean}], t}
  def to_disconnect(peers, wants? \\ fn _ -> false end) do
    share = max(1, div(MapSet.size(peers.connected), @disconnect_share))
    may_go = Enum.reject(peers.withdrawn, fn {node, _} -> wants?.(node) end)
    chosen = may_go |> Enum.sort_by(&elem(&1, 1)) |> Enum.take(share)

    withdrawn =
      Enum.reduce(chosen, peers.withdrawn, fn {node, n}, all -> %{all | node => n + 1} end)

    {for({node, n} <- chosen, do: {node, n == 0}), %{peers | withdrawn: withdrawn}}
  end

  ## What there is

  @spec dialling?(t, node) :: boolean
  def dialling?(peers, node), do: match?(%{^node => %{state: :dialling}}, peers.by_node)

  @spec count(t) :: non_neg_integer
  def count(peers), do: MapSet.size(peers.connected)

  @spec connected(t) :: [node]
  def connected(peers), do: peers.connected |> MapSet.to_list() |> Enum.sort()

  @spec members(t) :: [node]
  def members(peers) do
    Enum.sort(for {node, %{membership: :member}} <- peers.by_node, do: node)
  end

  @doc "Every peer as plain data, by name; times relative to `now`, in ms."
  @spec list(t, integer) :: [Caravan.Status.peer()]
  def list(peers, now) do
    for {node, peer} <- Enum.sort(peers.by_node) do
      %{
        node: node,
        state: peer.state,
        state_age: now - peer.since,
        attempts: peer.attempts,
        error: peer.error,
        next_dial: if(peer.entry, do: max(0, next_dial(peer) - now))
      }
    end
  end

  defp next_dial(%{dial_at: nil, entry: {at, _, _}}), do: at
  defp next_dial(%{dial_at: at}), do: at

  ## Inside

  defp disown(peers, node, membership) do
    case peers.by_node do
      %{^node => peer} ->
        # Who expires is withdrawn still.
        membership = if peer.membership == :withdrawn, do: :withdrawn, else: membership

        if peer.state == :dialling or linked?(peer),
          do: {[], put(peers, %{peer | membership: membership})},
          else: {[:forgotten], forget(peers, peer)}

      _ ->
        {[], peers}
    end
  end

  defp linked?(peer), do: peer.state in [:connected, :leaving] and peer.entry == nil

  defp connect(peers, now, peer) do
    peers = dequeue(peers, peer)
    fresh = %{reset(peer) | state: :connected, entry: nil, error: nil, reported: false}

    %{put(peers, since(fresh, now)) | connected: MapSet.put(peers.connected, peer.node)}
    |> withdrawn(peer)
    |> changed(now)
  end

  # Notes that the live peer may be disconnected, if it is withdrawn, be it since before it was live.
  defp withdrawn(peers, %{membership: :withdrawn, node: node}),
    do: %{peers | withdrawn: Map.put_new(peers.withdrawn, node, 0)}

  defp withdrawn(peers, _peer), do: peers

  defp disconnected(peers, now, %{node: node}) do
    if MapSet.member?(peers.connected, node),
      do: changed(%{peers | connected: MapSet.delete(peers.connected, node)}, now),
      else: peers
  end

  defp changed(peers, now), do: %{peers | changed_at: now}

  defp enqueue(peers, peer, state, at) do
    peers = dequeue(peers, peer)
    {r, rand} = :rand.uniform_s(peers.rand)
    entry = {at, r, peer.node}
    queue = :gb_sets.add_element(entry, peers.queue)
    put(%{peers | queue: queue, rand: rand}, %{peer | state: state, entry: entry})
  end

  defp dequeue(peers, %{entry: nil}), do: peers

  defp dequeue(peers, %{entry: entry}),
    do: %{peers | queue: :gb_sets.del_element(entry, peers.queue)}

  defp forget(peers, peer) do
    peers = dequeue(peers, peer)

    %{
      peers
      | by_node: Map.delete(peers.by_node, peer.node),
        withdrawn: Map.delete(peers.withdrawn, peer.node)
    }
  end

  defp put(peers, peer), do: %{peers | by_node: Map.put(peers.by_node, peer.node, peer)}

  defp since(peer, now), do: %{peer | since: now}
end
