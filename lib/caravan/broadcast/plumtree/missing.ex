defmodule Caravan.Broadcast.Plumtree.Missing do
  @moduledoc false
  # The messages that peers have announced and that haven't arrived, and whom to ask for them when. Pure.

  # Times in ms. A message that was announced is on its way over the tree, too. If it doesn't arrive, those that have
  # announced it are asked in turn.
  @missing_after 250
  @graft_again 250
  @most_grafts 8

  # Bounds, so that nobody can fill the memory.
  @most_missing 8_192
  @most_announcers 8

  defstruct messages: %{}, timers: :gb_sets.new(), lost: 0

  @type peer :: term
  @type id :: term

  @type t :: %__MODULE__{
          # Who has announced it, in the order in which they are asked.
          messages: %{id => %{announcers: [peer, ...], due: integer, grafts: non_neg_integer}},
          timers: :gb_sets.set({integer, id}),
          # How many were asked for in vain.
          lost: non_neg_integer
        }

  @spec new() :: t
  def new, do: %__MODULE__{}

  @doc "How late a message is that had to be asked for, in ms, at least."
  @spec missing_after() :: pos_integer
  def missing_after, do: @missing_after

  @spec missing?(t, id) :: boolean
  def missing?(missing, id), do: is_map_key(missing.messages, id)

  @doc "A peer has announced a message that isn't here."
  @spec announced(t, integer, peer, id) :: t
  def announced(%{messages: messages} = missing, now, from, id) do
    case messages do
      %{^id => %{announcers: announcers}} ->
        if from in announcers or length(announcers) >= @most_announcers,
          do: missing,
          else: put_in(missing.messages[id].announcers, announcers ++ [from])

      _ when map_size(messages) < @most_missing ->
        wait(missing, id, [from], now + @missing_after, 0)

      _ ->
        missing
    end
  end

  @doc "The message is here, or nobody is left to ask for it."
  @spec found(t, id) :: t
  def found(missing, id) do
    case Map.pop(missing.messages, id) do
      {nil, _} -> missing
      {%{due: due}, rest} -> %{missing | messages: rest, timers: :gb_sets.del_element({due, id}, missing.timers)}
    end
  end

  @doc "The peer can't be asked any more."
  @spec forget(t, peer) :: t
  def forget(missing, peer) do
    for {id, %{announcers: announcers}} <- missing.messages, peer in announcers, reduce: missing do
      missing ->
        case List.delete(announcers, peer) do
          [] -> found(missing, id)
          rest -> put_in(missing.messages[id].announcers, rest)
        end
    end
  end

  @doc "The peer could not be asked just now. That counts as none of the times that a message is asked for."
  @spec not_asked(t, integer, peer, id) :: t
  def not_asked(missing, now, peer, id) do
    if missing?(missing, id),
      do: update_in(missing.messages[id].grafts, &max(0, &1 - 1)),
      else: wait(missing, id, [peer], now + @graft_again, @most_grafts - 1)
  end

  @doc """
  Whom to ask for what now: first whoever announced it first, then the next, unless the link to another is eager
  already, as each link that becomes eager may be one too many. A peer may not answer, since it doesn't keep a message
  for long.
  """
  @spec take_due(t, integer, (peer -> boolean)) :: {%{peer => [id, ...]}, t}
  def take_due(missing, now, eager?), do: take_due(missing, now, eager?, %{})

  defp take_due(missing, now, eager?, asked) do
    if next_due(missing) > now do
      {asked, missing}
    else
      {_due, id} = :gb_sets.smallest(missing.timers)
      %{announcers: announcers, grafts: grafts} = missing.messages[id]
      # Asking makes a link eager.
      eager? = &(is_map_key(asked, &1) or eager?.(&1))
      peer = Enum.find(announcers, hd(announcers), &(grafts == 0 and eager?.(&1)))
      missing = missing |> found(id) |> ask_again(now, id, List.delete(announcers, peer) ++ [peer], grafts + 1)
      take_due(missing, now, eager?, Map.update(asked, peer, [id], &[id | &1]))
    end
  end

  # The answer to the last one may still come.
  defp ask_again(missing, _now, _id, _announcers, @most_grafts), do: %{missing | lost: missing.lost + 1}
  defp ask_again(missing, now, id, announcers, grafts), do: wait(missing, id, announcers, now + @graft_again, grafts)

  @doc "When `take_due/3` will have something to do."
  @spec next_due(t) :: integer | :infinity
  def next_due(%{messages: messages}) when messages == %{}, do: :infinity
  def next_due(missing), do: elem(:gb_sets.smallest(missing.timers), 0)

  defp wait(missing, id, announcers, due, grafts) do
    entry = %{announcers: announcers, due: due, grafts: grafts}
    timers = :gb_sets.add_element({due, id}, missing.timers)
    %{missing | messages: Map.put(missing.messages, id, entry), timers: timers}
  end
end
