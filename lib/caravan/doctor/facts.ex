defmodule Caravan.Doctor.Facts do
  @moduledoc false
  # What there is to know about this VM and its machine, gathered; `Caravan.Doctor.ThisNode` judges it.

  alias Caravan.{Handshake, Native, Settings}
  alias Caravan.Doctor.{Flags, Listener}
  alias Caravan.Link.NodeName
  alias Caravan.Topology.Registry

  # How long the system may take to resolve this node's own host.
  @resolve_timeout 3_000
  @ask_timeout 500
  @epmd_port 4369
  @epmd_timeout 500

  @type t :: %{
          # `:tool` if this VM is Mix's, not the node in question.
          role: :node | :tool,
          # To compare with that of others, instead of this VM's own.
          cookie: String.t() | nil,
          library: :ok | {:error, String.t()},
          node: String.t() | nil,
          domain: :long | :short,
          transport: :tcp | :tls,
          family: Settings.family(),
          hidden?: boolean,
          epmd_module: module,
          starts_epmd?: boolean,
          epmd?: boolean,
          port: {:ok, :inet.port_number()} | {:error, {atom, String.t()}} | nil,
          listen_port: :inet.port_number() | nil,
          listens: [{:inet.ip_address(), :inet.port_number()}],
          holder: Listener.holder(),
          host: String.t() | nil,
          literal: :inet.ip_address() | nil,
          known?: boolean,
          addresses: {:ok, [{:inet.ip_address(), mine? :: boolean}]} | {:error, atom},
          files: Flags.files() | nil,
          topologies: [atom] | :not_started
        }

  @doc "`given`: what whoever asks knows; the templates are those of the project's release."
  @spec collect(%{role: :node | :tool, templates: Path.t(), cookie: String.t() | nil}) :: t
  def collect(given) do
    library = Native.load()
    loaded? = library == :ok
    node = if Node.alive?(), do: Atom.to_string(node())
    host = node && node() |> NodeName.host() |> to_string()
    port = if node && loaded?, do: Native.dist_port(node)
    listens = listens(port)

    Map.merge(
      %{
        role: given.role,
        cookie: given.cookie,
        library: library,
        node: node,
        domain: if(:net_kernel.longnames() == true, do: :long, else: :short),
        transport: if(Settings.tls?(), do: :tls, else: :tcp),
        family: Settings.family(),
        hidden?: Settings.hidden?(),
        epmd_module: :net_kernel.epmd_module(),
        starts_epmd?: starts_epmd?(),
        epmd?: epmd?(),
        port: port,
        listen_port: listen_port(),
        listens: listens,
        holder: holder(port, listens),
        files: Flags.files(given.templates),
        topologies: topologies()
      },
      host(host, loaded?)
    )
  end

  # Of several flags, erlexec heeds the last.
  defp starts_epmd? do
    case :init.get_argument(:start_epmd) do
      {:ok, values} -> not match?([~c"false" | _], List.last(values))
      :error -> true
    end
  end

  # net_kernel is linked to the sockets that it has opened to listen on; the links of nodes belong to other processes.
  defp listens(port) do
    with pid when is_pid(pid) <- Process.whereis(:net_kernel),
         {:links, links} <- Process.info(pid, :links),
         [] <- for(port <- links, is_port(port), {:ok, place} <- [:inet.sockname(port)], do: place) do
      answers(Settings.bound() || Settings.loopback(Settings.family()), port)
    else
      [_ | _] = places -> places
      _not_distributed -> []
    end
  end

  # Sockets that aren't ports show themselves only to who knocks.
  defp answers(address, {:ok, port}) do
    case Handshake.ask(address, port, timeout: @ask_timeout) do
      {:ok, %{verdict: :itself}} -> [{address, port}]
      _another_or_nobody -> []
    end
  end

  defp answers(_address, _no_port), do: []

  # Needed only if it isn't this node itself.
  defp holder({:ok, port}, listens) do
    if List.keymember?(listens, port, 1), do: nil, else: Listener.holder(port)
  end

  defp holder(_no_port, _listens), do: nil

  defp listen_port do
    case Settings.load_info() do
      {:ok, info, _epmd} -> info.listen_port
      {:error, _sentence} -> nil
    end
  end

  defp host(nil, _loaded?), do: %{host: nil, literal: nil, known?: false, addresses: {:error, :nxdomain}}

  defp host(host, loaded?) do
    literal = literal(host)

    addresses =
      if literal,
        do: {:ok, [literal]},
        else: resolve(host, Settings.family())

    %{
      host: host,
      literal: literal,
      known?: loaded? and literal == nil and match?({:ok, _}, Native.address(host, Settings.family())),
      addresses: with({:ok, list} <- addresses, do: {:ok, Enum.map(list, &{&1, loaded? and mine?(&1)})})
    }
  end

  @doc "The address that a host is written as, or nil."
  @spec literal(String.t()) :: :inet.ip_address() | nil
  def literal(host) do
    case :inet.parse_strict_address(to_charlist(host)) do
      {:ok, address} -> address
      {:error, _} -> nil
    end
  end

  @doc "Does dialing `address` lead to this machine?"
  @spec mine?(:inet.ip_address()) :: boolean
  def mine?(address) do
    loopback?(address) or Native.local_address(to_string(:inet.ntoa(address))) == {:ok, address}
  end

  @doc "Is it a loopback address?"
  @spec loopback?(:inet.ip_address()) :: boolean
  def loopback?({127, _, _, _}), do: true
  def loopback?({0, 0, 0, 0, 0, 0, 0, 1}), do: true
  def loopback?(_address), do: false

  defp resolve(host, family) do
    task = Task.async(fn -> :inet.getaddrs(to_charlist(host), family) end)

    case Task.yield(task, @resolve_timeout) || Task.shutdown(task, :brutal_kill) do
      {:ok, answer} -> answer
      nil -> {:error, :timeout}
    end
  end

  defp epmd? do
    case :gen_tcp.connect({127, 0, 0, 1}, @epmd_port, [], @epmd_timeout) do
      {:ok, socket} -> :gen_tcp.close(socket) == :ok
      {:error, _} -> false
    end
  end

  defp topologies do
    if Process.whereis(Registry), do: Registry.names(), else: :not_started
  end
end
