defmodule :caravan_epmd do
  @moduledoc """
  The module that replaces epmd: `-start_epmd false -epmd_module caravan_epmd` in `vm.args` and `remote.vm.args`.

  A node's distribution port follows from its name, so nobody has to be asked for it. The callbacks are those that
  `erl_distribution`, `inet_tcp_dist`, `inet_tls_dist` and `net_adm` of OTP 25 to 29 call (`erl_epmd.erl` is the
  reference).

  On OTP 25 and 27 an exception in `address_please/3` ends the VM, and a slow answer to its first call stalls
  `net_kernel`. So nothing here raises, and inside `net_kernel` everything is answered from memory. The module keeps to
  `:erlang`, `:init`, `:inet` and the library: at boot nothing else can be counted on. Only where a link is set up, which is
  after that, `Caravan.Link.Resolution` and `Caravan.Link.Admission` are called, and the kernel's environment read.
  """

  alias Caravan.{Native, Settings}
  alias Caravan.Link.{Admission, Backlog, EpmdServer, Resolution}

  # All releases of OTP since R14 answer 5 or 6 here; 25 and later expect 6.
  @version 6

  # A set-up that lasts longer is killed by the kernel: net_setuptime, 7 s (net_kernel.erl, connecttime/0).
  @net_setuptime 7_000
  @net_setuptime_max 120_000

  # So much sooner the answer is an error, which says more than a process that is gone.
  @margin 500

  # How long someone who only asks where a node is has to wait for what others know by heart.
  @patience 2_000

  # The same, while the set-up has other things to wait for.
  @linked_patience 500

  @failed {:error,
           {:internal, "the native library failed; this is a bug in Caravan, please report it"}}

  @doc "Loads the library. What can't work ends the boot with one line and exit code 1."
  @spec start_link() :: :ignore
  def start_link do
    case Native.load() do
      :ok -> widen_backlog()
      {:error, sentence} -> stop(sentence)
    end
  end

  defp widen_backlog do
    :ok = Backlog.widen()
    :ignore
  end

  @doc """
  The port this node listens on: its name's, or that of `-caravan listen_port`; 0, the system's choice, for hidden nodes
  and tools. What can't work, or is taken, ends a boot with one line; a node that is made later is only told.
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

  # Distribution starts before this one of the kernel's children.
  defp booting?, do: :erlang.whereis(:kernel_safe_sup) == :undefined

  @doc """
  There is nobody to register with. -1 lets the VM make a random creation, so that old pids stay dead.

  When net_kernel comes here this node listens, and so it may begin to answer in epmd's place (`-caravan epmd`).
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
  Where a node is: `{:ok, address, port, version}`, or `{:error, reason}` at once for a name that can't be dialled.

  Literal addresses and the hosts that discovery found are answered from memory. Other hosts are resolved by the VM
  and by the connected nodes, but never for `net_kernel`, which only asks first, itself or by a helper, whether this module
  would handle the name at all. Where nobody knows this node's own host, it is loopback: `bin/app rpc` and its kin need no DNS.

  In the process that sets a link up all of this has one deadline, half a second before the kernel's own
  (`net_setuptime`). A lost node has to be awake by then, else the answer is `{:error, :timeout}`.
  """
  @spec address_please(charlist() | atom(), charlist() | atom() | :inet.ip_address(), atom()) ::
          {:ok, :inet.ip_address(), :inet.port_number(), 6} | {:error, term()}
  def address_please(name, host, family) do
    family = family(family)

    case inner_port(name, host) do
      {:ok, port} -> {:ok, beside(family), port, @version}
      :error -> outside(name, host, family)
    end
  end

  # A release's tool runs where its node does, which may listen on another port than its name tells others. Where that
  # is so the host may be another machine, from which the port is mapped.
  defp inner_port(name, host),
    do: inner_port(guarded(fn -> text(name) ++ [?@ | text(host)] end, :none))

  defp inner_port([_ | _] = name) do
    guarded(fn -> Native.inner_port(:erlang.node(), name) end, :error)
  end

  defp inner_port(_no_name), do: :error

  defp beside(family), do: Settings.bound() || loopback(family)

  defp outside(name, host, family) do
    asker = Resolution.asker()
    deadline = now() + if(asker == :set_up, do: set_up_time(), else: @patience)

    with {:ok, port} <- undialled(dist_port(name)),
         {:ok, address} <- address(host, family, asker, deadline),
         {:ok, address} <- link(asker, name, host, family, address, deadline) do
      {:ok, address, port, @version}
    end
  end

  defp undialled({:ok, port}), do: {:ok, port}
  defp undialled({:error, {kind, _sentence}}), do: {:error, kind}

  defp set_up_time do
    ms =
      case :application.get_env(:kernel, :net_setuptime) do
        {:ok, s} when is_number(s) and s > 0 ->
          :erlang.min(:erlang.round(s * 1_000), @net_setuptime_max)

        _none ->
          @net_setuptime
      end

    ms - :erlang.min(@margin, :erlang.div(ms, 2))
  end

  defp soon(deadline), do: :erlang.min(now() + @linked_patience, deadline)
  defp now, do: :erlang.monotonic_time(:millisecond)

  defp address(host, family, asker, deadline) do
    with {:error, _not_literal} <- literal(host, family),
         :error <- known(host, family) do
      if asker == :selection,
        do: {:ok, placeholder(family)},
        else: resolve(host, family, deadline)
    end
  end

  defp literal(host, :inet),
    do: guarded(fn -> :inet.parse_ipv4strict_address(host) end, {:error, :einval})

  defp literal(host, :inet6),
    do: guarded(fn -> :inet.parse_ipv6strict_address(host) end, {:error, :einval})

  defp known(host, family) do
    case guarded(fn -> Native.address(host, family) end, :error) do
      {:ok, address} -> {:ok, address}
      _unknown -> :error
    end
  end

  # Its own host is this machine, whatever the resolver knows: a release's tools have nobody else to ask.
  defp resolve(host, family, deadline) do
    with {:error, reason} <- guarded(fn -> find(host, family, deadline) end, {:error, :einval}) do
      if text(host) == host_of(:erlang.atom_to_list(:erlang.node())),
        do: {:ok, loopback(family)},
        else: {:error, reason}
    end
  end

  # The system and the connected nodes are asked at the same time; whoever knows it first is believed.
  defp find(host, family, deadline) when is_list(host),
    do: Resolution.find(host, family, deadline)

  defp find(host, family, _deadline), do: :inet.getaddr(host, family)

  defp loopback(:inet), do: {127, 0, 0, 1}
  defp loopback(:inet6), do: {0, 0, 0, 0, 0, 0, 0, 1}

  # Only ever read as "yes, try it": the setup process asks again and gets the real address.
  defp placeholder(:inet), do: {0, 0, 0, 0}
  defp placeholder(:inet6), do: {0, 0, 0, 0, 0, 0, 0, 0}

  defp family(family) when family in [:inet6, :inet6_tcp, :inet6_tls], do: :inet6
  defp family(_family), do: :inet

  # Who only asks where a node is need not wait. An admission that fails holds nobody up.
  defp link(asker, _name, _host, _family, address, _deadline) when asker != :set_up,
    do: {:ok, address}

  defp link(:set_up, name, host, family, address, deadline) do
    guarded(
      fn ->
        name = text(name)
        admit(name, text(host), corrected(name, host, family, address, deadline), deadline)
      end,
      {:ok, address}
    )
  end

  defp admit(name, host, address, deadline) do
    if Admission.required?(name ++ [?@ | host]) do
      with :ok <- Admission.admit(name ++ [?@ | :inet.ntoa(address)], deadline),
           do: {:ok, address}
    else
      {:ok, address}
    end
  end

  # Where DNS is wrong about a host, trying a node there again does not help, and `global` would take the node for lost. Who
  # has a link to the host knows better.
  defp corrected(name, host, family, address, deadline) do
    with {:error, _no_literal} <- literal(host, family),
         true <- Native.tried(name ++ [?@ | text(host)]),
         {:ok, better} <- Resolution.linked(host, family, soon(deadline)) do
      better
    else
      _literal_or_first_or_nobody -> address
    end
  end

  @doc "The port of a node: `{:port, port, version}` or `:noport`."
  @spec port_please(charlist() | atom(), term()) :: {:port, :inet.port_number(), 6} | :noport
  def port_please(name, _address) do
    with :error <- inner_port(guarded(fn -> text(name) end, :none)),
         {:error, _reason} <- dist_port(name) do
      :noport
    else
      {:ok, port} -> {:port, port, @version}
    end
  end

  @doc false
  def port_please(name, address, _timeout), do: port_please(name, address)

  @doc "The names known on this node's host."
  @spec names() :: {:ok, [{charlist(), :inet.port_number()}]}
  def names, do: names(host_of(:erlang.atom_to_list(:erlang.node())))

  @doc """
  The names known on a host: this node and its peers there. Never an error, which would end the boot of some users.

  `net_adm:names/0` asks by the machine's own name, which need not be the host in the node's.
  """
  @spec names(term()) :: {:ok, [{charlist(), :inet.port_number()}]}
  def names(host) do
    host = text(host)
    {:ok, on_host([:erlang.node() | :erlang.nodes(:connected)], host, here?(host))}
  end

  # Written out, since a comprehension would call Enum.
  defp on_host([node | nodes], host, here?) do
    name = :erlang.atom_to_list(node)
    at = host_of(name)

    case (host == [] or host == at or (here? and here?(at))) and dist_port(name) do
      {:ok, port} -> [{base_of(name), port} | on_host(nodes, host, here?)]
      _elsewhere_or_without_port -> on_host(nodes, host, here?)
    end
  end

  defp on_host([], _host, _here?), do: []

  # The names of this machine.
  defp here?(host) when host in [~c"localhost", ~c"127.0.0.1", ~c"::1"], do: true

  defp here?(host) do
    host == host_of(:erlang.atom_to_list(:erlang.node())) or
      guarded(fn -> :inet.gethostname() end, :error) == {:ok, host}
  end

  defp base_of([?@ | _host]), do: []
  defp base_of([char | rest]), do: [char | base_of(rest)]
  defp base_of([]), do: []

  defp host_of([?@ | host]), do: host
  defp host_of([_char | rest]), do: host_of(rest)
  defp host_of([]), do: []

  defp text(host) when is_atom(host), do: :erlang.atom_to_list(host)
  defp text(host) when is_list(host), do: host

  defp text(host) do
    case guarded(fn -> :inet.ntoa(host) end, []) do
      text when is_list(text) -> text
      _no_address -> []
    end
  end

  defp dist_port(name), do: guarded(fn -> Native.dist_port(name) end, @failed)

  # The VM must not end because of a term nobody expected, or of a fault of ours.
  defp guarded(fun, otherwise) do
    fun.()
  catch
    _class, _reason -> otherwise
  end

  # halt/1 with a text would print it too, but leave a crash dump; a port to stderr leaves the one line.
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
