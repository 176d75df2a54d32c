defmodule Caravan.Link.Messages do
  @moduledoc false
  # The messages between nodes: tuples that begin with :caravan, a version and a word, sent to the process registered as
  # :caravan. Nodes of different releases exchange them, so a message of this version never changes. New messages get a
  # new word or a new version, and a node ignores what it doesn't know.
  #
  #     {:caravan, 1, :leaving, node}                        don't redial me when my link is gone
  #     {:caravan, 1, :staying, node}                        I am staying after all
  #     {:caravan, 1, :listening, node, addresses}           this is where I listen
  #     {:caravan, 1, :starting, node, addresses}            the same, and I know nothing: tell me everything again
  #     {:caravan, 1, :where, reply_to, host, family}        where is this host?
  #     {:caravan, 1, :linked, reply_to, host, family}       where is it, judging by your links alone?
  #
  # The answer to a question is `{reply_to, {:ok, address} | :unknown}`; reply_to is an alias.
  #
  # A hidden node gets no message that it hasn't asked for: it may be a C node, such as erl_call, which takes the next
  # message for the answer to its own question.
  #
  # Questions are asked while a link is being set up, so this module calls only :erlang.

  @process :caravan
  @version 1
  # A node listens on one address, or on a few.
  @most_addresses 16

  @type address :: :inet.ip_address()
  @type family :: :inet | :inet6
  @type message ::
          {:leaving | :staying, node}
          | {:listening | :starting, node, [address]}
          | {:where | :linked, reply_to :: reference, host :: charlist, family}

  @doc "The registered name of the process that receives these messages."
  @spec process() :: atom
  def process, do: @process

  @doc "Tells `nodes` whether this node leaves or stays. Neither blocks nor connects."
  @spec tell([node], :leaving | :staying) :: :ok
  def tell([node | nodes], word) do
    _ = post(node, {:caravan, @version, word, :erlang.node()})
    tell(nodes, word)
  end

  def tell([], _word), do: :ok

  @doc "Tells `node` where this node listens. Neither blocks nor connects."
  @spec tell(node, :listening | :starting, [address]) :: :ok
  def tell(node, word, addresses) do
    _ = post(node, {:caravan, @version, word, :erlang.node(), addresses})
    :ok
  end

  @doc "Asks a node; false if it isn't linked. Neither blocks nor connects."
  @spec ask(node, :where | :linked, reference, charlist, family) :: boolean
  def ask(node, word, reply_to, host, family),
    do: post(node, {:caravan, @version, word, reply_to, host, family})

  @doc "Answers a question. Neither blocks nor connects."
  @spec reply(reference, {:ok, address} | :unknown) :: :ok
  def reply(reply_to, answer) do
    _ = :erlang.send(reply_to, {reply_to, answer}, [:noconnect, :nosuspend])
    :ok
  end

  defp post(node, message),
    do: :erlang.send({@process, node}, message, [:noconnect, :nosuspend]) == :ok

  @doc "Parses a message. Anyone in the cluster may send anything."
  @spec read(term) :: message | :ignored
  def read({:caravan, @version, word, node})
      when word in [:leaving, :staying] and is_atom(node),
      do: {word, node}

  def read({:caravan, @version, word, node, addresses})
      when word in [:listening, :starting] and is_atom(node) and is_list(addresses) and
             length(addresses) <= @most_addresses do
    if addresses?(addresses), do: {word, node, addresses}, else: :ignored
  end

  def read({:caravan, @version, word, reply_to, host, family})
      when word in [:where, :linked] and is_reference(reply_to) and is_list(host) and
             length(host) <= 255 and family in [:inet, :inet6] do
    if text?(host), do: {word, reply_to, host, family}, else: :ignored
  end

  def read(_other), do: :ignored

  @doc "Is this an address of this family that a node can be dialed at?"
  @spec address?(term, family) :: boolean
  def address?({0, 0, 0, 0}, _family), do: false
  def address?({0, 0, 0, 0, 0, 0, 0, 0}, _family), do: false

  def address?(address, :inet) when is_tuple(address) and tuple_size(address) == 4,
    do: within?(:erlang.tuple_to_list(address), 0xFF)

  def address?(address, :inet6) when is_tuple(address) and tuple_size(address) == 8,
    do: within?(:erlang.tuple_to_list(address), 0xFFFF)

  def address?(_other, _family), do: false

  defp addresses?([address | addresses]),
    do: (address?(address, :inet) or address?(address, :inet6)) and addresses?(addresses)

  defp addresses?([]), do: true

  defp text?(host), do: within?(host, 0x10FFFF)

  defp within?([number | numbers], most)
       when is_integer(number) and number >= 0 and number <= most,
       do: within?(numbers, most)

  defp within?([], _most), do: true
  defp within?(_other, _most), do: false
end
