defmodule Caravan.Options do
  alias Caravan.Options.Type

  # Validation, defaults and documentation all come from these tables.
  # An entry: its type (see `Caravan.Options.Type`), its default or `required: true`, and a sentence.
  @topology [
    query: [
      type: :queries,
      shown: "required",
      doc: "the DNS name to look up, or a list of up to 64; not with `nodes` or `type: :local`"
    ],
    type: [
      type: {:one_of, [:srv, :a, :aaaa, :ip, :local]},
      default: :srv,
      doc:
        "the record type: `:srv`, `:a`, `:aaaa`, or `:ip` for both A and AAAA; or `:local` for the nodes of this machine, " <>
          "which are asked for their names: for development, without `query`"
    ],
    local_ports: [
      type: {:integer, 1, 256},
      default: 16,
      doc: "how many ports `type: :local` asks, from `base_port` on"
    ],
    nodes: [
      type: :nodes,
      shown: "none",
      doc:
        "the nodes themselves, such as `[:\"a-3434@h1\", :\"a-3434@h2\"]`, instead of `query`; this node may be among them"
    ],
    node_sname: [
      type: :name,
      shown: "this node's",
      doc: "the base of the peers' names: by default this node's own, without the port suffix for `:srv`"
    ],
    node_name: [
      type: :string,
      shown: "like this node's",
      doc:
        "a template for the peers' names, made of `{sname}`, `{port}`, `{host}` and `{ip}`; by default like this node's " <>
          "own name or, if `node_sname` is set, `\"{sname}-{port}@{host}\"` for `:srv` and `\"{sname}@{ip}\"` otherwise"
    ],
    nameservers: [
      type: :nameservers,
      default: :system,
      doc:
        "the DNS servers to query, such as `[\"127.0.0.1:8600\", \"[::1]:53\"]`; `:system` uses resolv.conf with its " <>
          "search list (on Windows, the network adapters' servers) and the hosts file"
    ],
    transport: [
      type: {:one_of, [:auto, :tcp]},
      default: :auto,
      doc: "`:auto` uses UDP, then TCP if the answer was truncated; `:tcp` uses TCP at once"
    ],
    timeout: [
      type: :ms,
      default: 2_000,
      doc: "the deadline of a whole lookup, all servers and retries included"
    ],
    poll_interval: [
      type: :ms,
      default: 5_000,
      doc: "the time between lookups, ±10 %; shorter until the first peer is up and after a peer has gone down"
    ],
    expire_after: [
      type: :ms,
      default: 300_000,
      doc: "a member that successful answers haven't listed for this long is no longer dialed"
    ],
    disconnect: [
      type: :disconnect,
      default: false,
      doc:
        "`false` never disconnects a live peer; `[after: ms]` disconnects peers that repeated successful answers " <>
          "haven't listed for this long, at most 20 % of the peers per round (but at least one), and never a member " <>
          "of another topology on this node"
    ],
    max_members: [
      type: {:integer, 1, 500_000},
      default: 1_000,
      doc:
        "names beyond it are refused and reported; also the topology's budget of new atoms, which refills within an hour"
    ],
    mesh: [
      type: :mesh,
      default: :full,
      doc:
        "`:full` links each node with all others; `[links: n]`, such as `[links: 4]`, with the `n` it picks and those that " <>
          "pick it: for large clusters, and only if the kernel's `connect_all` is off"
    ],
    dial_concurrency: [
      type: {:integer, 1, 1_024},
      default: 32,
      doc: "how many peers are dialed at once; a dial that takes more than 250 ms no longer counts"
    ],
    allow: [
      type: :strings,
      default: [],
      doc:
        "networks such as `[\"10.0.0.0/8\", \"fd00::/8\"]`; members outside them are refused before any packet is sent; " <>
          "`[]` allows all"
    ]
  ]

  # What else there may be, and which options mean nothing then.
  @idle %{
    nodes: [:type, :local_ports, :node_sname, :node_name, :nameservers, :transport, :timeout, :allow],
    local: [:node_sname, :node_name, :nameservers, :transport, :timeout]
  }

  @lookup @topology
          |> Keyword.take([:type, :nameservers, :transport, :timeout])
          |> Keyword.update!(
            :type,
            &Keyword.merge(&1,
              type: {:one_of, [:srv, :a, :aaaa, :ip]},
              doc: "the record type: `:srv`, `:a`, `:aaaa`, or `:ip` for both A and AAAA"
            )
          )

  @await [
    min: [type: :count, default: 1, doc: "how many peers must be connected"],
    stable_for: [
      type: :duration,
      default: 0,
      doc: "how long the set of connected peers must stay unchanged"
    ],
    timeout: [type: :duration, default: 5_000, doc: "the longest wait"]
  ]

  @handshake [
    timeout: [type: :ms, default: 2_000, doc: "the deadline of everything together"],
    cookie: [
      type: :cookie,
      default: nil,
      doc: "a cookie to compare with that of the node there, such as `Node.get_cookie()`"
    ],
    node: [type: :node, default: nil, doc: "the name that is expected there; `ask/2` takes it from the node"]
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

  # What a check reads of a table, made once: each option's type, the defaults, and what has none.
  check = fn schema ->
    {required, optional} = Enum.split_with(schema, fn {_, entry} -> entry[:required] end)

    %{
      types: Map.new(schema, fn {key, entry} -> {key, entry[:type]} end),
      defaults: Map.new(optional, fn {key, entry} -> {key, entry[:default]} end),
      required: Keyword.keys(required),
      keys: Keyword.keys(schema)
    }
  end

  @topology_check check.(@topology)
  @await_check check.(@await)
  @handshake_check check.(@handshake)
  @supervisor_check check.(@supervisor)
  # A lookup reads the servers at once, and refuses them then: `refuse_nameservers!/2`.
  @lookup_check update_in(check.(@lookup), [:types, :nameservers], fn _ -> :unread end)

  @doc "The table of options for the documentation."
  @spec table(:topology | :lookup | :await | :handshake | :supervisor) :: String.t()
  for {name, schema} <- [
        topology: @topology,
        lookup: @lookup,
        await: @await,
        handshake: @handshake,
        supervisor: @supervisor
      ] do
    @table "| option | takes | default | |\n|---|---|---|---|\n" <> table.(schema)
    def table(unquote(name)), do: unquote(@table)
  end

  @moduledoc """
  The options of a topology. An unknown or invalid one raises `Caravan.Error` (`:invalid_option`).

  | option | takes | default | |
  |---|---|---|---|
  #{table.(@topology)}
  """

  # Options of Caravan 1.0 that no longer mean anything.
  @retired %{
    dns_client: "Caravan does its own lookups now; remove the option and, if needed, set :nameservers"
  }

  @type ms :: pos_integer

  @type topology :: %{
          query: [String.t(), ...] | nil,
          type: :srv | :a | :aaaa | :ip | :local,
          local_ports: pos_integer,
          nodes: [String.t(), ...] | nil,
          node_sname: String.t() | nil,
          node_name: String.t() | nil,
          nameservers: :system | [String.t(), ...],
          transport: :auto | :tcp,
          timeout: ms,
          poll_interval: ms,
          expire_after: ms,
          disconnect: false | [after: ms],
          max_members: pos_integer,
          mesh: :full | [links: 2..64],
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

  @doc "Checks the options of the topology `name` and fills in the defaults; `query` becomes a list, `nodes` one of strings."
  @spec topology!(atom, term) :: topology
  def topology!(name, options) do
    where = fn -> "topology #{inspect(name)}" end
    given = options
    options = validate!(@topology_check, options, where)
    check_source!(options, Keyword.keys(given), where)

    with [after: ms] when ms > options.expire_after <- options.disconnect do
      raise_invalid(
        "option :disconnect of #{where.()}: expected [after: ms] with at most expire_after " <>
          "(#{options.expire_after}), got #{inspect(options.disconnect)}; by then members are forgotten anyway"
      )
    end

    options
  end

  # Names come from DNS, from a list or from this machine.
  defp check_source!(options, given, where) do
    sources =
      for {key, true} <- [query: options.query != nil, nodes: options.nodes != nil, local: options.type == :local],
          do: key

    case sources do
      [:query] ->
        check_idle!(given, [:local_ports], "without type: :local", where)

      [other] ->
        check_idle!(given, @idle[other], "with #{source(other)}", where)

      [] ->
        raise_invalid(
          "option :query of #{where.()} is missing: expected #{Type.expected(:queries)}; or the option :nodes, or type: :local"
        )

      several ->
        raise_invalid(
          "#{where.()}: expected one of :query, :nodes and type: :local, got #{Enum.map_join(several, " and ", &source/1)}"
        )
    end
  end

  defp source(:local), do: "type: :local"
  defp source(option), do: inspect(option)

  defp check_idle!(given, idle, why, where) do
    with [option | _] <- Enum.filter(given, &(&1 in idle)),
         do: raise_invalid("option #{inspect(option)} of #{where.()} has no effect #{why}: remove it")
  end

  @doc """
  Checks a lookup's query and options, all but the servers; returns what the native library takes, which checks those.
  """
  @spec lookup!(term, term) :: lookup
  def lookup!(query, options) do
    where = fn -> "lookup of #{inspect(query)}" end

    case Type.cast(:name, query) do
      {:ok, query} ->
        Map.put(validate!(@lookup_check, options, where), :query, query)

      :error ->
        raise_invalid("query of a lookup: expected #{Type.expected(:name)}, got #{inspect(query)}")
    end
  end

  @doc "Raises because the native library has refused the servers of a lookup of `query`."
  @spec refuse_nameservers!(term, term) :: no_return
  def refuse_nameservers!(query, servers),
    do: raise_refused(:nameservers, :nameservers, servers, fn -> "lookup of #{inspect(query)}" end)

  @doc "Checks the options of `Caravan.await/2`."
  @spec await!(term) :: %{min: non_neg_integer, stable_for: non_neg_integer, timeout: pos_integer}
  def await!(options), do: validate!(@await_check, options, fn -> "await" end)

  @doc "Checks the options of `Caravan.Handshake.ask/2`."
  @spec handshake!(term) :: %{timeout: ms, cookie: atom, node: String.t() | nil}
  def handshake!(options), do: validate!(@handshake_check, options, fn -> "handshake" end)

  @doc "Checks the options of the supervisor `Caravan`, not those of its topologies."
  @spec supervisor!(term) :: %{topologies: keyword, name: atom}
  def supervisor!(options), do: validate!(@supervisor_check, options, fn -> "Caravan" end)

  # `where` is a function because only the rare error needs its text.
  defp validate!(check, options, where) do
    unless Keyword.keyword?(options) do
      raise_invalid("options of #{where.()}: expected a keyword list, got #{inspect(options)}")
    end

    # The last first: of options given twice, the first counts.
    given =
      options
      |> :lists.reverse()
      |> Enum.reduce(check.defaults, fn {key, value}, given ->
        Map.put(given, key, cast!(check, key, value, where))
      end)

    case Enum.find(check.required, &(not is_map_key(given, &1))) do
      nil -> given
      key -> raise_missing(key, check.types[key], where)
    end
  end

  defp cast!(check, key, value, where) do
    case check.types do
      %{^key => type} -> cast_to!(type, key, value, where)
      _unknown -> raise_unknown(key, where, check.keys)
    end
  end

  defp cast_to!(type, key, value, where) do
    case Type.cast(type, value) do
      {:ok, value} -> value
      :error -> raise_refused(key, type, value, where)
    end
  end

  @spec raise_refused(atom, Type.t(), term, (... -> String.t())) :: no_return
  defp raise_refused(key, type, value, where) do
    raise_invalid("option #{inspect(key)} of #{where.()}: expected #{Type.expected(type)}, got #{inspect(value)}")
  end

  @spec raise_missing(atom, Type.t(), (... -> String.t())) :: no_return
  defp raise_missing(key, type, where) do
    raise_invalid("option #{inspect(key)} of #{where.()} is missing: expected #{Type.expected(type)}")
  end

  @spec raise_unknown(atom, (... -> String.t()), [atom]) :: no_return
  defp raise_unknown(key, where, keys) do
    hint =
      case @retired do
        %{^key => why} -> why
        _ -> "expected one of #{Enum.map_join(keys, ", ", &inspect/1)}"
      end

    raise_invalid("unknown option #{inspect(key)} in #{where.()}: #{hint}")
  end

  @spec raise_invalid(String.t()) :: no_return
  defp raise_invalid(message), do: raise(Caravan.Error.new({:invalid_option, message}))
end
