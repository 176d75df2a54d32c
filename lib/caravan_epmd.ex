defmodule :caravan_epmd do
  @moduledoc """
  The module that replaces epmd: `-start_epmd false -epmd_module caravan_epmd` in `vm.args` and `remote.vm.args`.

  A node's distribution port follows from its name, so nobody has to be asked for it. The callbacks are those that
  `erl_distribution`, `inet_tcp_dist`, `inet_tls_dist` and `net_adm` of OTP 25 to 29 call (`erl_epmd.erl` is the
  reference).

  On OTP 25 and 27 an exception in `address_please/3` ends the VM, and a slow answer to its first call stalls
  `net_kernel`. So nothing here raises, and inside `net_kernel` everything is answered from memory. The module keeps to
  `:erlang`, `:init`, `:inet` and the library: at boot nothing else can be counted on. Only where a link is set up, which
  is after that, `Caravan.Gate` is called.
  """

  alias Caravan.{Epmd, Gate, Native}

  # All releases of OTP since R14 answer 5 or 6 here; 25 and later expect 6.
  @version 6

  # How long connected nodes may take to tell where a host is; they know it by heart.
  @patience 2_000

  # The same, while the set-up has other things to wait for.
  @linked_patience 500

  @doc "Loads the library. What can't work ends the boot with one line and exit code 1."
  @spec start_link() :: :ignore
  def start_link do
    case Native.load() do
      :ok -> :ignore
      {:error, sentence} -> stop(sentence)
    end
  end

  @doc """
  The port this node listens on: its name's, or that of `-caravan listen_port`; 0, the system's choice, for hidden nodes
  and tools. What can't work, or is taken, ends a boot with one line; a node that is made later is only told.
  """
  @spec listen_port_please(atom() | charlist(), charlist()) ::
          {:ok, :inet.port_number()} | {:error, atom()}
  def listen_port_please(name, _host) do
    with {:error, {kind, sentence}} <- guarded(fn -> Native.listen(name, Native.bound()) end) do
      line = ["caravan: ", sentence, "."]
      if booting?(), do: stop(line), else: tell(line)
      {:error, kind}
    end
  end

  # Distribution starts before this one of the kernel's children.
  defp booting?, do: :erlang.whereis(:kernel_safe_sup) == :undefined

  @doc """
  There is nobody to register with. -1 lets the VM make a random creation, so that old pids stay dead.

  When net_kernel comes here this node listens, and so it may begin to answer in epmd's place (`-caravan epmd`).
  """
  @spec register_node(atom() | charlist(), :inet.port_number(), atom()) :: {:ok, -1}
  def register_node(name, port, _family) do
    if self() == :erlang.whereis(:net_kernel), do: guarded(fn -> Epmd.start(name, port) end)
    {:ok, -1}
  end

  @doc false
  def register_node(_name, _port), do: {:ok, -1}

  @doc """
  Where a node is: `{:ok, address, port, version}`, or `{:error, reason}` at once for a name that can't be dialled.

  Literal addresses and the hosts that discovery found are answered from memory. Other hosts are resolved by the VM
  and by the connected nodes, but never inside `net_kernel`, which only asks whether this module would handle the name at
  all. Where nobody knows this node's own host, it is loopback: `bin/app rpc` and its kin need no DNS.

  In the process that sets a link up the node there has to be awake: where it isn't, the answer is `{:error, :timeout}`,
  when it wakes up or after 5.5 s.
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
    do: inner_port(guarded(fn -> text(name) ++ [?@ | text(host)] end))

  defp inner_port([_ | _] = name) do
    with {:error, _no_name} <- guarded(fn -> Native.inner_port(:erlang.node(), name) end),
         do: :error
  end

  defp inner_port(_no_name), do: :error

  defp beside(family), do: Native.bound() || loopback(family)

  defp outside(name, host, family) do
    with {:ok, port} <- undialled(dist_port(name)),
         {:ok, address} <- address(host, family),
         {:ok, address} <- link(name, host, family, address) do
      {:ok, address, port, @version}
    end
  end

  defp undialled({:ok, port}), do: {:ok, port}
  defp undialled({:error, {kind, _sentence}}), do: {:error, kind}

  defp address(host, family) do
    with {:error, _not_literal} <- literal(host, family),
         :error <- known(host, family) do
      if self() == :erlang.whereis(:net_kernel),
        do: {:ok, placeholder(family)},
        else: resolve(host, family)
    end
  end

  defp literal(host, :inet), do: guarded(fn -> :inet.parse_ipv4strict_address(host) end)
  defp literal(host, :inet6), do: guarded(fn -> :inet.parse_ipv6strict_address(host) end)

  defp known(host, family) do
    case guarded(fn -> Native.address(host, family) end) do
      {:ok, address} -> {:ok, address}
      _unknown -> :error
    end
  end

  # Its own host is this machine, whatever the resolver knows: a release's tools have nobody else to ask.
  defp resolve(host, family) do
    with {:error, reason} <- guarded(fn -> find(host, family) end) do
      if text(host) == host_of(:erlang.atom_to_list(:erlang.node())),
        do: {:ok, loopback(family)},
        else: {:error, reason}
    end
  end

  # The system and the connected nodes are asked at the same time; whoever knows it first is believed.
  defp find(host, family) when is_list(host) do
    reply_to = :erlang.alias()

    # The system may take long over a host that only others know.
    system =
      :erlang.spawn_opt(
        fn -> :erlang.send(reply_to, {reply_to, {:system, getaddr(host, family)}}) end,
        [:link]
      )

    answer = inquire({Caravan.Hosts, :where, reply_to, host, family}, :awaited, @patience)
    :erlang.unlink(system)
    :erlang.exit(system, :kill)
    flush(reply_to, system)
    answer
  end

  defp find(host, family), do: getaddr(host, family)

  # Asks the connected nodes. What is said between the nodes is told in Caravan.Hosts, which answers.
  defp inquire({_process, _question, reply_to, _host, _family} = question, system, patience) do
    asked = ask(:erlang.nodes(:connected), question, 0)
    answer = await(reply_to, asked, system, :erlang.monotonic_time(:millisecond) + patience)
    :erlang.unalias(reply_to)
    answer
  end

  defp getaddr(host, family), do: guarded(fn -> :inet.getaddr(host, family) end)

  # Written out, since a comprehension would call Enum.
  defp ask([node | nodes], question, count) do
    case :erlang.send({Caravan.Hosts, node}, question, [:noconnect, :nosuspend]) do
      :ok -> ask(nodes, question, count + 1)
      _gone_or_busy -> ask(nodes, question, count)
    end
  end

  defp ask([], _question, count), do: count

  defp await(_reply_to, 0, {:error, _} = error, _until), do: error

  defp await(reply_to, asked, system, until) do
    receive do
      {^reply_to, {:ok, address}} -> {:ok, address}
      {^reply_to, :unknown} -> await(reply_to, asked - 1, system, until)
      {^reply_to, {:system, {:ok, address}}} -> {:ok, address}
      {^reply_to, {:system, error}} -> await(reply_to, asked, error, until)
    after
      # One that runs no application :caravan never answers.
      left(asked, until) -> await(reply_to, 0, system, until)
    end
  end

  # The kernel's own timer ends a set-up that takes too long.
  defp left(0, _until), do: :infinity
  defp left(_asked, until), do: :erlang.max(until - :erlang.monotonic_time(:millisecond), 0)

  # The caller's mailbox is not ours, nor is whether it traps exits.
  defp flush(reply_to, system) do
    receive do
      {^reply_to, _} -> flush(reply_to, system)
      {:EXIT, ^system, _} -> flush(reply_to, system)
    after
      0 -> :ok
    end
  end

  defp loopback(:inet), do: {127, 0, 0, 1}
  defp loopback(:inet6), do: {0, 0, 0, 0, 0, 0, 0, 1}

  # Only ever read as "yes, try it": the setup process asks again and gets the real address.
  defp placeholder(:inet), do: {0, 0, 0, 0}
  defp placeholder(:inet6), do: {0, 0, 0, 0, 0, 0, 0, 0}

  defp family(family) when family in [:inet6, :inet6_tcp, :inet6_tls], do: :inet6
  defp family(_family), do: :inet

  # Who only asks where a node is need not wait.
  defp link(name, host, family, address) do
    {:links, links} = :erlang.process_info(self(), :links)

    if linked?(links, :erlang.whereis(:net_kernel)),
      do: guarded(fn -> pass(name, corrected(host, family, address)) end),
      else: {:ok, address}
  end

  defp pass(name, address) do
    with :ok <- Gate.pass(text(name) ++ [?@ | :inet.ntoa(address)]), do: {:ok, address}
  end

  # Where DNS is wrong about a host, trying it there again does not help, and `global` would take the node for lost. Who
  # has a link to the host knows better.
  defp corrected(host, family, address) do
    with {:error, _no_literal} <- literal(host, family),
         true <- Native.tried(host),
         {:ok, better} <- ask_linked(host, family) do
      better
    else
      _literal_or_first_or_nobody -> address
    end
  end

  defp ask_linked(host, family) do
    reply_to = :erlang.alias()
    question = {Caravan.Hosts, :linked, reply_to, host, family}
    answer = inquire(question, {:error, :unknown}, @linked_patience)
    flush(reply_to, :none)
    answer
  end

  # net_kernel links itself to the processes that set links up for it, and to no others that ask.
  defp linked?([pid | _links], pid), do: true
  defp linked?([_other | links], pid), do: linked?(links, pid)
  defp linked?([], _pid), do: false

  @doc "The port of a node: `{:port, port, version}` or `:noport`."
  @spec port_please(charlist() | atom(), term()) :: {:port, :inet.port_number(), 6} | :noport
  def port_please(name, _address) do
    with :error <- inner_port(guarded(fn -> text(name) end)),
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

  @doc "The names known on a host: this node and its peers there. Never an error, which would end the boot of some users."
  @spec names(term()) :: {:ok, [{charlist(), :inet.port_number()}]}
  def names(host) do
    {:ok, on_host([:erlang.node() | :erlang.nodes(:connected)], text(host))}
  end

  # Written out, since a comprehension would call Enum.
  defp on_host([node | nodes], host) do
    name = :erlang.atom_to_list(node)

    case (host == [] or host == host_of(name)) and dist_port(name) do
      {:ok, port} -> [{base_of(name), port} | on_host(nodes, host)]
      _elsewhere_or_without_port -> on_host(nodes, host)
    end
  end

  defp on_host([], _host), do: []

  defp base_of([?@ | _host]), do: []
  defp base_of([char | rest]), do: [char | base_of(rest)]
  defp base_of([]), do: []

  defp host_of([?@ | host]), do: host
  defp host_of([_char | rest]), do: host_of(rest)
  defp host_of([]), do: []

  defp text(host) when is_atom(host), do: :erlang.atom_to_list(host)
  defp text(host) when is_list(host), do: host

  defp text(host) do
    case guarded(fn -> :inet.ntoa(host) end) do
      text when is_list(text) -> text
      _no_address -> []
    end
  end

  defp dist_port(name) do
    guarded(fn -> Native.dist_port(name) end)
  end

  # The VM must not end because of a term nobody expected.
  defp guarded(fun) do
    fun.()
  catch
    _class, _reason -> {:error, {:invalid_name, "expected a name, got a term that is none"}}
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
