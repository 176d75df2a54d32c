defmodule Caravan.Topology.Config do
  @moduledoc false
  # A topology's options, checked. Users' names for them become the native library's here and nowhere else.

  alias Caravan.{Error, Native, Options, Settings}
  alias Caravan.Link.Global

  @enforce_keys [
    :queries,
    :source,
    :nameservers,
    :transport,
    :timeout,
    :sname,
    :template,
    :poll_interval,
    :expire_after,
    :withdraw_after,
    :max_members,
    :dial_concurrency,
    :allow,
    :links
  ]
  defstruct @enforce_keys

  @type ms :: pos_integer

  @type t :: %__MODULE__{
          # Of what isn't DNS there is one, with a name for people.
          queries: [String.t(), ...],
          # The record type, or where else the names come from.
          source: :srv | :a | :aaaa | :ip | {:local, ports :: pos_integer} | {:nodes, [String.t(), ...]},
          nameservers: :system | [String.t(), ...],
          transport: :auto | :tcp,
          timeout: ms,
          sname: String.t() | nil,
          template: String.t() | nil,
          poll_interval: ms,
          expire_after: ms,
          # nil: no live peer is ever disconnected.
          withdraw_after: ms | nil,
          max_members: pos_integer,
          dial_concurrency: pos_integer,
          allow: [String.t()],
          # nil: all members.
          links: pos_integer | nil
        }

  @typedoc "Which node names are made for, and whether a new one can be probed."
  @type identity :: %{own: node, long_names: boolean | nil, probes: boolean}

  @doc "The options of the topology `name`. Raises if one is invalid, even if only the native library can tell."
  @spec new!(atom, term) :: t
  def new!(name, options) do
    options = Options.topology!(name, options)
    {queries, source} = source(options)
    :ok = check_readable!(name, source)

    config = %__MODULE__{
      queries: queries,
      source: source,
      nameservers: options.nameservers,
      transport: options.transport,
      timeout: options.timeout,
      sname: options.node_sname,
      template: options.node_name,
      poll_interval: options.poll_interval,
      expire_after: options.expire_after,
      withdraw_after: if(options.disconnect, do: options.disconnect[:after]),
      max_members: options.max_members,
      dial_concurrency: options.dial_concurrency,
      allow: options.allow,
      links: if(options.mesh != :full, do: options.mesh[:links])
    }

    case Native.check(config) do
      :ok -> config
      {:error, {kind, why}} -> raise Error.new({kind, "topology #{inspect(name)}: #{why}"})
    end
  end

  defp source(%{nodes: [_ | _] = nodes}), do: {["nodes"], {:nodes, nodes}}
  defp source(%{type: :local, local_ports: ports}), do: {["local"], {:local, ports}}
  defp source(options), do: {options.query, options.type}

  # The names of nodes that use TLS can't be read from here.
  defp check_readable!(name, source) do
    if match?({:local, _}, source) and Settings.tls?() do
      raise Error.new(
              {:invalid_option,
               "option :type of topology #{inspect(name)}: :local finds nodes with plain distribution, and this node uses " <>
                 "TLS; list the nodes with the option :nodes, or start them without -proto_dist inet_tls"}
            )
    end

    :ok
  end

  @doc "Raises if the options ask for chosen links, and the kernel makes its own."
  @spec check_links!(atom, t) :: :ok
  def check_links!(name, config) do
    if config.links != nil and Global.connect_all?() do
      raise Error.new(
              {:invalid_option,
               "option :mesh of topology #{inspect(name)}: [links: #{config.links}] needs the kernel's connect_all to be off, " <>
                 "since global connects each node to all that its peers are connected to; #{turn_off()}, on all nodes"}
            )
    end

    :ok
  end

  defp turn_off do
    if Global.too_late?(),
      do:
        "the configuration turned it off when the kernel had already started with it, as under Mix; start the VM with " <>
          "-connect_all false, such as iex --erl \"-connect_all false\" -S mix",
      else:
        "write -connect_all false in vm.args, or config :kernel, connect_all: false in the configuration of a release"
  end

  @doc "An empty membership for this node's name."
  @spec membership(t, identity) :: {:ok, term, term} | {:error, {Error.kind(), String.t()}}
  def membership(config, identity) do
    own = Map.put(%{identity | own: Atom.to_string(identity.own)}, :bound, Settings.bound())
    Native.membership_new(config, own)
  end
end
