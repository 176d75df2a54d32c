defmodule Caravan.Vm do
  @moduledoc """
  Real Erlang VMs for tests, each an OS process with `:caravan_epmd` and without epmd. A VM belongs to the test
  process that started it: it ends with it, since the end of its input ends it.
  """

  import ExUnit.Assertions, only: [assert: 2]

  @deadline 20_000
  @cookie "caravan"

  # Reads an expression a line, answers with its value. Terms travel in base64, so that pids and strings stay what
  # they are and nothing else that is printed looks like an answer. Once Elixir runs there, lines are binaries.
  @loop ~S"""
  spawn(fun() ->
    Loop = fun Loop() ->
      case io:get_line(standard_io, "") of
        Line when is_list(Line); is_binary(Line) ->
          Answer = try
            {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(Line)),
            {ok, Exprs} = erl_parse:parse_exprs(Tokens),
            {value, Value, _} = erl_eval:exprs(Exprs, []),
            {ok, Value}
          catch Class:Reason:Stack -> {Class, {Reason, Stack}} end,
          io:put_chars(["RESULT ", base64:encode(term_to_binary(Answer)), "\n"]),
          Loop();
        _ -> halt(0, [{flush, false}])
      end
    end,
    io:put_chars("READY\n"),
    Loop()
  end).
  """

  # What would make the VM another one than the arguments say.
  @inherited ~w(ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS ERL_CRASH_DUMP ERL_CRASH_DUMP_SECONDS)

  @no_dump [ERL_CRASH_DUMP_SECONDS: 0]

  defstruct [:port]

  @doc "For `setup`: the test must not leave an epmd behind that was not there before."
  def no_epmd do
    before = epmds()
    ExUnit.Callbacks.on_exit(fn -> assert epmds() -- before == [], "a test started epmd" end)
  end

  @doc """
  Starts a VM and waits until it is up.

  `args` come after those that every VM here has. `ip` is the address its distribution listens on, 127.0.0.1 unless
  told. `ebin` replaces the path of Caravan's beams, `env` adds to the environment. `within` goes before the command:
  `Caravan.Namespace.enter/1`.
  """
  def start(args, opts \\ []), do: hd(start_all([args], opts))

  @doc "The same for several VMs at once: a list of arguments for each."
  def start_all(all_args, opts \\ []) do
    code = String.replace(@loop, ~r/\s+/, " ")
    # One that can't start says why in the test's failure; it need not leave a dump.
    env = Keyword.update(opts, :env, @no_dump, &(@no_dump ++ &1))

    ports =
      for args <- all_args,
          do: open("erl", arguments(args, opts) ++ ["-noshell", "-eval", code], env, [{:line, 1_000_000}])

    for port <- ports do
      await_line(port, "READY", "it to start", now() + @deadline)
      %__MODULE__{port: port}
    end
  end

  @doc "Starts a VM with long names on a free port; answers with the VM, its name and its port."
  def start_node(args \\ [], opts \\ []) do
    [port] = free_ports(1)
    name = "app-#{port}@127.0.0.1"
    {start(["-name", name | args], opts), String.to_atom(name), port}
  end

  @doc "The host in the names of this machine's nodes with short names: not always its host name, nor one that resolves."
  def short_host do
    [port] = free_ports(1)
    vm = start(["-sname", "app-#{port}"])
    host = eval(vm, "lists:last(string:split(atom_to_list(node()), \"@\"))")
    stop(vm)
    to_string(host)
  end

  @doc "The value of Erlang expressions in the VM. Raises where they do."
  def eval(vm, code), do: hd(eval_all([vm], code))

  @doc "The same in several VMs at once: their values, in order."
  def eval_all(vms, code) do
    for %{port: port} <- vms, do: Port.command(port, [String.replace(code, "\n", " "), ".\n"])
    Enum.map(vms, &value(&1, code))
  end

  defp value(%{port: port}, code) do
    answer = await_line(port, "RESULT ", code, now() + @deadline)

    case answer |> Base.decode64!() |> :erlang.binary_to_term() do
      {:ok, value} -> value
      {class, {reason, stack}} -> :erlang.raise(:error, {class, reason, code}, stack)
    end
  end

  @doc """
  Waits until Erlang expressions have this value in the VM. Who was dialled knows of a link a moment after the dialler.
  """
  def await(vm, code, value),
    do: eventually("#{code} is #{inspect(value)}", fn -> eval(vm, code) == value end)

  @doc """
  Starts Caravan's application and a topology in the VM, not linked to the process that evaluates, which is no
  supervisor's parent. Answers with the id of its supervisor, as text.
  """
  def start_topology(vm, name, options), do: hd(start_topologies([vm], name, options))

  @doc "The same in several VMs at once."
  def start_topologies(vms, name, options) do
    encoded = {name, options} |> :erlang.term_to_binary() |> Base.encode64()

    eval_all(vms, """
    {ok, _} = application:ensure_all_started(caravan),
    {ok, Sup} = 'Elixir.Supervisor':start_link([{'Elixir.Caravan', [{topologies, [binary_to_term(base64:decode("#{encoded}"))]}]}], [{strategy, one_for_one}]),
    pid_to_list(Sup)
    """)
  end

  @doc "Ends the VM and waits until its process is gone."
  def stop(%{port: port}) do
    Port.command(port, "halt(0).\n")
    await_exit(port, [], now() + @deadline)
    :ok
  end

  @doc "Kills VMs at once, and waits until their processes are gone."
  def kill_all(vms) do
    for %{port: port} <- vms, do: kill(port)
    for %{port: port} <- vms, do: await_exit(port, [], now() + @deadline)
    :ok
  end

  @doc "Runs a VM until it ends by itself: `{exit status, output}`."
  def run_to_exit(args, opts \\ []), do: command("erl", arguments(args, opts), opts)

  @doc """
  Runs `executable` with `args` until it ends: `{exit status, output}`. Kills it at the deadline (`timeout`).

  `cd` is the folder to run in, `env` adds to the environment, `within` goes before the command.
  """
  def command(executable, args, opts \\ []) do
    port = open(executable, args, opts, [])
    await_exit(port, [], now() + Keyword.get(opts, :timeout, @deadline))
  end

  @doc "Runs `executable` and waits for a line of its output that begins with `line`."
  def start_command(executable, args, line, opts \\ []) do
    port = open(executable, args, opts, [{:line, 1_000_000}])
    await_line(port, line, line, now() + @deadline)
    %__MODULE__{port: port}
  end

  @doc "Sends SIGTERM and waits for the end: `{exit status, output}`."
  def terminate(%{port: port}) do
    {:os_pid, pid} = Port.info(port, :os_pid)
    {_, 0} = System.cmd("kill", ["-TERM", "#{pid}"])
    await_exit(port, [], now() + @deadline)
  end

  @doc "The arguments that make `erl` a node of Caravan's; with `plain: true` one that has only the cookie in common."
  def arguments(args, opts \\ []) do
    if opts[:plain], do: ["-setcookie", @cookie | args], else: ours(opts) ++ args
  end

  defp ours(opts) do
    ip = Keyword.get(opts, :ip, {127, 0, 0, 1})
    ebin = Keyword.get(opts, :ebin, Application.app_dir(:caravan, "ebin"))
    elixir = :elixir |> :code.lib_dir() |> Path.join("ebin")

    ~w(-start_epmd false -epmd_module caravan_epmd -setcookie #{@cookie} -pa #{ebin} -pa #{elixir}) ++
      ["-kernel", "inet_dist_use_interface", "#{:io_lib.format("~w", [ip])}"]
  end

  def cookie, do: @cookie

  # Below the ports that systems give to whoever names none (32768 and up), so that no other socket gets one of these
  # before its test. Test VMs that run at once, `MIX_TEST_PARTITION` apart, each have a block; where in it a VM begins
  # is its own, since other checkouts have the same blocks.
  @first_port 10_000
  @block 2_500
  @blocks 8

  @doc """
  Ports that nothing listens on just now, over TCP or UDP, and that no other test of this run is given.
  """
  def free_ports(count) do
    Stream.repeatedly(&next_port/0) |> Stream.filter(&free?/1) |> Enum.take(count)
  end

  @doc "The first of `count` such ports in a row."
  def free_row(count, row \\ []) do
    [port] = free_ports(1)

    case row do
      [last | _] when port != last + 1 -> free_row(count, [port])
      row when length(row) == count - 1 -> port - count + 1
      row -> free_row(count, [port | row])
    end
  end

  defp next_port do
    block = "MIX_TEST_PARTITION" |> System.get_env("0") |> String.to_integer() |> rem(@blocks)
    offset = String.to_integer(System.pid()) * 97 + System.unique_integer([:positive, :monotonic])
    @first_port + block * @block + rem(offset, @block)
  end

  defp free?(port) do
    opened = [
      :gen_tcp.listen(port, ip: {127, 0, 0, 1}),
      :gen_udp.open(port, ip: {127, 0, 0, 1}),
      :gen_tcp.listen(port, [:inet6, ip: {0, 0, 0, 0, 0, 0, 0, 1}])
    ]

    for {:ok, socket} <- opened, do: :inet.close(socket)
    :eaddrinuse not in Keyword.get_values(opened, :error)
  end

  @doc "A path of its own in the system's folder for temporary files; nothing is there yet."
  def tmp_path(name) do
    unique = "#{System.pid()}-#{System.unique_integer([:positive])}"
    Path.join(System.tmp_dir!(), "caravan-#{name}-#{unique}")
  end

  @doc "Whether something listens there."
  def listening?(port, ip \\ {127, 0, 0, 1}) do
    family = if tuple_size(ip) == 8, do: :inet6, else: :inet

    case :gen_tcp.connect(ip, port, [family], 2_000) do
      {:ok, socket} -> :gen_tcp.close(socket) == :ok
      {:error, _} -> false
    end
  end

  @doc "How many connections may wait to be accepted where something listens on `port`, as the system has it."
  def backlog(port) do
    {line, 0} = System.cmd("ss", ["-Hltn", "sport = :#{port}"])
    ["LISTEN", _waiting_now, backlog | _] = String.split(line)
    String.to_integer(backlog)
  end

  @doc "What the system makes of a backlog that is asked for."
  def granted(backlog) do
    {most, _} = "/proc/sys/net/core/somaxconn" |> File.read!() |> Integer.parse()
    min(backlog, most)
  end

  @doc "Tries `fun` until it is true, for what sends no event; raises at the deadline."
  def eventually(what, fun, timeout \\ @deadline), do: retry(what, fun, now() + timeout)

  @doc "Kills, one by one, the processes that were started from the folder `dir`."
  def kill_within(dir) do
    for {pid, command} <- processes(), String.contains?(command, dir) do
      System.cmd("kill", ["-KILL", pid], stderr_to_stdout: true)
    end
  end

  defp retry(what, fun, deadline) do
    cond do
      value = fun.() ->
        value

      now() > deadline ->
        raise "not in time: #{what}"

      true ->
        Process.sleep(50)
        retry(what, fun, deadline)
    end
  end

  # Those in other network namespaces are other tests' own.
  defp epmds do
    here = network("self")

    for {pid, command} <- processes(),
        [executable | _] = String.split(command),
        Path.basename(executable) == "epmd",
        network(pid) == here,
        do: pid
  end

  defp network(pid), do: File.read_link("/proc/#{pid}/ns/net")

  defp processes do
    {list, 0} = System.cmd("ps", ["-A", "-ww", "-o", "pid=,args="])

    for line <- String.split(list, "\n", trim: true),
        [pid, command] <- [line |> String.trim() |> String.split(" ", parts: 2)],
        do: {pid, command}
  end

  @doc """
  Opens a port to `executable`, without what in the environment would make a VM another one. For who reads a
  VM's output by himself; `within:` goes before the command, such as `Caravan.Netns.enter/2`.
  """
  def open(executable, args, opts, port_opts) do
    [executable | args] = Keyword.get(opts, :within, []) ++ [executable | args]
    path = System.find_executable(executable) || raise "no #{executable} on PATH"

    env =
      for {name, value} <- Keyword.get(opts, :env, []),
          do: {~c"#{name}", value != nil && ~c"#{value}"}

    clean = for name <- @inherited, not List.keymember?(env, ~c"#{name}", 0), do: {~c"#{name}", false}

    cd = if dir = opts[:cd], do: [cd: dir], else: []

    Port.open(
      {:spawn_executable, path},
      [:binary, :exit_status, :stderr_to_stdout, args: args, env: clean ++ env] ++ cd ++ port_opts
    )
  end

  defp await_line(port, start, awaited, deadline, seen \\ []) do
    receive do
      {^port, {:data, {:eol, line}}} ->
        if String.starts_with?(line, start),
          do: binary_part(line, byte_size(start), byte_size(line) - byte_size(start)),
          else: await_line(port, start, awaited, deadline, [seen, line, "\n"])

      {^port, {:exit_status, status}} ->
        raise "the VM ended with #{status}, awaiting #{awaited}; it said: #{seen}"
    after
      left(deadline) ->
        kill(port)
        raise "the VM is silent, awaiting #{awaited}; it said: #{seen}"
    end
  end

  defp await_exit(port, output, deadline) do
    receive do
      {^port, {:data, {_, line}}} -> await_exit(port, [output, line, "\n"], deadline)
      {^port, {:data, data}} -> await_exit(port, [output, data], deadline)
      {^port, {:exit_status, status}} -> {status, IO.iodata_to_binary(output)}
    after
      left(deadline) ->
        kill(port)
        raise "it has not ended in time; it said: #{output}"
    end
  end

  defp kill(port) do
    with {:os_pid, pid} <- Port.info(port, :os_pid) do
      System.cmd("kill", ["-KILL", "#{pid}"], stderr_to_stdout: true)
    end
  end

  defp now, do: System.monotonic_time(:millisecond)
  defp left(deadline), do: max(deadline - now(), 0)
end
