defmodule Caravan.Broadcast.Memory do
  @moduledoc false
  # Which messages have been seen, and the latest of them, to pass on to whoever missed one. Pure.
  #
  # All of it is forgotten by the generation, so that a message costs one entry here and no timer. Messages are kept in
  # two generations, `young` and `old`. After that only their ids are, in two more: `ids` and `older`.
  #
  # An id is `{origin, counter}`, and an origin counts upwards. So ids can be forgotten without delivering a message
  # twice: what is forgotten raises the floor of its origin, and nothing up to the floor counts as new.

  # Whoever missed a message asks for it within a few seconds; the rest is for busy nodes and links. In ms, as are all
  # times. The last message is kept for twice as long at most, as all are in the same generation.
  @message_age 8_000
  @most_messages 2_048
  @most_bytes 8 * 1024 * 1024
  # A message that comes later than this isn't delivered any more. A link can't stall for longer: it is given up after
  # 1.25 times net_ticktime, which is 75 s. A burst of more messages shortens the time.
  @id_age 80_000
  @most_ids 32_768
  # A node that restarts is a new origin.
  @most_origins 4_096

  defstruct young: %{}, old: %{}, bytes: 0, turn_at: :infinity, ids: %{}, older: %{}, ids_at: 0, floors: %{}

  @type origin :: term
  @type id :: {origin, pos_integer}
  @type message :: {channel :: atom, payload :: binary}

  @type t :: %__MODULE__{
          # And when they came.
          young: %{id => {integer, message}},
          old: %{id => {integer, message}},
          # The payloads of the young ones.
          bytes: non_neg_integer,
          turn_at: integer | :infinity,
          ids: %{id => integer},
          older: %{id => integer},
          # When the last generation of ids ended.
          ids_at: integer,
          # Up to which counter, and since when.
          floors: %{origin => {pos_integer, integer}}
        }

  @spec new() :: t
  def new, do: %__MODULE__{}

  @spec seen?(t, id) :: boolean
  def seen?(%{young: young, old: old, ids: ids, older: older}, id)
      when is_map_key(young, id) or is_map_key(old, id) or is_map_key(ids, id) or is_map_key(older, id),
      do: true

  def seen?(%{floors: floors}, {origin, counter}) do
    case floors do
      %{^origin => {floor, _at}} -> counter <= floor
      _ -> false
    end
  end

  @doc "When the message came first, if that is still known."
  @spec first(t, id) :: integer | nil
  def first(memory, id) do
    case memory do
      %{young: %{^id => {at, _}}} -> at
      %{old: %{^id => {at, _}}} -> at
      %{ids: %{^id => at}} -> at
      %{older: %{^id => at}} -> at
      _ -> nil
    end
  end

  @doc "Takes in a message that hasn't been seen."
  @spec put(t, integer, id, message) :: t
  def put(%{turn_at: :infinity} = memory, now, id, message),
    do: put(%{memory | turn_at: now + @message_age, ids_at: now}, now, id, message)

  def put(%{young: young, bytes: bytes} = memory, now, id, {_channel, payload} = message) do
    bytes = bytes + byte_size(payload)

    if map_size(young) < @most_messages and bytes <= @most_bytes,
      do: %{memory | young: Map.put(young, id, {now, message}), bytes: bytes},
      else: memory |> turn(now) |> put(now, id, message)
  end

  @spec fetch(t, id) :: {:ok, message} | :error
  def fetch(memory, id) do
    case memory do
      %{young: %{^id => {_at, message}}} -> {:ok, message}
      %{old: %{^id => {_at, message}}} -> {:ok, message}
      _ -> :error
    end
  end

  @doc "Are there messages to pass on to whoever missed them, not only their ids?"
  @spec keeps_messages?(t) :: boolean
  def keeps_messages?(memory), do: memory.young != %{} or memory.old != %{}

  @doc "Forgets what is too old."
  @spec expire(t, integer) :: t
  def expire(%{turn_at: at} = memory, now) when at > now, do: memory
  # Late, maybe: whatever would have been forgotten meanwhile is.
  def expire(%{turn_at: at} = memory, now), do: memory |> turn(at) |> expire(now)

  @doc "When `expire/2` will have something to do."
  @spec next_expiry(t) :: integer | :infinity
  def next_expiry(memory), do: memory.turn_at

  defp turn(memory, now) do
    ids = for {id, {at, _message}} <- memory.old, into: memory.ids, do: {id, at}
    memory = %{memory | young: %{}, old: memory.young, bytes: 0, ids: ids, turn_at: now + @message_age}
    memory = if now - memory.ids_at >= @id_age or map_size(ids) > @most_ids, do: turn_ids(memory, now), else: memory
    if memory.old == %{} and memory.ids == %{} and memory.older == %{}, do: %{memory | turn_at: :infinity}, else: memory
  end

  defp turn_ids(memory, now) do
    floors =
      for {{origin, counter}, _at} <- memory.older, reduce: memory.floors do
        floors -> Map.update(floors, origin, {counter, now}, fn {floor, _at} -> {max(floor, counter), now} end)
      end

    %{memory | older: memory.ids, ids: %{}, ids_at: now, floors: newest(floors)}
  end

  defp newest(floors) when map_size(floors) <= @most_origins, do: floors

  defp newest(floors) do
    floors
    |> Enum.sort_by(fn {_origin, {_floor, at}} -> at end, :desc)
    |> Enum.take(@most_origins)
    |> Map.new()
  end
end
