defmodule Caravan.Broadcast.Memory do
  @moduledoc false
  # Which messages have been seen, and the newest of them, to hand on to whoever missed one. Pure.
  #
  # An id is `{origin, counter}`, and an origin counts upwards. So ids can be forgotten without delivering a message twice:
  # what is forgotten raises the floor of its origin, and all that is not above the floor counts as seen.

  # A message that comes later than this counts as seen. Longer than a link can stall: it is given up after 1.25 times
  # net_ticktime, which is a minute. A burst of more messages than that many shortens the time.
  @id_age 90_000
  @most_ids 65_536
  # Whoever missed a message asks for it within two seconds or three; the rest is for busy nodes and links.
  @payload_age 15_000
  @most_payloads 4_096
  @most_bytes 16 * 1024 * 1024
  # A node that restarts is a new origin.
  @most_origins 4_096

  defstruct ids: %{},
            id_queue: :queue.new(),
            payloads: %{},
            payload_queue: :queue.new(),
            bytes: 0,
            floors: %{}

  @type origin :: term
  @type id :: {origin, pos_integer}
  @type message :: {channel :: atom, payload :: binary}

  @type t :: %__MODULE__{
          # And when and from whom it came; nil is this node itself.
          ids: %{id => {integer, from :: term}},
          id_queue: :queue.queue({integer, id}),
          payloads: %{id => message},
          payload_queue: :queue.queue({integer, id}),
          bytes: non_neg_integer,
          # Up to which counter, and since when.
          floors: %{origin => {pos_integer, integer}}
        }

  @spec new() :: t
  def new, do: %__MODULE__{}

  @spec seen?(t, id) :: boolean
  def seen?(memory, {origin, counter} = id) do
    is_map_key(memory.ids, id) or
      case memory.floors do
        %{^origin => {floor, _at}} -> counter <= floor
        _ -> false
      end
  end

  @doc "When and from whom the message came first, where that is known still."
  @spec first(t, id) :: {integer, from :: term} | nil
  def first(memory, id), do: memory.ids[id]

  @doc "Takes in a message that hasn't been seen."
  @spec put(t, integer, id, message, term) :: t
  def put(memory, now, id, {_channel, payload} = message, from) do
    expire(
      %{
        memory
        | ids: Map.put(memory.ids, id, {now, from}),
          id_queue: :queue.in({now, id}, memory.id_queue),
          payloads: Map.put(memory.payloads, id, message),
          payload_queue: :queue.in({now, id}, memory.payload_queue),
          bytes: memory.bytes + byte_size(payload)
      },
      now
    )
  end

  @spec fetch(t, id) :: {:ok, message} | :error
  def fetch(memory, id), do: Map.fetch(memory.payloads, id)

  @doc "Forgets what is too old or too much."
  @spec expire(t, integer) :: t
  def expire(memory, now), do: memory |> expire_payloads(now) |> expire_ids(now)

  @doc "When `expire/2` will have something to do."
  @spec next_expiry(t) :: integer | :infinity
  def next_expiry(memory) do
    # Any integer is less than the atom :infinity.
    min(due(memory.payload_queue, @payload_age), due(memory.id_queue, @id_age))
  end

  defp due(queue, age) do
    case :queue.peek(queue) do
      {:value, {at, _id}} -> at + age
      :empty -> :infinity
    end
  end

  defp expire_payloads(memory, now) do
    too_much? = map_size(memory.payloads) > @most_payloads or memory.bytes > @most_bytes

    if too_much? or due(memory.payload_queue, @payload_age) <= now do
      {{:value, {_at, id}}, queue} = :queue.out(memory.payload_queue)
      {{_channel, payload}, payloads} = Map.pop!(memory.payloads, id)
      bytes = memory.bytes - byte_size(payload)
      expire_payloads(%{memory | payloads: payloads, payload_queue: queue, bytes: bytes}, now)
    else
      memory
    end
  end

  defp expire_ids(memory, now) do
    if map_size(memory.ids) > @most_ids or due(memory.id_queue, @id_age) <= now do
      {{:value, {_at, id}}, queue} = :queue.out(memory.id_queue)
      memory = %{memory | ids: Map.delete(memory.ids, id), id_queue: queue}
      memory |> raise_floor(now, id) |> expire_ids(now)
    else
      memory
    end
  end

  defp raise_floor(memory, now, {origin, counter}) do
    raised = fn {floor, _at} -> {max(floor, counter), now} end
    floors = Map.update(memory.floors, origin, {counter, now}, raised)
    %{memory | floors: if(map_size(floors) > @most_origins, do: newest(floors), else: floors)}
  end

  # Half of them, so that this isn't done for each message.
  defp newest(floors) do
    floors
    |> Enum.sort_by(fn {_origin, {_floor, at}} -> at end, :desc)
    |> Enum.take(div(@most_origins, 2))
    |> Map.new()
  end
end
