defmodule Caravan.Native do
  @moduledoc false

  # The stubs of the native library, and how it gets into the VM.
  #
  # There is no `@on_load`: in embedded mode (every release) its handlers run after distribution has started, and
  # `:caravan_epmd` needs the library before that. `:caravan_epmd.start_link/0` calls `load/0` first, the application
  # calls it again. For the same reason this module keeps to Erlang's preloaded and kernel modules: Elixir's own may not
  # be on the code path yet.

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
      dialled = listens?() and (not hidden?() or hidden_port == :own)

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
    case :application.get_env(:kernel, :inet_dist_use_interface) do
      {:ok, address} when tuple_size(address) in [4, 8] -> address
      _everywhere -> nil
    end
  end

  defp load_library(info) do
    path = library()

    case :erlang.load_nif(path, info) do
      :ok -> :ok
      {:error, {:reload, _text}} -> :ok
      {:error, {reason, text}} -> {:error, sentence([cure(reason, path), " The VM said: ", text])}
    end
  end

  defp cure(:load_failed, path) do
    case :erl_prim_loader.read_file_info(path ++ ~c".so") do
      {:ok, _info} ->
        [
          path,
          ".so is no library for this system. Build Caravan on the system it runs on, or compile it with",
          " CARAVAN_NIF_PATH=/path/to/library and one made for that system."
        ]

      :error ->
        [
          path,
          ".so is missing. Run `mix deps.compile caravan --force` (with Rust) and build the release again."
        ]
    end
  end

  defp cure(_not_ours, path) do
    [
      path,
      ".so is not the library of this version of Caravan. Run `mix deps.compile caravan --force` and build the",
      " release again; where CARAVAN_NIF_PATH is set, give it the library of this version."
    ]
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
      {key, takes, _default} -> flag(key, takes, values, flags)
      :unknown -> {:error, sentence(["flag -caravan: expected ", usage(@flags), unknown(name)])}
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

  # As net_kernel reads them.
  defp listens?, do: not match?({:ok, [[~c"false" | _] | _]}, :init.get_argument(:dist_listen))

  defp hidden? do
    case :init.get_argument(:hidden) do
      {:ok, [[] | _]} -> true
      {:ok, [[~c"true" | _] | _]} -> true
      _visible -> false
    end
  end

  # The family this node's distribution speaks; probes have to use the same.
  defp family do
    case :init.get_argument(:proto_dist) do
      {:ok, values} ->
        if :lists.last(:lists.append(values)) in [~c"inet6_tcp", ~c"inet6_tls"],
          do: :inet6,
          else: :inet

      :error ->
        :inet
    end
  end

  defp sentence(iodata), do: :erlang.iolist_to_binary(["caravan: ", iodata])

  # An empty call, which the benches measure the others against.
  def loaded, do: :erlang.nif_error(:caravan_not_loaded)

  def dist_port(_name), do: :erlang.nif_error(:caravan_not_loaded)
  def listen(_name, _bound), do: :erlang.nif_error(:caravan_not_loaded)
  def inner_port(_own, _name), do: :erlang.nif_error(:caravan_not_loaded)
  def address(_host, _family), do: :erlang.nif_error(:caravan_not_loaded)
  def tried(_host), do: :erlang.nif_error(:caravan_not_loaded)
  def lookup(_ref, _spec), do: :erlang.nif_error(:caravan_not_loaded)
  def membership_new(_spec), do: :erlang.nif_error(:caravan_not_loaded)
  def poll(_membership, _index, _ref, _self), do: :erlang.nif_error(:caravan_not_loaded)
  def probe(_ref, _name, _timeout, _purpose), do: :erlang.nif_error(:caravan_not_loaded)
  def linked(_node), do: :erlang.nif_error(:caravan_not_loaded)
  def was_linked(_node), do: :erlang.nif_error(:caravan_not_loaded)
  def stopped_lately, do: :erlang.nif_error(:caravan_not_loaded)
  def epmd(_address, _name, _port), do: :erlang.nif_error(:caravan_not_loaded)
  def epmd_linked(_epmd, _self, _peer, _up), do: :erlang.nif_error(:caravan_not_loaded)
  def epmd_address(_text), do: :erlang.nif_error(:caravan_not_loaded)
end
