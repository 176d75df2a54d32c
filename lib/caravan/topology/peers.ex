defmodule Caravan.Topology.Peers do
  @moduledoc false
  # The peers of a topology: who is connected, whom to dial next and when. Pure: no clock, no process, no node(); `now`
  # is in ms, and randomness comes from the seed given to new/2.
  #
  # A peer is in one of these states:
  #
  #   :idle         to be dialed at once, or shortly after its link was lost
  #   :dialling     a probe or a dial is under way
  #   :backing_off  to be dialed later, after a failure
  #   :connected
  #   :leaving      said that it leaves; still linked, or left alone for a while after that
  #   :self         this node itself, under another name
  #
  # Every change returns what happened, for `Caravan.Topology.Log` to report:
  #
  #   :up, :leaving, :forgotten, :self
  #   {:down, reason, wanted?}                 wanted?: will be redialed before long
  #   {:dial_failed, stage, reason, first?}    first?: it was up since the last failure, or never failed
  #
  # Nothing iterates over all peers except list/2, members/1, picks/1 and reconcile/3.

  alias Caravan.Topology.Retry
  alias Caravan.Topology.Peers.{Dials, Peer, Store}

  # At most this share of the connected peers is disconnected in a round.
  @disconnect_share 5

  @type t :: Store.t()

  @type event :: :up | :leaving | {:down, String.t(), wanted? :: boolean} | Dials.event()

  @type change :: {[event], t}

  @spec new(integer, term) :: t
  defdelegate new(now, seed), to: Store

  ## What discovery says

  @doc "A member appeared, or reappeared. `linked?`: a connection to it exists already."
  @spec add(t, integer, node, boolean) :: change
  def add(peers, now, node, linked?) do
    case peers.by_node do
      %{^node => peer} ->
        peers = %{peers | withdrawn: Map.delete(peers.withdrawn, node)}
        {[], Store.put(peers, %{peer | membership: :member})}

      _ when linked? ->
        {[:up], Store.connect(peers, now, %Peer{node: node, since: now})}

      _ ->
        {[], Store.enqueue(peers, %Peer{node: node, since: now}, :idle, now)}
    end
  end

  @doc "No longer a member. A live peer stays until its link is gone."
  @spec expire(t, node) :: change
  def expire(peers, node), do: disown(peers, node, :expired)

  @doc "Still a member, but no longer to be dialed. A live peer stays until its link is gone."
  @spec spare(t, node) :: change
  def spare(peers, node), do: disown(peers, node, :spare)

  @doc "A member that isn't to be dialed, but is linked."
  @spec link(t, integer, node) :: change
  def link(peers, now, node) do
    case peers.by_node do
      %{^node => peer} ->
        peers = %{peers | withdrawn: Map.delete(peers.withdrawn, node)}
        {[], Store.put(peers, %{peer | membership: :spare})}

      _ ->
        peer = %Peer{node: node, since: now, membership: :spare}
        {[:up], Store.connect(peers, now, peer)}
    end
  end

  @doc "Missing from answers for so long that even a live peer may be disconnected."
  @spec withdraw(t, node) :: change
  def withdraw(peers, node) do
    {events, peers} = disown(peers, node, :withdrawn)
    peer = peers.by_node[node]

    if peer && Peer.linked?(peer),
      do: {events, Store.note_withdrawn(peers, peer)},
      else: {events, peers}
  end

  @doc "The member's address changed, so what is known about the old one no longer counts."
  @spec move(t, integer, node) :: change
  def move(peers, now, node) do
    case peers.by_node do
      %{^node => %{state: state, entry: entry} = peer} when entry != nil or state == :self ->
        {[], Store.enqueue(peers, Peer.reset(peer), :idle, now)}

      %{^node => %{state: :dialling} = peer} ->
        {[], Store.put(peers, Peer.reset(peer))}

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
      %{^node => peer} -> {[:up], Store.connect(peers, now, peer)}
      _ -> {[], peers}
    end
  end

  @doc "The link to the node is gone."
  @spec down(t, integer, node, String.t()) :: change
  def down(peers, now, node, reason) do
    peer = peers.by_node[node]
    if peer && Peer.linked?(peer), do: lost(peers, now, peer, reason), else: {[], peers}
  end

  defp lost(peers, now, peer, reason) do
    peers = Store.disconnect(peers, now, peer)

    cond do
      peer.membership != :member ->
        {[{:down, reason, false}, :forgotten], Store.forget(peers, peer)}

      peer.state == :leaving ->
        {[{:down, reason, false}], Store.enqueue(peers, Peer.since(peer, now), :leaving, now + Retry.left())}

      true ->
        flaps = Retry.flaps(now - peer.since, peer.flaps)
        {state, delay, rand} = Retry.lost(flaps, peers.rand)
        peer = Peer.since(%{peer | flaps: flaps, error: reason}, now)
        {[{:down, reason, true}], Store.enqueue(%{peers | rand: rand}, peer, state, now + delay)}
    end
  end

  @doc "The node says that it leaves."
  @spec left(t, integer, node) :: change
  def left(peers, now, node) do
    case peers.by_node do
      %{^node => %{state: :connected} = peer} ->
        leaving = Peer.since(%{peer | state: :leaving}, now)
        {[:leaving], peers |> Store.disconnect(now, peer) |> Store.put(leaving)}

      %{^node => %{state: state, membership: :member} = peer} when state != :leaving ->
        {[:leaving], Store.enqueue(peers, Peer.since(peer, now), :leaving, now + Retry.left())}

      _ ->
        {[], peers}
    end
  end

  @doc "The node stays after all."
  @spec stayed(t, integer, node) :: change
  def stayed(peers, now, node) do
    case peers.by_node do
      %{^node => %{state: :leaving, entry: nil} = peer} ->
        {[:up], Store.connect(peers, now, peer)}

      _ ->
        {[], peers}
    end
  end

  @doc """
  Which peers `up/3` and `down/4` are to be called for, given all linked nodes. A peer that has come up since they were
  `asked` for may not be among them yet.
  """
  @spec reconcile(t, [node], integer | :infinity) :: {ups :: [node], downs :: [node]}
  def reconcile(peers, nodes, asked \\ :infinity) do
    nodes = MapSet.new(nodes)

    Enum.reduce(peers.by_node, {[], []}, fn {node, peer}, {ups, downs} ->
      case {Peer.linked?(peer), MapSet.member?(nodes, node)} do
        {false, true} -> {[node | ups], downs}
        {true, false} when peer.since < asked -> {ups, [node | downs]}
        _ -> {ups, downs}
      end
    end)
  end

  ## Whom to dial

  defdelegate due(peers, now, limit), to: Dials
  defdelegate redial?(peers, node), to: Dials
  defdelegate refuser(peers, now, node), to: Dials
  defdelegate dialling?(peers, node), to: Dials
  defdelegate dial_failed(peers, now, node, stage, reason, refuser \\ nil), to: Dials
  defdelegate same(peers, now, node), to: Dials
  defdelegate self(peers, now, node), to: Dials
  defdelegate retry(peers, now), to: Dials
  defdelegate cancel_dials(peers, now), to: Dials

  @doc "When `due/3` will have something."
  @spec next_wakeup(t) :: integer | :infinity
  defdelegate next_wakeup(peers), to: Store, as: :next_due

  ## Whom to disconnect

  @doc """
  The withdrawn peers to disconnect in this round: at most a fifth of the connected ones, but at least one; those tried
  least often first, since a disconnect function may fail; none that another topology `wants?`. `first?`: it is the
  first try.
  """
  @spec to_disconnect(t, (node -> boolean)) :: {[{node, first? :: boolean}], t}
  def to_disconnect(peers, wants? \\ fn _ -> false end) do
    share = max(1, div(MapSet.size(peers.connected), @disconnect_share))
    may_go = Enum.reject(peers.withdrawn, fn {node, _} -> wants?.(node) end)
    chosen = may_go |> Enum.sort_by(&elem(&1, 1)) |> Enum.take(share)

    withdrawn = Enum.reduce(chosen, peers.withdrawn, fn {node, n}, all -> %{all | node => n + 1} end)

    {for({node, n} <- chosen, do: {node, n == 0}), %{peers | withdrawn: withdrawn}}
  end

  ## What there is

  @spec count(t) :: non_neg_integer
  def count(peers), do: MapSet.size(peers.connected)

  @spec connected(t) :: [node]
  def connected(peers), do: peers.connected |> MapSet.to_list() |> Enum.sort()

  @spec members(t) :: [node]
  def members(peers) do
    Enum.sort(for {node, %{membership: m}} when m in [:member, :spare] <- peers.by_node, do: node)
  end

  @spec member?(t, node) :: boolean
  def member?(peers, node), do: match?(%{^node => %{membership: m}} when m in [:member, :spare], peers.by_node)

  @doc "How many are to be linked."
  @spec picks(t) :: non_neg_integer
  def picks(peers), do: Enum.count(peers.by_node, &match?({_, %{membership: :member}}, &1))

  @doc "All peers as plain data, by name; times are in ms, relative to `now`."
  @spec list(t, integer) :: [Caravan.Status.peer()]
  def list(peers, now) do
    for {node, peer} <- Enum.sort(peers.by_node) do
      %{
        node: node,
        state: peer.state,
        pick: peer.membership == :member,
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
        # A withdrawn peer that expires is still withdrawn.
        membership = if peer.membership == :withdrawn, do: :withdrawn, else: membership

        if peer.state == :dialling or Peer.linked?(peer),
          do: {[], Store.put(peers, %{peer | membership: membership})},
          else: {[:forgotten], Store.forget(peers, peer)}

      _ ->
        {[], peers}
    end
  end
end
