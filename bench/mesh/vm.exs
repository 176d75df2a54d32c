# The nodes as seen by the bench: VMs that listen to it and tell it what they see. They belong to the process that
# booted them.

defmodule Bench.Mesh.Vm do
  alias Bench.Mesh.Subject

  @deadline 60_000

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

  defstruct [:port, :name]

  @doc "Puts what the nodes need into `folder`: `code` is that of their modules."
  def prepare(folder, code) do
    File.mkdir_p!(folder)
    for {module, beam} <- code, do: File.write!(Path.join(folder, "#{module}.beam"), beam)
    File.write!(Path.join(folder, "inetrc"), @resolver)
    :persistent_term.put(__MODULE__, folder)
  end

  @doc "Boots a node of `subject` at each address, and waits until all of them are ready."
  def boot(subject, ips) do
    vms = Enum.map(ips, &open(subject, &1))
    deadline = now() + @deadline * 1_000
    Enum.each(vms, &(:ready = heard(&1, fn said -> said == :ready end, deadline)))
    vms
  end

  @doc "All later nodes of `subject` load at boot what this one has loaded by now."
  def learn(subject, vm) do
    [modules] = ask([vm], :modules)
    File.write!(modules_file(subject.id), :erlang.term_to_binary(modules))
  end

  @doc "Starts the discovery in all of them at the same moment, and answers with it."
  def release(vms, query) do
    # Time enough for the word to reach them all.
    at = now() + 100_000
    tell(vms, {:go, query, at})
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

  @doc "The links that they have lost so far, each once."
  def lost(vms), do: vms |> Enum.flat_map(&lost(&1, [])) |> Enum.uniq()

  defp lost(%{port: port, name: name} = vm, links) do
    receive do
      {^port, {:data, {:eol, "@" <> line}}} ->
        case decode(line) do
          {:down, peer, _at} -> lost(vm, [Enum.sort([name, peer]) | links])
          _ -> lost(vm, links)
        end
    after
      0 -> links
    end
  end

  @doc "Ends them, and waits until they are gone."
  def halt(vms) do
    Enum.each(vms, &kill/1)

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

  defp open(subject, ip) do
    folder = :persistent_term.get(__MODULE__)
    name = Subject.name(ip)
    {:ok, address} = ip |> to_charlist() |> :inet.parse_address()
    caravan = :caravan_epmd |> :code.which() |> Path.dirname()
    libraries = for name <- [:elixir, :logger], do: name |> :code.lib_dir() |> Path.join("ebin")

    # The last one is searched first.
    paths = Enum.flat_map(libraries ++ [caravan, folder | subject.paths], &["-pa", &1])
    interface = ["-kernel", "inet_dist_use_interface", "#{:io_lib.format("~w", [address])}"]
    modules = modules_file(subject.id)
    code = "'Elixir.Bench.Mesh.Node':start(#{subject.id}, <<\"#{modules}\">>)."

    args =
      @flags ++
        Subject.port_flags(subject.id) ++
        ["-name", "#{name}"] ++ interface ++ paths ++ ["-eval", code]

    env =
      for(name <- @foreign, do: {~c"#{name}", false}) ++
        [{~c"ERL_INETRC", ~c"#{folder}/inetrc"}, {~c"ERL_CRASH_DUMP_SECONDS", ~c"0"}]

    options = [:binary, :exit_status, :stderr_to_stdout, line: 4_000_000, args: args, env: env]
    %__MODULE__{port: Port.open({:spawn_executable, erl()}, options), name: name}
  end

  defp erl, do: System.find_executable("erl") || raise("no erl on PATH")

  defp modules_file(id), do: Path.join(:persistent_term.get(__MODULE__), "#{id}.modules")

  defp tell(vms, what) do
    line = [what |> :erlang.term_to_binary() |> Base.encode64(), ?\n]
    Enum.each(vms, &Port.command(&1.port, line))
  end

  # What was said before it is passed over, but for losses, which `lost/1` looks for.
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

  defp kill(%{port: port}) do
    with {:os_pid, pid} <- Port.info(port, :os_pid),
         do: System.cmd("kill", ["-KILL", "#{pid}"], stderr_to_stdout: true)
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
