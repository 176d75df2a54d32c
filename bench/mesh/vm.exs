# The nodes as seen by the bench: VMs that listen to it and tell it what they see. They belong to the process that
# booted them.

defmodule Bench.Mesh.Vm do
  alias Bench.Mesh.Subject

  @deadline 60_000

  # So many boot at the same time: more would only wait for each other.
  @wave 16

  # What would make the VM another one than its arguments say.
  @foreign ~w(ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS)

  # Schedulers that spin for work would take it from the other nodes, and would be counted as working.
  @flags ~w(-noshell -start_epmd false -setcookie mesh +sbwt none +sbwtdcpu none +sbwtdio none)

  @resolver """
  {resolv_conf, ""}.
  {hosts_file, ""}.
  clear_ns.
  {nameserver, {127,0,0,53}}.
  """

  defstruct [:port, :name, :ip]

  @doc "Puts what the nodes need into `folder`: `code` is that of their modules."
  def prepare(folder, code) do
    File.mkdir_p!(folder)
    for {module, beam} <- code, do: File.write!(Path.join(folder, "#{module}.beam"), beam)
    File.write!(Path.join(folder, "inetrc"), @resolver)
    :persistent_term.put(__MODULE__, folder)
  end

  @doc "Boots a node of `subject` at each address, `flags` added to those of its VM, and waits until all are ready."
  def boot(subject, ips, flags \\ []) do
    ips |> Enum.chunk_every(@wave) |> Enum.flat_map(&boot_wave(subject, &1, flags))
  end

  defp boot_wave(subject, ips, flags) do
    vms = Enum.map(ips, &open(subject, &1, flags))
    deadline = now() + @deadline * 1_000

    for vm <- vms do
      heard(vm, &(&1 == :ready), deadline) ||
        raise "#{vm.name} did not boot within #{@deadline} ms"
    end

    vms
  end

  @doc "All later nodes of `subject` load at boot what this one has loaded by now, and the rest of the subject."
  def learn(subject, vm) do
    [modules] = ask([vm], :modules)
    beams = Enum.flat_map([caravan() | subject.paths], &Path.wildcard(Path.join(&1, "*.beam")))
    own = for beam <- beams, do: beam |> Path.basename(".beam") |> String.to_atom()
    File.write!(modules_file(subject.id), :erlang.term_to_binary(Enum.uniq(modules ++ own)))
  end

  @doc "Starts the discovery of `target` in all of them at the same moment, and answers with it."
  def release(vms, target) do
    # Time enough for the word to reach them all.
    at = now() + 100_000
    tell(vms, {:go, target, at})
    at
  end

  @doc "They are to say when they have `count` peers."
  def expect(vms, count), do: tell(vms, {:expect, count})

  @doc "Waits until all of them have said so: when the last one had them, or nil after `timeout` ms."
  def reached(vms, timeout) do
    deadline = now() + timeout * 1_000

    Enum.reduce_while(vms, 0, fn vm, last ->
      case heard(vm, &match?({:reached, _}, &1), deadline) do
        {:reached, at} -> {:cont, max(last, at)}
        nil -> {:halt, nil}
      end
    end)
  end

  @doc """
  From now on each tells when it has `count.(name)` peers or more and when it no longer has: a watch, for `whole/2` and
  `torn/2`.
  """
  def watch(vms, count) do
    tag = System.unique_integer()
    for vm <- vms, do: tell([vm], {:watch, tag, count.(vm.name)})
    %{tag: tag, names: Map.new(vms, &{&1.port, &1.name}), whole: %{}}
  end

  @doc "Waits until all are whole at the same time: `{since when, watch}`, or nil at `deadline`."
  def whole(watch, deadline) do
    with {true, watch} <- observe(watch, deadline, &whole?/1),
         do: {watch.whole |> Map.values() |> Enum.max(), watch},
         else: ({false, _watch} -> nil)
  end

  @doc "Waits `ms` for the first that is no longer whole: the watch to go on with, or nil where all of them still are."
  def torn(watch, ms) do
    with {true, watch} <- observe(watch, now() + ms * 1_000, &(not whole?(&1))),
         do: watch,
         else: ({false, _watch} -> nil)
  end

  defp whole?(watch), do: map_size(watch.whole) == map_size(watch.names)

  defp observe(%{tag: tag, names: names} = watch, deadline, done?) do
    if done?.(watch) do
      {true, watch}
    else
      receive do
        {port, {:data, {:eol, "@" <> line}}} when is_map_key(names, port) ->
          case decode(line) do
            {:whole, ^tag, at} -> put_in(watch.whole[port], at)
            {:torn, ^tag} -> update_in(watch.whole, &Map.delete(&1, port))
            _said_before -> watch
          end
          |> observe(deadline, done?)

        {port, {:exit_status, status}} when is_map_key(names, port) ->
          raise "#{names[port]} ended with #{status}"
      after
        max(0, div(deadline - now(), 1_000)) -> {false, watch}
      end
    end
  end

  @doc "The CPU that they have used so far, in µs."
  def cpu(vms), do: vms |> Enum.map(&cpu_of/1) |> Enum.sum()

  # proc(5): user and system time are the 14th and the 15th field, in hundredths of a second; the 2nd is a name, which
  # may hold anything.
  defp cpu_of(%{port: port}) do
    {:os_pid, pid} = Port.info(port, :os_pid)
    [_, rest] = "/proc/#{pid}/stat" |> File.read!() |> String.split(") ", parts: 2)
    [user, system] = rest |> String.split() |> Enum.slice(11, 2)
    (String.to_integer(user) + String.to_integer(system)) * 10_000
  end

  @doc "The private memory of each, in KiB, on average."
  def memory(vms), do: div(vms |> Enum.map(&memory_of/1) |> Enum.sum(), length(vms))

  defp memory_of(%{port: port}) do
    {:os_pid, pid} = Port.info(port, :os_pid)
    rollup = File.read!("/proc/#{pid}/smaps_rollup")

    for [_, kib] <- Regex.scan(~r/^Private_(?:Clean|Dirty): +(\d+) kB$/m, rollup), reduce: 0 do
      sum -> sum + String.to_integer(kib)
    end
  end

  @doc "Asks each of them, and answers with what they answered."
  def ask(vms, question) do
    tell(vms, question)
    what = if is_tuple(question), do: elem(question, 0), else: question
    deadline = now() + @deadline * 1_000

    for vm <- vms do
      case heard(vm, &match?({^what, _}, &1), deadline) do
        {_, answer} -> answer
        nil -> raise "#{vm.name} did not answer #{what}"
      end
    end
  end

  @doc "The links between them that they have lost since then, each once."
  def lost(vms, since) do
    names = MapSet.new(vms, & &1.name)

    for(
      {vm, peers} <- Enum.zip(vms, ask(vms, {:lost, since})),
      peer <- peers,
      do: {vm.name, peer}
    )
    |> Enum.filter(fn {_name, peer} -> peer in names end)
    |> Enum.uniq_by(fn {name, peer} -> Enum.sort([name, peer]) end)
  end

  @doc "Ends them at once, and waits until they are gone."
  def halt(vms) do
    pids = for %{port: port} <- vms, {:os_pid, pid} <- [Port.info(port, :os_pid)], do: "#{pid}"
    if pids != [], do: System.cmd("kill", ["-KILL" | pids], stderr_to_stdout: true)

    for %{port: port, name: name} <- vms do
      receive do
        {^port, {:exit_status, _}} -> flush(port)
      after
        @deadline -> raise "#{name} did not end"
      end
    end

    :ok
  end

  def now, do: :os.perf_counter(:microsecond)

  ## Inside

  defp open(subject, ip, flags) do
    folder = :persistent_term.get(__MODULE__)
    name = Subject.name(ip)
    {:ok, address} = ip |> to_charlist() |> :inet.parse_address()
    libraries = for name <- [:elixir, :logger], do: name |> :code.lib_dir() |> Path.join("ebin")

    # The last one is searched first. Protocols are consolidated as in a release.
    consolidated = Path.expand("../consolidated", caravan())
    paths = Enum.flat_map(libraries ++ [consolidated, caravan(), folder | subject.paths], &["-pa", &1])
    interface = ["-kernel", "inet_dist_use_interface", "#{:io_lib.format("~w", [address])}"]
    modules = modules_file(subject.id)
    code = "'Elixir.Bench.Mesh.Node':start(#{subject.id}, <<\"#{modules}\">>)."

    args =
      @flags ++
        Subject.port_flags(subject.id) ++
        flags ++ ["-name", "#{name}"] ++ interface ++ paths ++ ["-eval", code]

    env =
      for(name <- @foreign, do: {~c"#{name}", false}) ++
        [{~c"ERL_INETRC", ~c"#{folder}/inetrc"}, {~c"ERL_CRASH_DUMP_SECONDS", ~c"0"}]

    options = [:binary, :exit_status, :stderr_to_stdout, line: 4_000_000, args: args, env: env]
    %__MODULE__{port: Port.open({:spawn_executable, erl()}, options), name: name, ip: ip}
  end

  defp caravan, do: :caravan_epmd |> :code.which() |> Path.dirname()
  defp erl, do: System.find_executable("erl") || raise("no erl on PATH")

  defp modules_file(id), do: Path.join(:persistent_term.get(__MODULE__), "#{id}.modules")

  defp tell(vms, what) do
    line = [what |> :erlang.term_to_binary() |> Base.encode64(), ?\n]
    Enum.each(vms, &Port.command(&1.port, line))
  end

  # What was said before it is passed over.
  defp heard(%{port: port} = vm, wanted?, deadline, other \\ []) do
    receive do
      {^port, {:data, {:eol, "@" <> line}}} ->
        said = decode(line)
        if wanted?.(said), do: said, else: heard(vm, wanted?, deadline, other)

      {^port, {:data, {_, line}}} ->
        heard(vm, wanted?, deadline, [other, line, ?\n])

      {^port, {:exit_status, status}} ->
        raise "#{vm.name} ended with #{status}; it said: #{other}"
    after
      max(0, div(deadline - now(), 1_000)) -> nil
    end
  end

  defp flush(port) do
    receive do
      {^port, _} -> flush(port)
    after
      0 -> :ok
    end
  end

  defp decode(line), do: line |> Base.decode64!() |> :erlang.binary_to_term()
end
