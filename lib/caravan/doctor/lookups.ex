defmodule Caravan.Doctor.Lookups do
  @moduledoc false
  # Looks up the queries of a topology and names the nodes that they list, as the topology would, without becoming one.

  alias Caravan.{Error, Native, Settings}
  alias Caravan.Topology.Config

  @enforce_keys [:about, :query, :config, :own, :outcome]
  defstruct [:about, :query, :config, :own, :note, :outcome, :age, :membership, sought?: false]

  @typedoc """
  One query. `own`: the name on whose behalf it was looked up, or nil; then there are endpoints, but no names. `note`: how
  the options conflict with that name. `age`: how old the topology's own last answer is, in ms. `membership` keeps the
  addresses found. `sought?`: peers are to find `own` in the answers.
  """
  @type t :: %__MODULE__{
          about: Caravan.Doctor.Finding.about(),
          query: String.t(),
          config: Config.t(),
          own: String.t() | nil,
          note: {atom, String.t() | nil} | nil,
          outcome: {:ok, report :: map} | {:ok, Caravan.Lookup.t()} | {:error, Error.t()},
          age: non_neg_integer | nil,
          membership: term,
          sought?: boolean
        }

  # No node is on a host of this domain (RFC 6761).
  @nowhere "nowhere.invalid"

  defguardp is_dns(source) when is_atom(source)

  @doc """
  Looks up all queries of `config` at once. `own` is the name of this node, or of the one that it is about; nil if there
  is none. Then only the option :node_sname tells what nodes in DNS are called. `all?`: names all members, not only those
  that the topology would link with.
  """
  @spec ask((String.t() -> Caravan.Doctor.Finding.about()), Config.t(), String.t() | nil, keyword) :: [t]
  def ask(about, config, own, options) do
    stand_in = stand_in(config)
    members = if options[:all?], do: %{config | links: nil}, else: config
    {membership, note} = membership(members, own || stand_in, long?(config, own, options))

    config.queries
    |> Enum.with_index()
    |> Task.async_stream(
      fn {query, index} -> look_up(config, query, index, own || stand_in, membership) end,
      max_concurrency: 16,
      timeout: :infinity
    )
    |> Enum.zip(config.queries)
    |> Enum.map(fn {{:ok, outcome}, query} ->
      %__MODULE__{
        about: about.(query),
        query: query,
        config: config,
        own: own,
        sought?: own != nil and options[:sought?] and is_dns(config.source),
        note: if(own, do: note),
        outcome: if(own, do: outcome, else: without_itself(outcome)),
        membership: membership
      }
    end)
  end

  # A stand-in is nobody.
  defp without_itself({:ok, %{itself: _} = report}), do: {:ok, %{report | itself: []}}
  defp without_itself(outcome), do: outcome

  # Names that don't come from DNS are whole, so anybody may ask for them.
  defp stand_in(%{source: source}) when not is_dns(source), do: "nobody-65535@#{@nowhere}"
  defp stand_in(%{sname: nil}), do: nil
  defp stand_in(%{sname: sname}), do: "#{sname}@#{@nowhere}"

  defp long?(%{source: source}, nil, _options) when not is_dns(source), do: nil
  defp long?(_config, _own, options), do: options[:long?]

  defp membership(_config, nil, _long?), do: {nil, nil}

  defp membership(config, own, long?) do
    identity = %{own: own, long_names: long?, bound: Settings.bound(), probes: true}

    case Native.membership_new(config, identity) do
      {:ok, membership, note} -> {membership, note}
      {:error, error} -> raise Error.new(error)
    end
  end

  defp look_up(config, query, index, own, membership) do
    case Native.await(&begin(&1, config, query, index, own, membership), config.timeout) do
      {:ok, found} -> {:ok, found}
      {:error, error} -> {:error, Error.new(error, query)}
      :overdue -> {:error, Error.overdue(query, config.timeout)}
    end
  end

  defp begin(ref, config, query, _index, _own, nil) do
    spec = Map.take(config, [:nameservers, :transport, :timeout])
    Native.lookup(ref, Map.merge(spec, %{query: query, type: config.source}))
  end

  defp begin(ref, _config, _query, index, own, membership),
    do: Native.poll(membership, index, ref, own, {:erlang.system_info(:atom_count), :erlang.system_info(:atom_limit)})

  @doc "The names that the answer lists, without those that lead to `own`."
  @spec names(t) :: [String.t()]
  def names(%{outcome: {:ok, %{added: added}}}), do: Enum.sort(added)
  def names(_unnamed), do: []
end
