defmodule Caravan.Broadcast.Plumtree.Announcements do
  @moduledoc false
  # The ids of messages that are to be announced, in batches, and when. Pure.

  # In ms. The first message after a while is announced soon. In a stream of messages the batches are far apart, as each
  # costs both ends about as much as a message does. They are not equally far apart on all nodes: so a node hears of a
  # message that it misses from the first of several others, long before the last of them.
  @soon 50
  @apart 1_000
  # A batch of so many is announced at once.
  @full 1_024
  # Nobody could ask for more, as nobody keeps more messages.
  @most_fresh 4_096

  # What a busy link refused is announced to it until it takes that.
  @retry_after 100
  @most_owed 1_024

  defstruct fresh: [], count: 0, at: :infinity, last: nil, owed: %{}, owed_at: :infinity

  @type peer :: term
  @type id :: term

  @type t :: %__MODULE__{
          # For the lazy links, the newest first.
          fresh: [id],
          count: non_neg_integer,
          at: integer | :infinity,
          # When the last batch was sent.
          last: integer | nil,
          # For busy links.
          owed: %{peer => [id]},
          owed_at: integer | :infinity
        }

  @spec new() :: t
  def new, do: %__MODULE__{}

  @doc "A message is to be announced. `seed` is this node's own: nodes don't act in step."
  @spec add(t, integer, id, term) :: t
  def add(%{count: 0} = batch, now, id, seed),
    do: %{batch | fresh: [id], count: 1, at: next_batch(batch.last, now, seed)}

  def add(%{count: @most_fresh} = batch, _now, _id, _seed), do: batch

  def add(%{count: count} = batch, now, id, _seed) do
    at = if count + 1 < @full, do: batch.at, else: min(batch.at, now)
    %{batch | fresh: [id | batch.fresh], count: count + 1, at: at}
  end

  defp next_batch(nil, now, _seed), do: now + @soon
  defp next_batch(last, now, seed), do: max(now + @soon, last + @apart + :erlang.phash2({seed, last}, @apart))

  @doc "What the next batch will announce, in the order in which it came."
  @spec fresh(t) :: [id]
  def fresh(batch), do: Enum.reverse(batch.fresh)

  @doc "A busy link refused these messages, or their announcement."
  @spec owe(t, integer, peer, [id]) :: t
  def owe(batch, now, peer, ids) do
    owed = Map.update(batch.owed, peer, ids, &Enum.take(ids ++ &1, @most_owed))
    %{batch | owed: owed, owed_at: min(batch.owed_at, now + @retry_after)}
  end

  @spec forget(t, peer) :: t
  def forget(batch, peer), do: %{batch | owed: Map.delete(batch.owed, peer)}

  @doc "When `take_fresh/2` or `take_owed/2` will have something to do."
  @spec next_due(t) :: integer | :infinity
  def next_due(%{at: at, owed_at: owed_at}), do: min(at, owed_at)

  @spec take_fresh(t, integer) :: {[id], t}
  def take_fresh(%{at: at} = batch, now) when at > now, do: {[], batch}
  def take_fresh(batch, now), do: {fresh(batch), %{batch | fresh: [], count: 0, at: :infinity, last: now}}

  @spec take_owed(t, integer) :: {%{peer => [id]}, t}
  def take_owed(%{owed_at: at} = batch, now) when at > now, do: {%{}, batch}
  def take_owed(batch, _now), do: {batch.owed, %{batch | owed: %{}, owed_at: :infinity}}
end
