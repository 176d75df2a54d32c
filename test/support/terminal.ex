defmodule Caravan.Terminal do
  @moduledoc "A program on a terminal of its own, as a user has it: for tests that type. Needs `script`."

  alias Caravan.Vm

  @deadline 30_000

  defstruct [:port]

  @doc "Starts it; `opts` as for `Caravan.Vm.command/3`. It ends when the test does, or with `close/1`."
  def open(command, opts \\ []) do
    opts = Keyword.update(opts, :env, [TERM: "xterm"], &[{:TERM, "xterm"} | &1])
    %__MODULE__{port: Vm.open_terminal(command, opts, [])}
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
