defmodule Caravan.Native do
  @moduledoc false

  # The stubs of the native library, and its loading.
  #
  # There is no `@on_load`: in embedded mode (every release) its handlers run after distribution has started, and
  # `:caravan_epmd` needs the library before that. `:caravan_epmd.start_link/0` calls `load/0` first, and the
  # application calls it again. If neither runs, the first stub called loads the library. For the same reason this
  # module calls only Erlang's preloaded and kernel modules: Elixir's may not be on the code path yet.

  alias Caravan.Settings

  @version Mix.Project.config()[:version]
  # The library answers each request within the given time. This is how much longer to wait should it ever fail to.
  @grace 1_000

  @doc "Loads the native library with the settings from the flags. Loading it again changes nothing."
  @spec load() :: :ok | {:error, sentence :: binary()}
  def load do
    with {:ok, info, epmd} <- Settings.load_info(),
         :ok <- load_library(info),
         :ok <- check_epmd(epmd) do
      :ok
    else
      {:error, reason} -> {:error, sentence(reason)}
    end
  end

  # Only the library can parse it, and it is loaded only now.
  defp check_epmd(address) do
    if address == nil or epmd_address(address), do: :ok, else: Settings.bad_epmd(address)
  end

  defp load_library(info) do
    path = library()

    case :erlang.load_nif(path, {@version, info}) do
      :ok -> :ok
      {:error, {:reload, _text}} -> :ok
      {:error, {reason, text}} -> {:error, [cure(reason, path), " The VM said: ", text]}
    end
  end

  defp cure(:load_failed, path) do
    case :erl_prim_loader.read_file_info(path ++ extension()) do
      {:ok, _info} ->
        [
          path,
          extension(),
          " can't be loaded on this system. If it is for another one, run `mix deps.compile caravan --force` here, or",
          " elsewhere with CARAVAN_TARGET=",
          :erlang.system_info(:system_architecture),
          ", and build the release again. If it lacks a library, install that (libgcc_s is Alpine's libgcc)."
        ]

      :error ->
        [
          path,
          extension(),
          " is missing. Run `mix deps.compile caravan --force` and build the release again."
        ]
    end
  end

  defp cure(_not_ours, path) do
    [
      path,
      extension(),
      " belongs to another version of Caravan. Run `mix deps.compile caravan --force` and build the",
      " release again; if CARAVAN_NIF_PATH is set, point it to the library of this version."
    ]
  end

  # What load_nif/2 adds to the path.
  defp extension do
    case :erlang.system_info(:os_type) do
      {:win32, _name} -> ~c".dll"
      _unix -> ~c".so"
    end
  end

  # From the code path as given, which may be relative.
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

  defp sentence(iodata), do: :erlang.iolist_to_binary(["caravan: ", iodata])

  ## Requests

  @typedoc "A pending request: the reference that its answer carries, and the timer that tells when it is overdue."
  @opaque request :: {reference, timer :: reference}

  @doc """
  Begins a request by calling `begin` with a new reference. The calling process receives exactly one
  `{reference, answer}`, even if the library refuses the request at once. If no answer comes in time, it receives
  `{:overdue, reference}`, and the answer may still follow.
  """
  @spec request((reference -> :ok | {:error, term}), timeout :: non_neg_integer) :: request
  def request(begin, timeout) do
    ref = make_ref()
    _ = with {:error, _reason} = refused <- begin.(ref), do: send(self(), {ref, refused})
    {ref, :erlang.send_after(timeout + @grace, self(), {:overdue, ref})}
  end

  @spec reference(request) :: reference
  def reference({ref, _timer}), do: ref

  @doc "To be called when the answer has come, or nobody waits for it any longer."
  @spec finished(request) :: :ok
  def finished({_ref, timer}) do
    _ = :erlang.cancel_timer(timer)
    :ok
  end

  @doc "Makes a request and waits for the answer."
  @spec await((reference -> :ok | {:error, term}), timeout :: non_neg_integer) :: term | :overdue
  def await(begin, timeout) do
    ref = make_ref()

    with :ok <- begin.(ref) do
      receive do
        {^ref, answer} -> answer
      after
        timeout + @grace -> :overdue
      end
    end
  end

  ## Stubs

  # An empty call, the baseline of the benchmarks.
  def loaded, do: first_use(:loaded, [])

  def dist_port(name), do: first_use(:dist_port, [name])
  def listen(name, bound), do: first_use(:listen, [name, bound])
  def inner_port(own, name), do: first_use(:inner_port, [own, name])
  def address(host, family), do: first_use(:address, [host, family])
  def local_address(remote), do: first_use(:local_address, [remote])
  def tried(node), do: first_use(:tried, [node])
  def lookup(ref, spec), do: first_use(:lookup, [ref, spec])
  def nameserver(text), do: first_use(:nameserver, [text])
  def check(config), do: first_use(:check, [config])
  def membership_new(config, own), do: first_use(:membership_new, [config, own])

  def poll(membership, index, ref, self, atoms),
    do: first_use(:poll, [membership, index, ref, self, atoms])

  def probe_candidates(membership, ref, atoms),
    do: first_use(:probe_candidates, [membership, ref, atoms])

  def reach(membership, heard, atoms), do: first_use(:reach, [membership, heard, atoms])
  def others_want(membership, node), do: first_use(:others_want, [membership, node])

  def probe(ref, name, timeout, purpose),
    do: first_use(:probe, [ref, name, timeout, purpose])

  def handshake(ref, question), do: first_use(:handshake, [ref, question])

  def cookie_refused(name, creation, cookie),
    do: first_use(:cookie_refused, [name, creation, cookie])

  def cookie_refuser(name, cookie), do: first_use(:cookie_refuser, [name, cookie])

  def interview(own, cookie), do: first_use(:interview, [own, cookie])

  def interview_received(interview, bytes, mandatory),
    do: first_use(:interview_received, [interview, bytes, mandatory])

  def interview_over(interview, how, mandatory),
    do: first_use(:interview_over, [interview, how, mandatory])

  def scan(ref, host, count, own, timeout),
    do: first_use(:scan, [ref, host, count, own, timeout])

  def linked(node), do: first_use(:linked, [node])
  def was_linked(node), do: first_use(:was_linked, [node])
  def resumed_lately, do: first_use(:resumed_lately, [])
  def epmd(address, name, port), do: first_use(:epmd, [address, name, port])

  def epmd_linked(epmd, self, peer, up),
    do: first_use(:epmd_linked, [epmd, self, peer, up])

  def epmd_address(text), do: first_use(:epmd_address, [text])
  def exec(program, args, env), do: first_use(:exec, [program, args, env])

  # A stub runs only while the library isn't loaded. It is called again only if the library has replaced it: with a
  # library that lacks the function, the stub would call itself forever.
  defp first_use(function, arguments) do
    with {:error, sentence} <- load(), do: not_loaded(sentence)
    nif = {function, :erlang.length(arguments)}

    if :lists.member(nif, __MODULE__.module_info(:nifs)),
      do: :erlang.apply(__MODULE__, function, arguments),
      else: not_loaded(sentence([cure(:incomplete, library())]))
  end

  # Built by hand, since Exception belongs to Elixir.
  @spec not_loaded(binary) :: no_return
  defp not_loaded(sentence) do
    :erlang.error(%Caravan.Error{kind: :not_loaded, message: sentence})
  end
end
