defmodule Caravan.Topology.Peers.Peer do
  @moduledoc false

  # `membership`: does discovery list it, and is it to be linked (a `:spare` isn't, but may be); `attempts`: failed dials
  # in a row; `refusals`: how many of the latest of these were rejected handshakes; `refuser`: who rejected the last one;
  # `dial_at`: when to redial it all the same; `flaps`: young links lost in a row; `reported`: this series of failures is
  # in the log; `error`: the last failure's sentence.
  @enforce_keys [:node, :since]
  defstruct [
    :node,
    :since,
    state: :idle,
    membership: :member,
    entry: nil,
    attempts: 0,
    refusals: 0,
    refuser: nil,
    dial_at: nil,
    flaps: 0,
    reported: false,
    error: nil
  ]

  @type state :: :idle | :dialling | :backing_off | :connected | :leaving | :self

  @type t :: %__MODULE__{
          node: node,
          since: integer,
          state: state,
          membership: :member | :spare | :withdrawn | :expired,
          entry: {integer, float, node} | nil,
          attempts: non_neg_integer,
          refusals: non_neg_integer,
          refuser: Caravan.Topology.Dialer.refuser(),
          dial_at: integer | nil,
          flaps: non_neg_integer,
          reported: boolean,
          error: String.t() | nil
        }

  @spec linked?(t) :: boolean
  def linked?(peer), do: peer.state in [:connected, :leaving] and peer.entry == nil

  @doc "Its state begins now."
  @spec since(t, integer) :: t
  def since(peer, now), do: %{peer | since: now}

  @doc "What is known about it no longer counts."
  @spec reset(t) :: t
  def reset(peer), do: unrefused(%{peer | attempts: 0})

  @spec unrefused(t) :: t
  def unrefused(peer), do: %{peer | refusals: 0, refuser: nil, dial_at: nil}
end
