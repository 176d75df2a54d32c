defmodule :caravan_epmd do
  @moduledoc """
  The module that replaces epmd: `-start_epmd false -epmd_module caravan_epmd` in `vm.args` and `remote.vm.args`.

  A node's distribution port follows from its name, so there is nobody to ask for it. The callbacks are those that
  `erl_distribution`, `inet_tcp_dist`, `inet_tls_dist` and `net_adm` call in OTP 25 to 29 (`erl_epmd.erl` is the
  reference).

  On OTP 25 and 27, an exception in `address_please/3` ends the VM, and a slow answer to its first call stalls
  `net_kernel`. So nothing here raises, and `net_kernel` is always answered from memory. Elixir may not be loaded yet at
  boot, so this module and everything it calls use only Erlang and the native library.
  """

  alias Caravan.{Native, Settings}
  import Caravan.Link.SetUp, only: [guarded: 2]
  alias Caravan.Link.{EpmdServer, KernelOptions, NodeName, SetUp}

  # Since R14 every OTP release answers 5 or 6 here; 25 and later expect 6.
  @version 6

  # Where names/1 looks, and for how long.
  @scanned_ports 16
  @scan_timeout 500

  @failed {:error, {:internal, "the native library failed; this is a bug in Caravan, please report it"}}

  @doc "Loads the library. A fatal misconfiguration stops the boot with a one-line message and exit status 1."
  @spec start_link() :: :ignore
  def start_link do
    case Native.load() do
      :ok -> add_kernel_options()
      {:error, sentence} -> stop(sentence)
    end
  end

  defp add_kernel_options do
    :ok = KernelOptions.add()
    :ignore
  end

  @doc """
  The port this node listens on: the one in its name, or that of `-caravan listen_port`; 0, the system's choice, for
  hidden nodes and tools. A port that is invalid or taken stops the boot with a one-line message. A VM that becomes a
  node later gets the line and an error.
  """
  @spec listen_port_please(atom() | charlist(), charlist()) ::
          {:ok, :inet.port_number()} | {:error, atom()}
  def listen_port_please(name, _host) do
    with {:error, {kind, sentence}} <- listen(name) do
      line = ["caravan: ", sentence, "."]
      if booting?(), do: stop(line), else: tell(line)
      {:error, kind}
    end
  end

  defp listen(name), do: guarded(fn -> Native.listen(name, Settings.bound()) end, @failed)

  # Distribution starts before this child of the kernel's supervisor.
  defp booting?, do: :erlang.whereis(:kernel_safe_sup) == :undefined

  @doc """
  There is nobody to register with. -1 makes the VM pick a random creation, so that pids of an earlier life stay dead.

  When `net_kernel` calls this, the node listens already, so it may start answering in place of epmd (`-caravan epmd`).
  """
  @spec register_node(atom() | charlist(), :inet.port_number(), atom()) :: {:ok, -1}
  def register_node(name, port, _family) do
    if self() == :erlang.whereis(:net_kernel),
      do: guarded(fn -> EpmdServer.start(name, port) end, :failed)

    {:ok, -1}
  end

  @doc false
  def register_node(_name, _port), do: {:ok, -1}

  @doc """
  Where a node is: `{:ok, address, port, version}`, or `{:error, reason}` at once for a name that can't be dialed.

  Literal addresses and hosts that discovery has found are answered from memory. Other hosts are resolved by the system
  and the connected nodes, but never for `net_kernel`, which only asks, itself or through a helper, whether this module
  handles the name at all. If nobody knows this node's own host, it is loopback, so release commands need no DNS.

  In the process that sets up a link all of this shares one deadline, half a second before the kernel's own
  (`net_setuptime`). If a lost node isn't awake by then, the answer is `{:error, :timeout}`.
  """
  @spec address_please(charlist() | atom(), charlist() | atom() | :inet.ip_address(), atom()) ::
          {:ok, :inet.ip_address(), :inet.port_number(), 6} | {:error, term()}
  def address_please(name, host, family) do
    family = Settings.family(family)

    with :error <- inner_port(guarded(fn -> NodeName.join(name, host) end, :none)),
         {:ok, port} <- dist_port(name),
         {:ok, address} <- SetUp.address(name, host, family) do
      {:ok, address, port, @version}
    else
      {:ok, port} -> {:ok, SetUp.beside(family), port, @version}
      {:error, {kind, _sentence}} -> {:error, kind}
      {:error, reason} -> {:error, reason}
    end
  end

  # A release's tool runs beside its node, which may listen on another port than its name tells others. The host in the
  # name may then be another machine, which maps the port.
  defp inner_port([_ | _] = name) do
    guarded(fn -> Native.inner_port(:erlang.node(), name) end, :error)
  end

  defp inner_port(_no_name), do: :error

  @doc "The port of a node: `{:port, port, version}` or `:noport`."
  @spec port_please(charlist() | atom(), term()) :: {:port, :inet.port_number(), 6} | :noport
  def port_please(name, _address) do
    with :error <- inner_port(NodeName.text(name)),
         {:error, _reason} <- dist_port(name) do
      :noport
    else
      {:ok, port} -> {:port, port, @version}
    end
  end

  @doc false
  def port_please(name, address, _timeout), do: port_please(name, address)

  @doc "The nodes on this node's host."
  @spec names() :: {:ok, [{charlist(), :inet.port_number()}]}
  def names, do: names(NodeName.host(:erlang.node()))

  @doc """
  The nodes on a host: this node, its peers there, and those that tell their names on the host's ports from `base_port`
  on. Never an error, which would stop the boot of some programs; a host that doesn't answer costs half a second.

  `net_adm:names/0` passes the machine's own name, which need not be the host in the node's name.
  """
  @spec names(term()) :: {:ok, [{charlist(), :inet.port_number()}]}
  def names(host) do
    host = NodeName.text(host)
    here? = host == [] or here?(host)
    known = on_host([:erlang.node() | :erlang.nodes(:connected)], host, here?)
    place = if here?, do: :inet.ntoa(Settings.loopback(Settings.family())), else: host
    # net_kernel would wait for itself.
    found = if self() == :erlang.whereis(:net_kernel), do: [], else: guarded(fn -> found(place) end, [])
    {:ok, known ++ (bases(found) -- known)}
  end

  defp found(place) do
    own = :erlang.atom_to_binary(:erlang.node())
    place = :erlang.list_to_binary(place)
    scan = &Native.scan(&1, place, @scanned_ports, own, @scan_timeout)

    case Native.await(scan, @scan_timeout) do
      {:ok, nodes, _unreached} -> nodes
      _failed_or_overdue -> []
    end
  end

  # Without hosts, as epmd has them.
  defp bases([{name, port} | nodes]),
    do: [{NodeName.base(:erlang.binary_to_list(name)), port} | bases(nodes)]

  defp bases([]), do: []

  # Recursive, since a comprehension would call Enum.
  defp on_host([node | nodes], host, here?) do
    at = NodeName.host(node)

    case (host == [] or host == at or (here? and here?(at))) and dist_port(node) do
      {:ok, port} -> [{NodeName.base(node), port} | on_host(nodes, host, here?)]
      _elsewhere_or_without_port -> on_host(nodes, host, here?)
    end
  end

  defp on_host([], _host, _here?), do: []

  # The names of this machine.
  defp here?(host) when host in [~c"localhost", ~c"127.0.0.1", ~c"::1"], do: true

  defp here?(host) do
    host == NodeName.host(:erlang.node()) or
      guarded(fn -> :inet.gethostname() end, :error) == {:ok, host}
  end

  defp dist_port(name), do: guarded(fn -> Native.dist_port(name) end, @failed)

  # halt/1 with a text would print it, too, but leave a crash dump. A port to stderr prints just the line.
  defp stop(sentence) do
    tell(sentence)
    :erlang.halt(1)
  end

  defp tell(sentence) do
    stderr = :erlang.open_port({:fd, 0, 2}, [:out])
    :erlang.port_command(stderr, [sentence, "\n"])
    :erlang.port_close(stderr)
  end
end
