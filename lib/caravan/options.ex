defmodule Caravan.Options do
  alias Caravan.Options.Type

  # Validation, defaults and documentation all come from these tables.
  # An entry: its type (see `Caravan.Options.Type`), its default or `required: true`, and a sentence.
  @topology [
    query: [
      type: :queries,
      required: true,
      doc: "the DNS name or names to look up"
    ],
    type: [
      type: {:one_of, [:srv, :a, :aaaa, :ip]},
      default: :srv,
      doc: "the records to ask for; `:ip` is A and AAAA"
    ],
    node_sname: [
      type: :name,
      shown: "this node's",
      doc:
        "the base of the peers' names; by default this node's own, for `:srv` without its port suffix"
    ],
    node_name: [
      type: :string,
      shown: "like this node's",
      doc:
        "the peers' names as a template of `{sname}`, `{port}`, `{host}` and `{ip}`; by default like this node's own, " <>
          "or, with `node_sname`, `\"{sname}-{port}@{host}\"` for `:srv`, else `\"{sname}@{ip}\"`"
    ],
    nameservers: [
      type: :nameservers,
      default: :system,
      doc:
        "the DNS servers to ask, such as `[\"127.0.0.1:8600\"]`; `:system` are those of resolv.conf (on Windows, of the " <>
          "network's adapters), with its search list and the hosts file"
    ],
    transport: [
      type: {:one_of, [:auto, :tcp]},
      default: :auto,
      doc: "`:auto` is UDP, and TCP when the answer was truncated; `:tcp` is TCP at once"
    ],
    timeout: [
      type: :ms,
      default: 2_000,
      doc: "the deadline of a whole look-up, all servers and retries included"
    ],
    poll_interval: [
      type: :ms,
      default: 5_000,
      doc:
        "the time between look-ups, ±10 %; quicker until the first peer is up and after a peer went down"
    ],
    expire_after: [
      type: :ms,
      default: 300_000,
      doc: "a member missing from successful answers this long is no longer dialled"
    ],
    disconnect: [
      type: :disconnect,
      default: false,
      doc:
        "`false`: DNS never takes a live peer away; `[after: ms]`: peers missing from repeated " <>
          "successful answers this long are disconnected, a round at most 20 % of the peers, and at least one; " <>
          "never one that another topology of the node has among its members"
    ],
    max_members: [
      type: {:integer, 1, 500_000},
      default: 1_000,
      doc:
        "names beyond it are refused and reported; also the topology's budget of new atoms, which fills up again within " <>
          "an hour"
    ],
    dial_concurrency: [
      type: {:integer, 1, 1_024},
      default: 32,
      doc:
        "how many peers are dialled at the same time; dials that take more than 250 ms no longer count"
    ],
    allow: [
      type: :strings,
      default: [],
      doc:
        "networks, such as `[\"10.0.0.0/8\", \"fd00::/8\"]`; members whose address is outside are refused " <>
          "before a packet is sent to them; `[]` allows all"
    ]
  ]

  @lookup Keyword.take(@topology, [:type, :nameservers, :transport, :timeout])

  @await [
    min: [type: :count, default: 1, doc: "how many peers must be connected"],
    stable_for: [
      type: :duration,
      default: 0,
      doc: "how long the connected peers must not have changed"
    ],
    timeout: [type: :duration, default: 5_000, doc: "how long to wait at most"]
  ]

  @supervisor [
    topologies: [
      type: :topologies,
      required: true,
      doc: "the name of each topology and its options"
    ],
    name: [type: :atom, default: nil, doc: "a name to register the supervisor under"]
  ]

  table = fn schema ->
    Enum.map_join(schema, "\n", fn {key, entry} ->
      default =
        cond do
          entry[:required] -> "required"
          shown = entry[:shown] -> shown
          true -> "`#{inspect(entry[:default])}`"
        end

      "| `#{key}` | #{Type.expected(entry[:type])} | #{default} | #{entry[:doc]} |"
    end)
  end

  @doc "The table of options for the documentation."
  @spec table(:topology | :lookup | :await | :supervisor) :: String.t()
  for {name, schema} <- [
        topology: @topology,
        lookup: @lookup,
        await: @await,
        supervisor: @supervisor
      ] do
    @table "| option | takes | default | |\n|---|---|---|---|\n" <> table.(schema)
    def table(unquote(name)), do: unquote(@table)
  end

  @moduledoc """
  The options of a topology. An unknown or ill-typed one raises `Caravan.Error` (`:invalid_option`).

  | option | takes | default | |
  |---|---|---|---|
  #{table.(@topology)}
  """

  # Options of Caravan 1.0 that have no meaning any more.
  @retired %{
    dns_client:
      "look-ups are done by Caravan itself now; remove it and, if need be, set :nameservers"
  }

  @type ms :: pos_integer

  @type topology :: %{
          query: [String.t(), ...],
          type: :srv | :a | :aaaa | :ip,
          node_sname: String.t() | nil,
          node_name: String.t() | nil,
          nameservers: :system | [String.t(), ...],
          transport: :auto | :tcp,
          timeout: ms,
          poll_interval: ms,
          expire_after: ms,
          disconnect: false | [after: ms],
          max_members: pos_integer,
          dial_concurrency: pos_integer,
          allow: [String.t()]
        }

  @type lookup :: %{
          query: String.t(),
          type: :srv | :a | :aaaa | :ip,
          nameservers: :system | [String.t(), ...],
          transport: :auto | :tcp,
          timeout: ms
        }

  @doc "Checks the options of the topology `name` and fills in the defaults; `query` becomes a list."
  @spec topology!(atom, term) :: topology
  def topology!(name, options) do
    where = fn -> "topology #{inspect(name)}" end
    options = validate!(@topology, options, where)

    with [after: ms] when ms > options.expire_after <- options.disconnect do
      raise_invalid(
        "option :disconnect of #{where.()}: expected [after: ms] with at most expire_after " <>
          "(#{options.expire_after}), got #{inspect(options.disconnect)}; after that members are forgotten anyway"
      )
    end

    options
  end

  @doc "Checks a look-up's query and options; the outcome is what `Caravan.Native.lookup/2` takes."
  @spec lookup!(term, term) :: lookup
  def lookup!(query, options) do
    where = fn -> "look-up of #{inspect(query)}" end

    case Type.cast(:name, query) do
      {:ok, query} ->
        Map.put(validate!(@lookup, options, where), :query, query)

      :error ->
        raise_invalid(
          "query of a look-up: expected #{Type.expected(:name)}, got #{inspect(query)}"
        )
    end
  end

  @doc "Checks the options of `Caravan.await/2`."
  @spec await!(term) :: %{min: non_neg_integer, stable_for: non_neg_integer, timeout: pos_integer}
  def await!(options), do: validate!(@await, options, fn -> "await" end)

  @doc "Checks the options of the supervisor `Caravan`, not those of its topologies."
  @spec supervisor!(term) :: %{topologies: keyword, name: atom}
  def supervisor!(options), do: validate!(@supervisor, options, fn -> "Caravan" end)

  # `where` is a function, since the text is made for the rare error only.
  defp validate!(schema, options, where) do
    unless Keyword.keyword?(options) do
      raise_invalid("options of #{where.()}: expected a keyword list, got #{inspect(options)}")
    end

    Enum.each(options, fn {key, _} -> schema[key] || raise_unknown(key, where, schema) end)

    Map.new(schema, fn {key, entry} ->
      case Keyword.fetch(options, key) do
        {:ok, value} -> {key, cast!(key, entry, value, where)}
        :error -> {key, default!(key, entry, where)}
      end
    end)
  end

  defp default!(key, entry, where) do
    if entry[:required] do
      raise_invalid(
        "option #{inspect(key)} of #{where.()} is missing: expected #{Type.expected(entry[:type])}"
      )
    end

    entry[:default]
  end

  defp cast!(key, entry, value, where) do
    case Type.cast(entry[:type], value) do
      {:ok, value} ->
        value

      :error ->
        raise_invalid(
          "option #{inspect(key)} of #{where.()}: expected #{Type.expected(entry[:type])}, got #{inspect(value)}"
        )
    end
  end

  @spec raise_unknown(atom, (... -> String.t()), keyword) :: no_return
  defp raise_unknown(key, where, schema) do
    hint =
      case @retired do
        %{^key => why} -> why
        _ -> "expected one of #{Enum.map_join(Keyword.keys(schema), ", ", &inspect/1)}"
      end

    raise_invalid("unknown option #{inspect(key)} in #{where.()}: #{hint}")
  end

  @spec raise_invalid(String.t()) :: no_return
  defp raise_invalid(message), do: raise(Caravan.Error.new({:invalid_option, message}))
end
