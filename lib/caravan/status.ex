defmodule Caravan.Status do
  @moduledoc """
  The status of a topology, as plain data; see `Caravan.status/0`. Times are in ms unless noted.

    * `name` - the topology's name
    * `queries` - for each query (`"local"` with `type: :local`, `"nodes"` with the option `nodes`), its last `outcome`
      (`:ok`, `{:error, %Caravan.Error{}}`, or `nil` before the first) and the outcome's `age`; and from the last
      success, the `ttl` (in seconds), the `server`, the `transport`, the number of `endpoints`, the `unresolved` hosts
      and a sentence on why the answer is `incomplete`, or `nil`: an incomplete answer only adds members. Without DNS
      the `transport` is `:handshake` (`local`) or `:given` (`nodes`), and the `ttl` 0
    * `members` - how many nodes discovery currently lists
    * `picks` - how many of them this node links with, or tries to: all, unless the option `mesh` says otherwise
    * `spares` - how many it leaves alone
    * `links` - how many peers are connected, whoever made the links
    * `peers` - each `node` that was picked or is linked, with its `state` (`:idle`, `:dialling`, `:backing_off`,
      `:connected`, `:leaving`, or `:self` for this node if an answer leads to it), whether it is a `pick`, its
      `state_age`, its failed `attempts` in a row, the last `error` as a sentence and the time until the `next_dial`
    * `refused` - names in answers that were refused or have to wait, by reason: a `count` and an `example`
    * `broadcasts` - how many messages this node has `sent`, how many of others' it has `received`, how many of those came
      more than once (`duplicates`), had to be `requested` from another peer, or were requested in vain (`lost`), all since
      the topology started; how many processes are `subscribers`; and how many links are `eager`, which messages take at
      once, and `lazy`, which they are announced over. `nil` if that isn't known
    * `draining` - `true` after `Caravan.drain/0`
    * `responding` - `false` if the topology's process did not answer in time; then nothing else is known
  """

  @type query :: %{
          query: String.t(),
          outcome: :ok | {:error, Caravan.Error.t()} | nil,
          age: non_neg_integer | nil,
          ttl: non_neg_integer | nil,
          server: String.t() | nil,
          transport: :udp | :tcp | :hosts | :handshake | :given | nil,
          endpoints: non_neg_integer | nil,
          unresolved: [String.t()],
          incomplete: String.t() | nil
        }

  @type peer :: %{
          node: node,
          state: :idle | :dialling | :backing_off | :connected | :leaving | :self,
          pick: boolean,
          state_age: non_neg_integer,
          attempts: non_neg_integer,
          error: String.t() | nil,
          next_dial: non_neg_integer | nil
        }

  @type broadcasts :: %{
          sent: non_neg_integer,
          received: non_neg_integer,
          duplicates: non_neg_integer,
          requested: non_neg_integer,
          lost: non_neg_integer,
          subscribers: non_neg_integer,
          eager: non_neg_integer,
          lazy: non_neg_integer
        }

  @type t :: %__MODULE__{
          name: atom,
          queries: [query],
          members: non_neg_integer,
          picks: non_neg_integer,
          spares: non_neg_integer,
          links: non_neg_integer,
          peers: [peer],
          refused: [Caravan.Lookup.refused()],
          broadcasts: broadcasts | nil,
          draining: boolean,
          responding: boolean
        }

  defstruct name: nil,
            queries: [],
            members: 0,
            picks: 0,
            spares: 0,
            links: 0,
            peers: [],
            refused: [],
            broadcasts: nil,
            draining: false,
            responding: true

  @peer %{node: nil, state: :idle, pick: true, state_age: nil, attempts: 0, error: nil, next_dial: nil}
  @query %{
    query: "?",
    outcome: nil,
    age: nil,
    ttl: nil,
    server: nil,
    transport: nil,
    endpoints: 0,
    unresolved: [],
    incomplete: nil
  }

  @doc false
  # A status as this version knows it, whatever version of another node it comes from.
  @spec known(atom, map) :: t
  def known(name, status) do
    known = struct(%__MODULE__{name: name}, Map.delete(status, :__struct__))
    peers = for peer <- known.peers, do: Map.merge(@peer, peer)
    queries = for query <- known.queries, do: Map.merge(@query, query)
    %{known | peers: peers, queries: queries}
  end

  @doc false
  @spec lines(t, pos_integer | :infinity) :: [String.t(), ...]
  def lines(status, limit) do
    peers = if limit == :infinity, do: status.peers, else: Enum.take(status.peers, limit)
    hidden = length(status.peers) - length(peers)

    [head(status)] ++
      Enum.map(status.queries, &query/1) ++
      Enum.map(peers, &peer_line/1) ++
      if(hidden > 0, do: ["… and #{hidden} more peers"], else: []) ++
      Enum.map(status.refused, &refused/1) ++
      broadcasts(status.broadcasts)
  end

  defp head(%{responding: false} = status),
    do: "#{inspect(status.name)}: not responding; its process is stuck or overloaded"

  defp head(status) do
    connected = Enum.count(status.peers, &(&1.state == :connected))
    draining = if status.draining, do: ", draining", else: ""

    "#{inspect(status.name)}: #{count(status.members, "member")}#{picks(status)}, #{connected} connected#{draining}"
  end

  defp picks(%{spares: 0}), do: ""

  defp picks(status),
    do: " (#{count(status.picks, "pick")}, #{count(status.spares, "spare")})"

  defp query(%{outcome: nil} = q), do: "#{q.query}: not looked up yet"

  defp query(%{outcome: :ok} = q) do
    "#{q.query}: #{count(q.endpoints, "endpoint")} from #{q.server} (#{q.transport}) " <>
      "#{seconds(q.age)} ago#{ttl(q)}#{unresolved(q.unresolved)}#{incomplete(q.incomplete)}"
  end

  defp query(%{outcome: {:error, error}} = q),
    do: "#{q.query}: failed #{seconds(q.age)} ago: #{error.message}"

  # Only DNS has one.
  defp ttl(%{transport: transport}) when transport in [:handshake, :given], do: ""
  defp ttl(query), do: ", TTL #{query.ttl} s"

  defp unresolved([]), do: ""
  defp unresolved([host]), do: "; #{host} has no address"

  defp unresolved([host | more]),
    do: "; no address for #{host} and #{length(more)} more"

  defp incomplete(nil), do: ""
  defp incomplete(sentence), do: "; incomplete: #{sentence}"

  @doc false
  @spec peer_line(peer) :: String.t()
  def peer_line(peer) do
    attempts = if peer.attempts > 0, do: ", #{peer.attempts} failed", else: ""
    next = if peer.next_dial, do: ", next dial in #{seconds(peer.next_dial)}", else: ""
    error = if peer.error, do: ": #{peer.error}", else: ""
    "#{peer.node}  #{state(peer.state)} for #{seconds(peer.state_age)}#{attempts}#{next}#{error}"
  end

  defp refused(refused),
    do: "refused #{refused.count} (#{refused.reason}), such as #{inspect(refused.example)}"

  defp broadcasts(nil), do: []
  # Most topologies have none.
  defp broadcasts(%{sent: 0, received: 0, subscribers: 0}), do: []

  defp broadcasts(b) do
    [
      "broadcasts: #{b.sent} sent, #{b.received} received, #{count(b.duplicates, "duplicate")}, #{b.requested} requested, " <>
        "#{b.lost} lost; #{count(b.subscribers, "subscriber")}; #{count(b.eager, "eager link")}, #{b.lazy} lazy"
    ]
  end

  @doc false
  @spec state(atom) :: String.t()
  def state(state), do: state |> Atom.to_string() |> String.replace("_", " ")

  @doc false
  @spec count(non_neg_integer, thing :: String.t()) :: String.t()
  def count(1, thing), do: "1 #{thing}"
  def count(n, thing), do: "#{n} #{thing}s"

  @doc false
  @spec seconds(non_neg_integer) :: String.t()
  def seconds(ms), do: "#{Float.round(ms / 1000, 1)} s"

  defimpl Inspect do
    import Inspect.Algebra

    @peers 20

    def inspect(status, opts) do
      limit = if opts.limit == :infinity, do: :infinity, else: @peers
      lines = status |> Caravan.Status.lines(limit) |> Enum.intersperse(line())
      concat(["#Caravan.Status<", nest(concat(lines), 2), ">"])
    end
  end
end
