defmodule Caravan.Broadcast.Frames do
  @moduledoc false
  # What nodes send each other to spread a topology's broadcasts: tuples that begin with :caravan, a version and a word,
  # sent to the process that `process/1` names. Nodes of different releases exchange them, so a frame of this version
  # never changes; what is new gets a new word or a new version, and a node ignores what it doesn't know.
  #
  #     {:caravan, 1, :hello, topology, from}                            I have just started: who is there?
  #     {:caravan, 1, :gossip, topology, from, id, channel, payload}     a message, as a binary
  #     {:caravan, 1, :ihave, topology, from, runs}                      I have these messages
  #     {:caravan, 1, :graft, topology, from, runs}                      send me these, and others as they come
  #     {:caravan, 1, :prune, topology, from}                            I got one twice: only announce them
  #
  # `from` is the pid of the process that sends, whose node the answer goes to. An id is `{origin, counter}`: the pid of
  # the process where the message started, and a number that it counts up from 1. Neither pids nor ids recur when a
  # process or a node is restarted, since a pid carries the creation of its node. A run, `{origin, first, last}`, stands
  # for the ids of an origin from one counter to another.
  #
  # `channel` tells the messages of Caravan.broadcast/2, :message, from those of other users of the tree.
  #
  # The payload is a term in the external format, not compressed, as a binary: encoded once, however many links it
  # takes. It may create atoms where it is read, as any message from another node may: a node that has the cookie could
  # create them in a frame's own fields as well, and in a rolling deployment the newer release has atoms that the older
  # one lacks.

  alias Caravan.Broadcast.Plumtree

  @version 1
  @most_bytes 1_048_576
  @most_ids Plumtree.most_ids()
  # Those of 64 bits.
  @most_counter 0x7FFFFFFFFFFFFFFF
  # A term of the external format begins so, and goes on so if it is compressed.
  @external 131
  @compressed 80

  # Names that are longer may not fit into an atom with a prefix.
  @longest_name 200

  @doc "How long a payload may be, in bytes."
  @spec most_bytes() :: pos_integer
  def most_bytes, do: @most_bytes

  @doc "The name that the process of a topology is registered by, on all nodes."
  @spec process(term) :: atom
  def process(topology) do
    text = if is_atom(topology), do: Atom.to_string(topology), else: inspect(topology)
    short = if String.length(text) > @longest_name, do: "#{:erlang.phash2(topology)}", else: text
    # One for each topology of this node.
    String.to_atom("caravan_broadcast_" <> short)
  end

  @spec encode(Plumtree.frame() | :hello, term, pid) :: tuple
  def encode({:gossip, id, {channel, payload}}, topology, from),
    do: {:caravan, @version, :gossip, topology, from, id, channel, payload}

  def encode({word, ids}, topology, from), do: {:caravan, @version, word, topology, from, runs(ids)}
  def encode(word, topology, from), do: {:caravan, @version, word, topology, from}

  @doc "What a node says about this topology. Anyone in the cluster may send anything."
  @spec read(term, term) :: {from :: pid, Plumtree.frame() | :hello} | :ignored
  def read({:caravan, @version, :gossip, topology, from, id, channel, payload}, topology)
      when is_pid(from) and is_atom(channel) and is_binary(payload) and
             byte_size(payload) <= @most_bytes do
    if id?(id), do: {from, {:gossip, id, {channel, payload}}}, else: :ignored
  end

  def read({:caravan, @version, word, topology, from, runs}, topology)
      when word in [:ihave, :graft] and is_pid(from) and length(runs) <= @most_ids do
    if Enum.all?(runs, &run?/1) and size(runs) <= @most_ids, do: {from, {word, ids(runs)}}, else: :ignored
  end

  def read({:caravan, @version, word, topology, from}, topology)
      when word in [:hello, :prune] and is_pid(from),
      do: {from, word}

  def read(_other, _topology), do: :ignored

  defp id?({origin, counter}), do: is_pid(origin) and counter?(counter)
  defp id?(_other), do: false

  defp run?({origin, first, last}), do: is_pid(origin) and counter?(first) and counter?(last) and first <= last
  defp run?(_other), do: false

  defp counter?(counter), do: is_integer(counter) and counter > 0 and counter <= @most_counter

  # A stream of messages is a run for each of its senders.
  defp runs(ids), do: ids |> Enum.sort() |> Enum.reduce([], &extend/2) |> Enum.reverse()

  defp extend({origin, n}, [{origin, first, last} | runs]) when n == last + 1, do: [{origin, first, n} | runs]
  defp extend({origin, n}, runs), do: [{origin, n, n} | runs]

  defp size(runs), do: Enum.reduce(runs, 0, fn {_origin, first, last}, sum -> sum + last - first + 1 end)

  defp ids(runs), do: for({origin, first, last} <- runs, n <- first..last, do: {origin, n})

  @doc "A message as a payload, or how many bytes it would be, where those are too many."
  @spec payload(term) :: {:ok, binary} | {:error, pos_integer}
  def payload(message) do
    payload = :erlang.term_to_binary(message)
    if byte_size(payload) <= @most_bytes, do: {:ok, payload}, else: {:error, byte_size(payload)}
  end

  @doc "The message of a payload. What is compressed might be of any size, and nobody makes it."
  @spec message(binary) :: {:ok, term} | :error
  def message(<<@external, tag, _::binary>> = payload) when tag != @compressed do
    case :erlang.binary_to_term(payload, [:used]) do
      {message, used} when used == byte_size(payload) -> {:ok, message}
      _more_than_a_term -> :error
    end
  rescue
    ArgumentError -> :error
  end

  def message(_other), do: :error
end
