defmodule Caravan.Native do
  @moduledoc false

  # The stubs of the native library, and how it gets into the VM.
  #
  # There is no `@on_load`: in embedded mode (every release) its handlers run after distribution has started, and
  # `:caravan_epmd` needs the library before that. `:caravan_epmd.start_link/0` calls `load/0` first, the application
  # calls it again. For the same reason this module keeps to Erlang's preloaded and kernel modules: Elixir's own may not
  # be on the code path yet.

  @default_base_port 4370

  @flags [~c"base_port", ~c"dist_port", ~c"epmd"]

  @doc """
  Loads the native library with the port rules of the `-caravan` flags. Loading it again changes nothing.
  """
  @spec load() :: :ok | {:error, sentence :: binary()}
  def load do
    with {:ok, base_port} <- port_flag(:base_port, @default_base_port),
         {:ok, dist_port} <- port_flag(:dist_port, 0),
         :ok <- load_library({base_port, dist_port, family()}),
         {:ok, _address} <- epmd_flag(),
         do: :ok
  end

  @doc "Where this node is to answer in epmd's place (`-caravan epmd`), as the flag has it; `:none` without the flag."
  @spec epmd_flag() :: {:ok, charlist() | :none} | {:error, sentence :: binary()}
  def epmd_flag do
    flag(
      :epmd,
      "localhost, an address such as {127,0,0,1}, or one with a port such as {{127,0,0,1},4369}",
      :none,
      fn text ->
        if epmd_address(text), do: {:ok, text}, else: :error
      end
    )
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

  defp port_flag(key, default), do: flag(key, "a port from 1 to 65535", default, &port/1)

  # `-caravan base_port 4370`: the init arguments are all there is when distribution starts.
  defp flag(key, expected, default, read) do
    case :init.get_argument(:caravan) do
      {:ok, values} ->
        find(:lists.append(values), :erlang.atom_to_list(key), expected, read, default)

      :error ->
        {:ok, default}
    end
  end

  defp find([key, value | rest], key, expected, read, _default) do
    case read.(value) do
      {:ok, value} -> find(rest, key, expected, read, value)
      :error -> bad_flag(key, expected, ["\"", value, "\""])
    end
  end

  defp find([key], key, expected, _read, _default), do: bad_flag(key, expected, "nothing")

  defp find([known, _value | rest], key, expected, read, default) when known in @flags,
    do: find(rest, key, expected, read, default)

  # The other flag without its value: said when its own turn comes.
  defp find([known], _key, _expected, _read, default) when known in @flags, do: {:ok, default}

  defp find([unknown | _rest], _key, _expected, _read, _default) do
    {:error,
     sentence([
       "flag -caravan: expected base_port N, dist_port N or epmd ADDRESS, got \"",
       unknown,
       "\"; correct vm.args."
     ])}
  end

  defp find([], _key, _expected, _read, default), do: {:ok, default}

  defp bad_flag(key, expected, got) do
    {:error,
     sentence([
       "flag -caravan ",
       key,
       ": expected ",
       expected,
       ", got ",
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
  def loaded, do: :erlang.nif_error(:caravan_not_loaded)

  def dist_port(_name), do: :erlang.nif_error(:caravan_not_loaded)
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
