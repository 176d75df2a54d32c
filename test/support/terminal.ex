defmodule Caravan.Terminal do
  @moduledoc "A program on a terminal of its own, as a user has it: for tests that type. Needs `script`."

  alias Caravan.Vm

  @deadline 30_000
  @shell_deadline 20_000

  defstruct [:port]

  @doc "Starts it; `opts` as for `Caravan.Vm.command/3`. It ends when the test does, or with `close/1`."
  def open(command, opts \\ []) do
    # Without a kind of terminal the VM has a shell that knows no -remsh.
    opts = Keyword.update(opts, :env, [TERM: "xterm"], &[{:TERM, "xterm"} | &1])
    %__MODULE__{port: open_port(command, opts, [])}
  end

  @doc "The same as a port, for who reads it by himself."
  def open_port(command, opts, port_opts) do
    # `nohup` around the tests would have the program ignore that its terminal is gone. `script` doesn't end with its
    # input, as other programs here do, so it ends with its parent.
    script = ~w(--default-signal=HUP setpriv --pdeathsig KILL script -q -e -c)
    Vm.open("env", script ++ [command, "/dev/null"], opts, port_opts)
  end

  @doc """
  Types `input` into the shell that a command starts and waits until `expected` comes out.

  `meanwhile` is called then, before the program is ended; `env` adds to the environment, `cd` is the folder to run in.
  """
  def in_shell(command, input, expected, opts \\ []) do
    terminal = open(command, opts)
    deadline = System.monotonic_time(:millisecond) + @shell_deadline

    try do
      # A node's shell drops what is typed before it is there. Mix may print ==> before that.
      for {typed, awaited} <- [{"", "1> "}, {input, expected}] do
        Port.command(terminal.port, typed)
        read(terminal.port, awaited, &String.contains?(&1, awaited), "", deadline)
      end

      Keyword.get(opts, :meanwhile, fn -> :ok end).()
    after
      close(terminal)
    end
  end

  @doc """
  Types `input` and waits until what comes out then matches `pattern`; answers with its captures. Colors and the like
  don't count. The terminal echoes what is typed, so the pattern must not match that.
  """
  def type(terminal, input, pattern) do
    Port.command(terminal.port, input)
    await(terminal, pattern)
  end

  @doc "Waits for output that matches."
  def await(terminal, pattern),
    do: read(terminal, pattern, &Regex.run(pattern, plain(&1), capture: :all_but_first))

  @doc "The same with all that came out, colors and the like included."
  def type_raw(terminal, input, pattern) do
    Port.command(terminal.port, input)
    read(terminal, pattern, &(plain(&1) =~ pattern && &1))
  end

  @doc """
  Waits for a picture that matches, of a program that draws from the top left to the end and clears what is below. Answers
  with its lines, without their colors.
  """
  def await_picture(terminal, pattern) do
    read(terminal, pattern, fn output ->
      ~r/\e\[H(.*?)\e\[J/s
      |> Regex.scan(output, capture: :all_but_first)
      |> Enum.map(fn [picture] -> picture |> plain() |> String.replace("\r", "") end)
      |> Enum.find(&(&1 =~ pattern))
      |> then(&(&1 && String.split(&1, "\n")))
    end)
  end

  # Until `found` finds something in what has come.
  defp read(terminal, awaited, found),
    do: read(terminal.port, awaited, found, "", System.monotonic_time(:millisecond) + @deadline)

  defp read(port, awaited, found, output, deadline) do
    case found.(output) do
      nothing when nothing in [nil, false] ->
        receive do
          {^port, {:data, data}} -> read(port, awaited, found, output <> data, deadline)
          {^port, {:exit_status, status}} -> raise "it ended with #{status}; it said: #{output}"
        after
          max(deadline - System.monotonic_time(:millisecond), 0) ->
            raise "no #{inspect(awaited)} in time; it said: #{output}"
        end

      it ->
        it
    end
  end

  defp plain(output), do: String.replace(output, ~r/\e(\[[0-9;?]*[A-Za-z]|[78=>])/, "")

  @doc "Takes the terminal away."
  def close(terminal) do
    with {:os_pid, pid} <- Port.info(terminal.port, :os_pid),
         do: System.cmd("kill", ["-KILL", "#{pid}"], stderr_to_stdout: true)
  end
end
