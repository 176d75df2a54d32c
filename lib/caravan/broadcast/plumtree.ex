defmodule Caravan.Broadcast.Plumtree do
  @moduledoc false
  # Who gets a message next: the epidemic broadcast trees of Leitão, Pereira and Rodrigues (2007). Pure: events in, effects
  # out; the time comes in, too.
  #
  # A link is eager or lazy. Messages go over eager links at once; lazy ones are told, in batches, which messages there
  # are. A message that comes twice prunes the link it came over: that becomes lazy at both ends, so what stays eager is a
  # tree. A message that was announced and doesn't come is asked for where it was announced, which grafts that link: it
  # becomes eager at both ends, and the tree is whole again.
  #
  # Beyond the paper:
  #
  #   * A link is lazy at first where there are enough eager ones, and only some of the lazy ones hear announcements: on a
  #     full mesh each node has links to all others.
  #   * The end of an eager link makes some lazy ones eager at once. Otherwise the next message would be late, by the time
  #     that an announcement takes.
  #   * What comes over a lazy link was under way when that was pruned. It is not handed on before it has come over an
  #     eager link, too: the other end of that would get it twice and prune the link. Streams of messages would take all
  #     eager links from some nodes, again and again.
  #   * What can't be sent now, over a busy link, is announced when that is possible again.

  alias Caravan.Broadcast.Memory
  alias Caravan.Broadcast.Plumtree.Missing

  # A new link is eager while there are fewer than this. More become so when the others want it.
  @eager_links 8
  # How many lazy links are told of messages: all of them on a bounded mesh.
  @announced_links 16
  # How many lazy links take the place of an eager one that is gone.
  @mending_links 3

  # Times in ms. Announcements wait for others, to be sent together.
  @announce_after 50
  # Between prunings, at least and at most twice that.
  @calm 250

  # Of one busy link.
  @most_owed 1_024

  @most_ids 1_024

  @enforce_keys [:self]
  defstruct [
    :self,
    # By rank, which is a number of the pair: each node has an order of its own.
    lazy: [],
    eager: MapSet.new(),
    memory: Memory.new(),
    fresh: [],
    owed: %{},
    announce_at: :infinity,
    strays: %{},
    pruning: {nil, -1_000_000_000_000_000_000},
    missing: Missing.new()
  ]

  @type peer :: term
  @type id :: Memory.id()
  @type message :: Memory.message()
  @type frame :: {:gossip, id, message} | {:ihave | :graft, [id]} | :prune

  @typedoc "`:deliver`: the message of this event is new here."
  @type effect :: :deliver | {:send, [peer, ...], frame}
  @type change :: {[effect], t}

  @type t :: %__MODULE__{
          self: peer,
          lazy: [{non_neg_integer, peer}],
          eager: MapSet.t(peer),
          memory: Memory.t(),
          # What is to be announced to lazy links, the newest first, and to a busy link.
          fresh: [id],
          owed: %{peer => [id]},
          announce_at: integer | :infinity,
          # What came over a lazy link, and isn't handed on before it has come over an eager one, too.
          strays: %{id => {peer, message}},
          # Which message prunes links now, and until when no other does.
          pruning: {id | nil, integer},
          missing: Missing.t()
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

  ## Links

  # The other end hears of it, by what it has to know, or by announcing nothing: its own discovery may be behind.
  @doc "There is a link to the peer."
  @spec up(t, peer) :: change
  def up(tree, peer) do
    cond do
      link?(tree, peer) -> {[], tree}
      MapSet.size(tree.eager) < @eager_links -> promote(tree, [peer])
      true -> {[{:send, [peer], {:ihave, []}}], lazy(tree, peer)}
    end
  end

  @doc "The link is gone."
  @spec down(t, peer) :: change
  def down(tree, peer) do
    eager? = eager?(tree, peer)

    tree = %{
      tree
      | eager: MapSet.delete(tree.eager, peer),
        lazy: :ordsets.del_element(ranked(tree, peer), tree.lazy),
        owed: Map.delete(tree.owed, peer),
        missing: Missing.forget(tree.missing, peer)
    }

    if eager?,
      do: promote(tree, for({_rank, peer} <- Enum.take(tree.lazy, @mending_links), do: peer)),
      else: {[], tree}
  end

  # The other end doesn't know that the link is eager: it asks for nothing in particular.
  defp promote(tree, []), do: {[], tree}

  defp promote(tree, peers),
    do: {[{:send, peers, {:graft, []}}], Enum.reduce(peers, tree, &eager(&2, &1))}

  ## Messages

  @doc "A message of this node's own. It is for the caller to deliver it here."
  @spec broadcast(t, integer, id, message) :: change
  def broadcast(tree, now, id, message), do: spread(tree, now, id, message, nil)

  @doc "A message came from a peer."
  @spec gossip(t, integer, peer, id, message) :: change
  def gossip(tree, now, from, id, message) do
    cond do
      is_map_key(tree.strays, id) and eager?(tree, from) ->
        {{first, message}, strays} = Map.pop!(tree.strays, id)
        tree = %{tree | strays: strays}
        {[{:send, [first], :prune} | push(tree, id, message, from)], tree}

      seen?(tree, id) ->
        one_too_many(tree, now, from, id, Memory.first(tree.memory, id))

      eager?(tree, from) ->
        {effects, tree} = tree |> found(id) |> spread(now, id, message, from)
        {[:deliver | effects], tree}

      MapSet.size(tree.eager) == 0 ->
        {effects, tree} = promote(tree, [from])
        {more, tree} = tree |> found(id) |> spread(now, id, message, from)
        {[:deliver | effects ++ more], tree}

      true ->
        tree = tree |> found(id) |> keep(now, id, message, from) |> announce_soon(now)
        {[:deliver], put_in(tree.strays[id], {from, message})}
    end
  end

  # A message that was asked for is late wherever it is handed on to, which says nothing of the link. And messages that are
  # under way together tell different nodes to prune different links of one cycle, after which it is none, but two parts:
  # so one of them prunes, and the others don't for a while.
  defp one_too_many(tree, now, from, id, {at, _first}) do
    {pruning, until} = tree.pruning

    cond do
      now - at >= Missing.missing_after() -> {[], tree}
      eager?(tree, from) and id != pruning and now < until -> {[], tree}
      eager?(tree, from) -> prune_link(%{tree | pruning: {id, now + calm(tree, id)}}, from)
      true -> prune_link(tree, from)
    end
  end

  # It was forgotten, so it is very late.
  defp one_too_many(tree, _now, _from, _id, nil), do: {[], tree}

  defp prune_link(tree, from), do: {[{:send, [from], :prune}], lazy(tree, from)}

  # Not the same time for all.
  defp calm(tree, id), do: @calm + :erlang.phash2({tree.self, id}, @calm)

  defp spread(tree, now, id, message, from) do
    tree = keep(tree, now, id, message, from)
    {push(tree, id, message, from), tree}
  end

  defp push(tree, id, message, from),
    do: send_to(tree.eager |> MapSet.delete(from) |> MapSet.to_list(), {:gossip, id, message})

  defp keep(tree, now, id, message, from) do
    tree = %{tree | memory: Memory.put(tree.memory, now, id, message, from)}
    if tree.lazy == [], do: tree, else: announce_soon(%{tree | fresh: [id | tree.fresh]}, now)
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

  defp found(tree, id), do: %{tree | missing: Missing.found(tree.missing, id)}

  @doc "A peer wants this link to be eager, and these messages."
  @spec graft(t, peer, [id]) :: change
  def graft(tree, from, ids) do
    wanted = for id <- ids, {:ok, message} <- [Memory.fetch(tree.memory, id)], do: {id, message}
    effects = for {id, message} <- wanted, do: {:send, [from], {:gossip, id, message}}
    {effects, eager(tree, from)}
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

  defp owe(tree, now, peer, ids) do
    announce_soon(%{tree | owed: owe_ids(tree, peer, ids)}, now)
  end

  defp owe_ids(tree, peer, ids),
    do: Map.update(tree.owed, peer, ids, &Enum.take(ids ++ &1, @most_owed))

  ## Time

  @doc "When `tick/2` will have something to do."
  @spec next_wakeup(t) :: integer | :infinity
  def next_wakeup(tree) do
    # Any integer is less than the atom :infinity.
    tree.announce_at |> min(Missing.next_due(tree.missing)) |> min(Memory.next_expiry(tree.memory))
  end

  @doc "What is due."
  @spec tick(t, integer) :: change
  def tick(tree, now) do
    {late, tree} = adopt(tree, now)
    {announcements, tree} = announce(%{tree | memory: Memory.expire(tree.memory, now)}, now)
    {asked, tree} = ask(tree, now)
    {late ++ announcements ++ asked, tree}
  end

  # The other end hasn't heard that the link was pruned, or only it thinks that the link is eager, and nobody else has
  # sent the message: then it is so.
  defp adopt(%{announce_at: at, strays: strays} = tree, now) when at > now or strays == %{},
    do: {[], tree}

  defp adopt(tree, _now) do
    peers = for {_id, {peer, _message}} <- tree.strays, lazy?(tree, peer), uniq: true, do: peer
    {effects, adopted} = promote(tree, peers)
    sent = for {id, {peer, message}} <- tree.strays, do: push(adopted, id, message, peer)
    {effects ++ Enum.concat(sent), %{adopted | strays: %{}}}
  end

  defp announce(%{announce_at: at} = tree, now) when at > now, do: {[], tree}

  defp announce(tree, _now) do
    lazy = for {_rank, peer} <- Enum.take(tree.lazy, @announced_links), do: peer
    owed = for {peer, ids} <- tree.owed, do: {[peer], Enum.filter(ids, &kept?(tree, &1))}
    told = [{lazy, Enum.reverse(tree.fresh)} | owed]
    effects = Enum.flat_map(told, fn {peers, ids} -> send_ids(peers, :ihave, ids) end)
    {effects, %{tree | fresh: [], owed: %{}, announce_at: :infinity}}
  end

  defp kept?(tree, id), do: Memory.fetch(tree.memory, id) != :error

  defp announce_soon(%{announce_at: :infinity} = tree, now),
    do: %{tree | announce_at: now + @announce_after}

  defp announce_soon(tree, _now), do: tree

  # A message that didn't come over the tree makes the link eager that it comes over instead.
  defp ask(tree, now) do
    {asked, missing} = Missing.take_due(tree.missing, now, &eager?(tree, &1))
    effects = Enum.flat_map(asked, fn {peer, ids} -> send_ids([peer], :graft, ids) end)
    {effects, Enum.reduce(Map.keys(asked), %{tree | missing: missing}, &eager(&2, &1))}
  end

  ## Inside

  defp lazy?(tree, peer), do: :ordsets.is_element(ranked(tree, peer), tree.lazy)
  defp eager?(tree, peer), do: MapSet.member?(tree.eager, peer)

  defp eager(tree, peer) do
    if eager?(tree, peer),
      do: tree,
      else: %{
        tree
        | eager: MapSet.put(tree.eager, peer),
          lazy: :ordsets.del_element(ranked(tree, peer), tree.lazy),
          owed: owed_as_lazy(tree, peer)
      }
  end

  # What the batch of the lazy links was to tell it.
  defp owed_as_lazy(%{fresh: []} = tree, _peer), do: tree.owed
  defp owed_as_lazy(tree, peer), do: owe_ids(tree, peer, Enum.reverse(tree.fresh))

  defp lazy(tree, peer) do
    lazy = :ordsets.add_element(ranked(tree, peer), tree.lazy)
    %{tree | eager: MapSet.delete(tree.eager, peer), lazy: lazy}
  end

  defp ranked(tree, peer), do: {:erlang.phash2({tree.self, peer}), peer}

  defp send_to([], _frame), do: []
  defp send_to(peers, frame), do: [{:send, peers, frame}]

  defp send_ids([], _word, _ids), do: []

  defp send_ids(peers, word, ids),
    do: for(some <- Enum.chunk_every(ids, @most_ids), do: {:send, peers, {word, some}})
end
