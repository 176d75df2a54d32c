defmodule Caravan.Topology.Peers.Dials do
  @moduledoc false
  # Whom to dial when, and the outcomes of dials. Pure; `now` is in ms.

  alias Caravan.Topology.{Dialer, Retry}
  alias Caravan.Topology.Peers.{Peer, Store}

  @type event ::
          :self | :forgotten | {:dial_failed, :probe | :dial, String.t(), first? :: boolean}

  @type change :: {[event], Store.t()}

  @doc "Takes out at most `limit` nodes to dial now; from here on they count as being dialed."
  @spec due(Store.t(), integer, non_neg_integer) :: {[node], Store.t()}
  def due(peers, now, limit), do: due(peers, now, limit, [])

  defp due(peers, now, limit, nodes) do
    with true <- limit > 0,
         {peer, peers} <- Store.take_due(peers, now) do
      peers = Store.put(peers, Peer.since(%{peer | state: :dialling}, now))
      due(peers, now, limit - 1, [peer.node | nodes])
    else
      _ -> {nodes, peers}
    end
  end

  @doc "All dials were canceled, without an outcome."
  @spec cancel_dials(Store.t(), integer) :: Store.t()
  def cancel_dials(peers, now) do
    Enum.reduce(Store.dialling(peers), peers, fn
      %{membership: :member} = peer, peers ->
        Store.enqueue(peers, Peer.since(peer, now), :idle, now)

      peer, peers ->
        Store.forget(peers, peer)
    end)
  end

  @doc "Was its link lost, or has a dial failed, since it was last up?"
  @spec redial?(Store.t(), node) :: boolean
  def redial?(peers, node), do: peers.by_node[node].error != nil

  @doc "The node that rejected the handshake; dial only if another node is there now."
  @spec refuser(Store.t(), integer, node) :: Dialer.identity() | nil
  def refuser(peers, now, node) do
    case peers.by_node do
      %{^node => %{refuser: {_, _} = refuser, dial_at: at}} when at > now -> refuser
      _ -> nil
    end
  end

  @spec dialling?(Store.t(), node) :: boolean
  def dialling?(peers, node), do: match?(%{^node => %{state: :dialling}}, peers.by_node)

  @doc "A probe or a dial failed. `refuser`: who rejected the handshake."
  @spec dial_failed(Store.t(), integer, node, :probe | :dial, String.t(), Dialer.refuser()) ::
          change
  def dial_failed(peers, now, node, stage, reason, refuser \\ nil) do
    dial_ended(peers, node, fn peer ->
      event = {:dial_failed, stage, reason, not peer.reported}
      failed = %{peer | attempts: peer.attempts + 1, error: reason, reported: true}
      {[event], back_off(peers, now, Peer.since(failed, now), stage, refuser)}
    end)
  end

  # A peer that is no longer a member by then is forgotten, whatever the outcome.
  defp dial_ended(peers, node, change) do
    case peers.by_node do
      %{^node => %{state: :dialling, membership: :member} = peer} -> change.(peer)
      %{^node => %{state: :dialling} = peer} -> {[:forgotten], Store.forget(peers, peer)}
      _ -> {[], peers}
    end
  end

  # Nobody is there, so the node that rejected a handshake is gone.
  defp back_off(peers, now, peer, stage, nil) do
    waiting = :gb_sets.size(peers.queue)
    {delay, rand} = Retry.failed(stage, peer.attempts, waiting, peers.rand)
    Store.enqueue(%{peers | rand: rand}, Peer.unrefused(peer), :backing_off, now + delay)
  end

  defp back_off(peers, now, peer, :dial, refuser) do
    {delay, rand} =
      if refuser == :unknown,
        do: Retry.refused(peer.refusals + 1, peers.rand),
        else: Retry.settled(peers.rand)

    peer = %{peer | refusals: peer.refusals + 1, refuser: refuser, dial_at: now + delay}
    wait_for_another(%{peers | rand: rand}, now, peer)
  end

  defp wait_for_another(peers, now, %{refuser: {_name, _creation}} = peer),
    do: Store.enqueue(peers, peer, :backing_off, min(peer.dial_at, now + Retry.refused_check()))

  defp wait_for_another(peers, _now, peer),
    do: Store.enqueue(peers, peer, :backing_off, peer.dial_at)

  @doc "The node that rejected the last handshake is still there."
  @spec same(Store.t(), integer, node) :: change
  def same(peers, now, node) do
    dial_ended(peers, node, fn
      # The peer was reset in the meantime, so another address may have been asked.
      %{refuser: nil} = peer -> {[], Store.enqueue(peers, peer, :idle, now)}
      peer -> {[], wait_for_another(peers, now, peer)}
    end)
  end

  @doc "The name leads to this node itself."
  @spec self(Store.t(), integer, node) :: change
  def self(peers, now, node) do
    dial_ended(peers, node, fn peer ->
      {[:self], Store.put(peers, Peer.since(%{peer | state: :self}, now))}
    end)
  end

  @doc "Redials the peers that are backing off now, whatever is known about them, even those being asked just now."
  @spec retry(Store.t(), integer) :: Store.t()
  def retry(peers, now) do
    waiting = Enum.filter(Store.waiting(peers), &(&1.state == :backing_off))
    asked = Enum.reduce(Store.dialling(peers), peers, &Store.put(&2, Peer.reset(&1)))
    Enum.reduce(waiting, asked, &Store.enqueue(&2, Peer.reset(&1), :idle, now))
  end
end
