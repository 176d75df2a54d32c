defmodule Caravan.Topology.BoundedCall do
  @moduledoc false
  # A call that may hang, raise or exit, made in its own process and limited in time.
  #
  # The caller receives messages that carry `ref`: `{:overdue, ref}` when the time is up, and at the end
  # `{:DOWN, ref, :process, pid, reason}`. It passes them to `handle/2` as `:overdue` and `{:ended, reason}`.

  @enforce_keys [:ref, :pid, :timer, :timeout]
  defstruct @enforce_keys

  @type t :: %__MODULE__{ref: reference, pid: pid, timer: reference, timeout: pos_integer}

  @type result :: {:ok, term} | {:error, sentence :: String.t()}

  @doc "Linked, so that it ends with the caller."
  @spec start((... -> term), pos_integer) :: t
  def start(fun, timeout) do
    caller = self()

    {pid, ref} =
      :erlang.spawn_opt(
        fn ->
          result = run(fun)
          # The monitor reports the exit, with the result; once is enough.
          Process.unlink(caller)
          exit({:shutdown, result})
        end,
        [:link, :monitor]
      )

    timer = Process.send_after(self(), {:overdue, ref}, timeout)
    %__MODULE__{ref: ref, pid: pid, timer: timer, timeout: timeout}
  end

  defp run(fun) do
    {:ok, fun.()}
  catch
    kind, reason -> {:error, Exception.format_banner(kind, reason)}
  end

  @doc "Handles a message that carries its `ref`. An overdue call is killed, and its exit handled like any other."
  @spec handle(t, :overdue | {:ended, term}) :: :pending | result
  def handle(call, :overdue) do
    Process.exit(call.pid, :kill)
    :pending
  end

  def handle(call, {:ended, reason}) do
    _ = Process.cancel_timer(call.timer)

    case reason do
      {:shutdown, {word, _} = result} when word in [:ok, :error] -> result
      :killed -> {:error, "it did not return within #{call.timeout} ms"}
      other -> {:error, "its process ended with #{inspect(other)}"}
    end
  end

  @doc "Kills the call; no more messages come from it."
  @spec stop(t) :: :ok
  def stop(call) do
    _ = Process.cancel_timer(call.timer)
    Process.demonitor(call.ref, [:flush])
    Process.unlink(call.pid)
    Process.exit(call.pid, :kill)
    :ok
  end
end
