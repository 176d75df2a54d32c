defmodule Caravan.Native do
  @moduledoc false

  # The stubs of the native library, and how it gets into the VM.
  #
  # There is no `@on_load`: in embedded mode (every release) its handlers run after distribution has started, and
  # `:caravan_epmd` needs the library before that. `:caravan_epmd.start_link/0` calls `load/0` first, the application
  # calls it again, and where neither runs the first function called does. For the same reason this module keeps to
  # Erlang's preloaded and kernel modules: Elixir's own may not be on the code path yet.

  @version Mix.Project.config()[:version]
  @default_base_port 4370

  @doc """
  Loads the native library with the port rules of the `-caravan` flags. Loading it again changes nothing.
  """
  @spec load() :: :ok | {:error, sentence :: binary()}
  def load do
    with {:ok, base_port} <- port_flag(:base_port, @default_base_port),
         {:ok, dist_port} <- port_flag(:dist_port, 0) do
      load_library({base_port, dist_port, family()})
    end
  end

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
  defp port_flag(key, default) do
    case :init.get_argument(:caravan) do
      {:ok, values} -> find_port(:lists.append(values), :erlang.atom_to_list(key), default)
      :error -> {:ok, default}
    end
  end

  defp find_port([key, value | rest], key, _default) do
    case port(value) do
      {:ok, port} -> find_port(rest, key, port)
      :error -> bad_flag(key, ["\"", value, "\""])
    end
  end

  defp find_port([key], key, _default), do: bad_flag(key, "nothing")

  defp find_port([known, _value | rest], key, default)
       when known in [~c"base_port", ~c"dist_port"],
       do: find_port(rest, key, default)

  # The other flag without its value: said when its own turn comes.
  defp find_port([known], _key, default) when known in [~c"base_port", ~c"dist_port"],
    do: {:ok, default}

  defp find_port([unknown | _rest], _key, _default) do
    {:error,
     sentence([
       "flag -caravan: expected base_port N or dist_port N, got \"",
       unknown,
       "\"; correct vm.args."
     ])}
  end

  defp find_port([], _key, default), do: {:ok, default}

  defp bad_flag(key, got) do
    {:error,
     sentence([
       "flag -caravan ",
       key,
       ": expected a port from 1 to 65535, got ",
       got,
       "; correct vm.args."
     ])}
  end

  defp port(digits) when digits != [] and length(digits) <= 5 do
    if :lists.all(fn digit -> digit in ?0..?9 end, digits) do
      in_range(:erlang.list_to_integer(digits))
    else
      :error
    end
  end

  defp port(_text), do: :error

  defp in_range(port) when port in 1..65_535, do: {:ok, port}
  defp in_range(_number), do: :error

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
  def loaded, do: first_use(:loaded, [])

  def dist_port(name), do: first_use(:dist_port, [name])
  def address(host, family), do: first_use(:address, [host, family])
  def local_address(remote), do: first_use(:local_address, [remote])
  def tried(host), do: first_use(:tried, [host])
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

  # Whoever gets into a stub comes before the library. It is called again only when the library has taken its place:
  # one that lacks the function would never answer.
  defp first_use(function, arguments) do
    with :ok <- load(),
         true <-
           :lists.member({function, :erlang.length(arguments)}, __MODULE__.module_info(:nifs)) do
      :erlang.apply(__MODULE__, function, arguments)
    else
      {:error, sentence} ->
        not_loaded(sentence)

      false ->
        not_loaded(sentence([cure(:incomplete, library())]))
    end
  end

  # Written out, since Exception would be Elixir's.
  @spec not_loaded(binary) :: no_return
  defp not_loaded(sentence) do
    :erlang.error(%Caravan.Error{kind: :not_loaded, message: sentence})
  end
end
