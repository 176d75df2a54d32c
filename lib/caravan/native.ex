defmodule Caravan.Native do
  @moduledoc false

  # The stubs of the native library, and how it gets into the VM.
  #
  # There is no `@on_load`: in embedded mode (every release) its handlers run after distribution has started, and
  # `:caravan_epmd` needs the library before that. `:caravan_epmd.start_link/0` calls `load/0` first, the application
  # calls it again, and where neither runs the first function called does. For the same reason this module keeps to
  # Erlang's preloaded and kernel modules: Elixir's own may not be on the code path yet.

  @version Mix.Project.config()[:version]
  # The `-caravan` flags: the name, what it takes, the default. A row is a key of the library's load info, too.
  @flags [
    {:base_port, :port, 4370},
    {:dist_port, :port, nil},
    {:listen_port, :port, nil},
    {:hidden_port, :own, nil},
    {:epmd, :address, nil}
  ]

  @doc """
  Loads the native library with what the flags say of ports. Loading it again changes nothing.
  """
  @spec load() :: :ok | {:error, sentence :: binary()}
  def load do
    with {:ok, flags} <- flags(given(), :maps.from_list(defaults(@flags))) do
      {hidden_port, info} = :maps.take(:hidden_port, flags)
      {epmd, info} = :maps.take(:epmd, info)
      dialled = listens?() and (not hidden_flag?() or hidden_port == :own)

      with :ok <- load_library(:maps.merge(info, %{dialled: dialled, family: family()})),
           do: check_epmd(epmd)
    end
  end

  # Read by the library, which is there only now.
  defp check_epmd(address) do
    if address == nil or epmd_address(address),
      do: :ok,
      else: bad_flag(:epmd, :address, ["\"", address, "\""])
  end

  @doc "Where this node is to answer in epmd's place (`-caravan epmd`), as the flag has it; nil without the flag."
  @spec epmd_flag() :: charlist() | nil
  def epmd_flag do
    {:ok, flags} = flags(given(), :maps.from_list(defaults(@flags)))
    :maps.get(:epmd, flags)
  end

  @doc "The address that this node's distribution listens on, where that is one only."
  @spec bound() :: :inet.ip_address() | nil
  def bound do
    options = :application.get_env(:kernel, :inet_dist_listen_options, [])

    case :application.get_env(:kernel, :inet_dist_use_interface) do
      {:ok, address} -> one(address) || bound(options)
      :undefined -> bound(options)
    end
  end

  defp bound([{key, address} | options]) when key in [:ip, :ifaddr],
    do: one(address) || bound(options)

  defp bound([_option | options]), do: bound(options)
  defp bound(_no_more), do: nil

  defp one(address) when address in [{0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 0}], do: nil
  defp one(address) when tuple_size(address) in [4, 8], do: address
  defp one(_everywhere), do: nil

  defp load_library(info) do
    path = library()

    case :erlang.load_nif(path, {@version, info}) do
      :ok -> :ok
      {:error, {:reload, _text}} -> :ok
      {:error, {reason, text}} -> {:error, sentence([cure(reason, path), " The VM said: ", text])}
    end
  end

  defp cure(:load_failed, path) do
    case :erl_prim_loader.read_file_info(path ++ extension()) do
      {:ok, _info} ->
        [
          path,
          extension(),
          " is no library for this system. Build Caravan on the system it runs on, or compile it with",
          " CARAVAN_NIF_PATH=/path/to/library and one made for that system."
        ]

      :error ->
        [
          path,
          extension(),
          " is missing. Run `mix deps.compile caravan --force` (with Rust) and build the release again."
        ]
    end
  end

  defp cure(_not_ours, path) do
    [
      path,
      extension(),
      " is not the library of this version of Caravan. Run `mix deps.compile caravan --force` and build the",
      " release again; where CARAVAN_NIF_PATH is set, give it the library of this version."
    ]
  end

  # What load_nif/2 adds to the path.
  defp extension do
    case :erlang.system_info(:os_type) do
      {:win32, _name} -> ~c".dll"
      _unix -> ~c".so"
    end
  end

  # From the code path as it was given, which may be relative.
  defp library do
    directory =
      case :code.priv_dir(:caravan) do
        {:error, :bad_name} ->
          beside(:code.which(__MODULE__))

        directory ->
          directory
      end

    # Not absname/1: the file server is not up yet when distribution starts.
    {:ok, here} = :erl_prim_loader.get_cwd()
    :filename.absname(:filename.join(directory, ~c"caravan_nif"), here)
  end

  defp beside(beam) when is_list(beam),
    do: :filename.join([:filename.dirname(beam), ~c"..", ~c"priv"])

  defp beside(_cover_compiled_or_unknown), do: ~c"priv"

  # `-caravan base_port 4370`: the init arguments are all there is when distribution starts.
  defp given do
    case :init.get_argument(:caravan) do
      {:ok, values} -> :lists.append(values)
      :error -> []
    end
  end

  defp defaults([{name, _takes, default} | rows]), do: [{name, default} | defaults(rows)]
  defp defaults([]), do: []

  defp flags([name | values], flags) do
    case row(name, @flags) do
      {key, takes, _default} ->
        flag(key, takes, values, flags)

      :unknown ->
        {:error, sentence(["flag -caravan: expected one of ", usage(@flags), unknown(name)])}
    end
  end

  defp flags([], flags), do: {:ok, flags}

  defp flag(key, takes, [value | values], flags) do
    case value(takes, value) do
      {:ok, value} -> flags(values, :maps.put(key, value, flags))
      :error -> bad_flag(key, takes, ["\"", value, "\""])
    end
  end

  defp flag(key, takes, [], _flags), do: bad_flag(key, takes, "nothing")

  defp row(name, [{key, _takes, _default} = row | rows]),
    do: if(:erlang.atom_to_list(key) == name, do: row, else: row(name, rows))

  defp row(_name, []), do: :unknown

  defp usage([{key, takes, _default}]), do: [:erlang.atom_to_list(key), " ", word(takes)]
  defp usage([row | rows]), do: [usage([row]), ", " | usage(rows)]

  defp unknown(name), do: [", got \"", name, "\"; correct vm.args."]

  defp bad_flag(key, takes, got) do
    {:error,
     sentence([
       ["flag -caravan ", :erlang.atom_to_list(key), ": expected ", expected(takes)],
       [", got ", got, "; correct vm.args."]
     ])}
  end

  defp word(:port), do: "N"
  defp word(:own), do: "own"
  defp word(:address), do: "ADDRESS"

  defp expected(:port), do: "a port from 1 to 65535"
  defp expected(:own), do: "own"

  defp expected(:address),
    do: "localhost, an address such as {127,0,0,1}, or one with a port such as {{127,0,0,1},4369}"

  defp value(:own, ~c"own"), do: {:ok, :own}
  defp value(:own, _text), do: :error
  defp value(:address, text), do: {:ok, text}

  defp value(:port, digits) when digits != [] and length(digits) <= 5 do
    if :lists.all(fn digit -> digit in ?0..?9 end, digits),
      do: in_range(:erlang.list_to_integer(digits)),
      else: :error
  end

  defp value(:port, _text), do: :error

  defp in_range(port) when port in 1..65_535, do: {:ok, port}
  defp in_range(_number), do: :error

  @doc "Is this a hidden node, such as a release's tool? Read as net_kernel reads it: who doesn't listen is hidden, too."
  @spec hidden?() :: boolean()
  def hidden?, do: hidden_flag?() or not listens?()

  defp listens?, do: not match?({:ok, [[~c"false" | _] | _]}, :init.get_argument(:dist_listen))

  defp hidden_flag? do
    case :init.get_argument(:hidden) do
      {:ok, [[] | _]} -> true
      {:ok, [[~c"true" | _] | _]} -> true
      _visible -> false
    end
  end

  # The family this node's distribution speaks; probes have to use the same.
  defp family, do: if(protocol() in [~c"inet6_tcp", ~c"inet6_tls"], do: :inet6, else: :inet)

  @doc "Does this node's distribution go over TLS?"
  @spec tls?() :: boolean()
  def tls?, do: protocol() in [~c"inet_tls", ~c"inet6_tls"]

  defp protocol do
    case :init.get_argument(:proto_dist) do
      {:ok, values} -> :lists.last([~c"inet_tcp" | :lists.append(values)])
      :error -> ~c"inet_tcp"
    end
  end

  defp sentence(iodata), do: :erlang.iolist_to_binary(["caravan: ", iodata])

  # An empty call, which the benches measure the others against.
  def loaded, do: first_use(:loaded, [])

  def dist_port(name), do: first_use(:dist_port, [name])
  def listen(name, bound), do: first_use(:listen, [name, bound])
  def inner_port(own, name), do: first_use(:inner_port, [own, name])
  def address(host, family), do: first_use(:address, [host, family])
  def local_address(remote), do: first_use(:local_address, [remote])
  def tried(node), do: first_use(:tried, [node])
  def lookup(ref, spec), do: first_use(:lookup, [ref, spec])
  def membership_new(spec), do: first_use(:membership_new, [spec])

  def poll(membership, index, ref, self, atoms),
    do: first_use(:poll, [membership, index, ref, self, atoms])

  def prove(membership, ref, atoms), do: first_use(:prove, [membership, ref, atoms])
  def others_want(membership, node), do: first_use(:others_want, [membership, node])

  def probe(ref, name, timeout, purpose),
    do: first_use(:probe, [ref, name, timeout, purpose])

  def identify(ref, name, own, timeout),
    do: first_use(:identify, [ref, name, own, timeout])

  def linked(node), do: first_use(:linked, [node])
  def was_linked(node), do: first_use(:was_linked, [node])
  def stopped_lately, do: first_use(:stopped_lately, [])
  def epmd(address, name, port), do: first_use(:epmd, [address, name, port])

  def epmd_linked(epmd, self, peer, up),
    do: first_use(:epmd_linked, [epmd, self, peer, up])

  def epmd_address(text), do: first_use(:epmd_address, [text])

  # Whoever gets into a stub comes before the library. It is called again only when the library has taken its place:
  # one that lacks the function would never answer.
  defp first_use(function, arguments) do
    with {:error, sentence} <- load(), do: not_loaded(sentence)

    case :lists.member({function, :erlang.length(arguments)}, __MODULE__.module_info(:nifs)) do
      true -> :erlang.apply(__MODULE__, function, arguments)
      false -> not_loaded(sentence([cure(:incomplete, library())]))
    end
  end

  # Written out, since Exception would be Elixir's.
  @spec not_loaded(binary) :: no_return
  defp not_loaded(sentence) do
    :erlang.error(%Caravan.Error{kind: :not_loaded, message: sentence})
  end
end
