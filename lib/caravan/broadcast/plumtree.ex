defmodule Caravan.Broadcast.Plumtree do
  @moduledoc false
  # Who gets a message next: the epidemic broadcast trees of Leitão, Pereira and Rodrigues (2007). Pure: events in,
  # effects out; the time comes in, too.
  #
  # A link is eager or lazy. Messages go over eager links at once; lazy ones are told, in batches, which messages there
  # are. A message that comes twice prunes the link it came over: that becomes lazy at both ends, so what stays eager is
  # a tree. A message that was announced and doesn't come is requested where it was announced, which grafts that link:
  # it becomes eager at both ends, and the tree is whole again.
  #
  # Beyond the paper:
  #
  #   * A new link is lazy if there are enough eager ones, and only some of the lazy ones get announcements: on a full
  #     mesh each node has links to all others.
  #   * When an eager link goes down, some lazy ones become eager at once. Otherwise the next message would be late, by
  #     the time that an announcement takes.
  #   * A message that comes over a lazy link was under way when that was pruned. It isn't passed on before it has come
  #     over an eager link, too: the other end of that would get it twice and prune the link. Streams of messages would
  #     take all eager links from some nodes, again and again.
  #   * What can't be sent now, over a busy link, is announced when that is possible again.
  #
  # What is called for each message is written for few steps and little memory touched: on a node that gets a message
  # now and then none of it is in the processor's caches, and that is what a message costs.

  alias Caravan.Broadcast.Memory
  alias Caravan.Broadcast.Plumtree.{Announcements, Missing}

  # A new link is eager while there are fewer than this. More become so when the others want it.
  @eager_links 8
  # How many lazy links get announcements: all of them on a bounded mesh.
  @announced_links 16
  # How many lazy links take the place of an eager one that is gone.
  @mending_links 3

  # Times in ms. A message over a lazy link waits so long for its like.
  @stray_age 50
  # Between prunings, at least and at most twice that.
  @calm 250

  @most_ids 1_024

  @enforce_keys [:self]
  defstruct [
    :self,
    # By rank, which is a number of the pair: each node has an order of its own.
    lazy: [],
    eager: [],
    memory: Memory.new(),
    announcements: Announcements.new(),
    strays: %{},
    adopt_at: :infinity,
    pruning: {nil, -1_000_000_000_000_000_000},
    missing: Missing.new(),
    received: 0,
    duplicates: 0,
    requested: 0
  ]

  @type peer :: term
  @type id :: Memory.id()
  @type message :: Memory.message()
  @type frame :: {:gossip, id, message} | {:ihave | :graft, [id]} | :prune

  @type effect :: {:send, [peer, ...], frame}
  @type change :: {[effect], t}

  @type t :: %__MODULE__{
          self: peer,
          lazy: [{non_neg_integer, peer}],
          eager: :ordsets.ordset(peer),
          memory: Memory.t(),
          announcements: Announcements.t(),
          # What came over a lazy link and has yet to come over an eager one, and how long that is waited for.
          strays: %{id => {peer, message}},
          adopt_at: integer | :infinity,
          # Which message prunes links now, and until when no other does.
          pruning: {id | nil, integer},
          missing: Missing.t(),
          # Since the start.
          received: non_neg_integer,
          duplicates: non_neg_integer,
          requested: non_neg_integer
        }

  @type stats :: %{
          received: non_neg_integer,
          duplicates: non_neg_integer,
          requested: non_neg_integer,
          lost: non_neg_integer,
          eager: non_neg_integer,
          lazy: non_neg_integer
        }

  @doc "How many ids a frame may have."
  @spec most_ids() :: pos_integer
  def most_ids, do: @most_ids

  @spec new(peer) :: t
  def new(self), do: %__MODULE__{self: self}

  @spec link?(t, peer) :: boolean
  def link?(tree, peer),
    do: eager?(tree, peer) or lazy?(tree, peer)

  @spec seen?(t, id) :: boolean
  def seen?(tree, id), do: Memory.seen?(tree.memory, id)

  @spec keeps_messages?(t) :: boolean
  def keeps_messages?(tree), do: Memory.keeps_messages?(tree.memory)

  @doc "How many messages came, came again, were asked for, and were asked for in vain; and how many links there are."
  @spec stats(t) :: stats
  def stats(tree) do
    tree
    |> Map.take([:received, :duplicates, :requested])
    |> Map.merge(%{lost: tree.missing.lost, eager: length(tree.eager), lazy: length(tree.lazy)})
  end

  ## Links

  # The other end hears of it, by what it has to know, or by announcing nothing: its own discovery may be behind.
  @doc "There is a link to the peer."
  @spec up(t, peer) :: change
  def up(tree, peer) do
    cond do
      link?(tree, peer) -> {[], tree}
      length(tree.eager) < @eager_links -> welcome(tree, peer)
      true -> {[{:send, [peer], {:ihave, []}}], lazy(tree, peer)}
    end
  end

  # Nothing is announced to it: it may be a node that has just started.
  defp welcome(tree, peer) do
    {_told, tree} = eager(tree, [peer])
    {[{:send, [peer], {:graft, []}}], tree}
  end

  @doc "The link is gone."
  @spec down(t, peer) :: change
  def down(tree, peer) do
    eager? = eager?(tree, peer)

    tree = %{
      tree
      | eager: :ordsets.del_element(peer, tree.eager),
        lazy: :ordsets.del_element(ranked(tree, peer), tree.lazy),
        announcements: Announcements.forget(tree.announcements, peer),
        missing: Missing.forget(tree.missing, peer)
    }

    if eager?,
      do: promote(tree, for({_rank, peer} <- Enum.take(tree.lazy, @mending_links), do: peer)),
      else: {[], tree}
  end

  # The other end doesn't know that the link is eager: it is asked for nothing in particular.
  defp promote(tree, []), do: {[], tree}

  defp promote(tree, peers) do
    {told, tree} = eager(tree, peers)
    {[{:send, peers, {:graft, []}} | told], tree}
  end

  ## Messages

  @doc "A message of this node's own. It is for the caller to deliver it here."
  @spec broadcast(t, integer, id, message) :: change
  def broadcast(tree, now, id, message), do: spread(tree, now, id, message, nil)

  @doc "A message came from a peer that hasn't been seen. It is for the caller to deliver it here."
  @spec first(t, integer, peer, id, message) :: change
  def first(%{missing: missing} = tree, now, from, id, message) do
    missing = if Missing.missing?(missing, id), do: Missing.found(missing, id), else: missing
    tree = %{tree | missing: missing, received: tree.received + 1}

    cond do
      eager?(tree, from) -> spread(tree, now, id, message, from)
      tree.eager == [] -> adopt_first(tree, now, from, id, message)
      true -> {[], tree |> keep(now, id, message) |> stray(now, from, id, message)}
    end
  end

  defp adopt_first(tree, now, from, id, message) do
    {effects, tree} = promote(tree, [from])
    {more, tree} = spread(tree, now, id, message, from)
    {effects ++ more, tree}
  end

  defp stray(tree, now, from, id, message),
    do: %{tree | strays: Map.put(tree.strays, id, {from, message}), adopt_at: min(tree.adopt_at, now + @stray_age)}

  @doc "A message came from a peer that has been seen."
  @spec again(t, integer, peer, id) :: change
  def again(%{strays: strays} = tree, now, from, id) do
    tree = %{tree | duplicates: tree.duplicates + 1}

    if is_map_key(strays, id) and eager?(tree, from) do
      {{first, message}, strays} = Map.pop!(strays, id)
      {[{:send, [first], :prune} | push(tree, id, message, from)], %{tree | strays: strays}}
    else
      one_too_many(tree, now, from, id, Memory.first(tree.memory, id))
    end
  end

  # A message that was asked for is late wherever it is handed on to, which says nothing of the link. And messages that are
  # under way together tell different nodes to prune different links of one cycle, after which it is none, but two parts:
  # so one of them prunes, and the others don't for a while.
  defp one_too_many(tree, now, from, id, at) do
    {pruning, until} = tree.pruning

    cond do
      # Or it was forgotten.
      at == nil or now - at >= Missing.missing_after() -> {[], tree}
      eager?(tree, from) and id != pruning and now < until -> {[], tree}
      eager?(tree, from) -> prune_link(%{tree | pruning: {id, now + calm(tree, id)}}, from)
      true -> prune_link(tree, from)
    end
  end

  defp prune_link(tree, from), do: {[{:send, [from], :prune}], lazy(tree, from)}

  # Not the same time for all.
  defp calm(tree, id), do: @calm + :erlang.phash2({tree.self, id}, @calm)

  defp spread(tree, now, id, message, from), do: {push(tree, id, message, from), keep(tree, now, id, message)}

  defp push(tree, id, message, from), do: send_to(List.delete(tree.eager, from), {:gossip, id, message})

  defp keep(%{lazy: []} = tree, now, id, message), do: %{tree | memory: Memory.put(tree.memory, now, id, message)}

  defp keep(tree, now, id, message) do
    announcements = Announcements.add(tree.announcements, now, id, tree.self)
    %{tree | memory: Memory.put(tree.memory, now, id, message), announcements: announcements}
  end

  @doc "A peer says which messages it has."
  @spec ihave(t, integer, peer, [id]) :: change
  def ihave(tree, now, from, ids),
    do: {[], Enum.reduce(ids, tree, &announced(&2, now, from, &1))}

  defp announced(tree, now, from, id) do
    if not Missing.missing?(tree.missing, id) and seen?(tree, id),
      do: tree,
      else: %{tree | missing: Missing.announced(tree.missing, now, from, id)}
  end

  @doc "A peer wants this link to be eager, and these messages."
  @spec graft(t, peer, [id]) :: change
  def graft(tree, from, ids) do
    wanted = for id <- ids, {:ok, message} <- [Memory.fetch(tree.memory, id)], do: {id, message}
    effects = for {id, message} <- wanted, do: {:send, [from], {:gossip, id, message}}
    {told, tree} = eager(tree, [from], ids)
    {effects ++ told, tree}
  end

  @doc "A peer has got a message from here twice."
  @spec prune(t, peer) :: change
  def prune(tree, from), do: {[], lazy(tree, from)}

  @doc "A frame could not be sent now, since the link is busy."
  @spec unsent(t, integer, peer, frame) :: t
  def unsent(tree, now, peer, {:gossip, id, _message}), do: owe(tree, now, peer, [id])
  def unsent(tree, now, peer, {:ihave, ids}), do: owe(tree, now, peer, ids)

  def unsent(tree, now, peer, {:graft, ids}),
    do: %{tree | missing: Enum.reduce(ids, tree.missing, &Missing.not_asked(&2, now, peer, &1))}

  # A second duplicate prunes again.
  def unsent(tree, _now, _peer, _prune), do: tree

  defp owe(tree, now, peer, ids), do: %{tree | announcements: Announcements.owe(tree.announcements, now, peer, ids)}

  ## Time

  @doc "When `tick/2` will have something to do."
  @spec next_wakeup(t) :: integer | :infinity
  def next_wakeup(tree) do
    # Any integer is less than the atom :infinity.
    Announcements.next_due(tree.announcements)
    |> min(tree.adopt_at)
    |> min(Missing.next_due(tree.missing))
    |> min(Memory.next_expiry(tree.memory))
  end

  @doc "What is due."
  @spec tick(t, integer) :: change
  def tick(tree, now) do
    {adopted, tree} = adopt(%{tree | memory: Memory.expire(tree.memory, now)}, now)
    {announced, tree} = announce(tree, now)
    {asked, tree} = ask(tree, now)
    {adopted ++ announced ++ asked, tree}
  end

  # The other end hasn't heard that the link was pruned, or only it thinks that the link is eager, and nobody else has
  # sent the message: then it is so.
  defp adopt(%{adopt_at: at} = tree, now) when at > now, do: {[], tree}

  defp adopt(tree, _now) do
    peers = for {_id, {peer, _message}} <- tree.strays, lazy?(tree, peer), uniq: true, do: peer
    {effects, adopted} = promote(tree, peers)
    sent = for {id, {peer, message}} <- tree.strays, do: push(adopted, id, message, peer)
    {effects ++ Enum.concat(sent), %{adopted | strays: %{}, adopt_at: :infinity}}
  end

  defp announce(tree, now) do
    {fresh, announcements} = Announcements.take_fresh(tree.announcements, now)
    {owed, announcements} = Announcements.take_owed(announcements, now)
    owed = for {peer, ids} <- owed, do: {[peer], Enum.filter(ids, &kept?(tree, &1))}
    told = [{announced_links(tree), fresh} | owed]
    {Enum.flat_map(told, fn {peers, ids} -> send_ids(peers, :ihave, ids) end), %{tree | announcements: announcements}}
  end

  defp announced_links(tree), do: for({_rank, peer} <- Enum.take(tree.lazy, @announced_links), do: peer)

  defp kept?(tree, id), do: Memory.fetch(tree.memory, id) != :error

  # A message that didn't come over the tree makes the link eager that it comes over instead.
  defp ask(tree, now) do
    {asked, missing} = Missing.take_due(tree.missing, now, &eager?(tree, &1))
    requested = for {_peer, ids} <- asked, reduce: tree.requested, do: (sum -> sum + length(ids))
    effects = Enum.flat_map(asked, fn {peer, ids} -> send_ids([peer], :graft, ids) end)
    {told, tree} = eager(%{tree | missing: missing, requested: requested}, Map.keys(asked))
    {effects ++ told, tree}
  end

  ## Inside

  defp lazy?(tree, peer), do: :ordsets.is_element(ranked(tree, peer), tree.lazy)
  defp eager?(%{eager: eager}, peer), do: :lists.member(peer, eager)

  # As lazy ones they were to be told by the next batch what there is, and as eager ones would not be.
  defp eager(tree, peers, sent \\ []) do
    new = Enum.reject(peers, &eager?(tree, &1))
    told = send_ids(new, :ihave, Announcements.fresh(tree.announcements) -- sent)
    lazy = Enum.reduce(new, tree.lazy, &:ordsets.del_element(ranked(tree, &1), &2))
    {told, %{tree | eager: :ordsets.union(tree.eager, :ordsets.from_list(new)), lazy: lazy}}
  end

  defp lazy(tree, peer) do
    lazy = :ordsets.add_element(ranked(tree, peer), tree.lazy)
    %{tree | eager: :ordsets.del_element(peer, tree.eager), lazy: lazy}
  end

  defp ranked(tree, peer), do: {:erlang.phash2({tree.self, peer}), peer}

  defp send_to([], _frame), do: []
  defp send_to(peers, frame), do: [{:send, peers, frame}]

  defp send_ids([], _word, _ids), do: []

  defp send_ids(peers, word, ids),
    do: for(some <- Enum.chunk_every(ids, @most_ids), do: {:send, peers, {word, some}})
end
