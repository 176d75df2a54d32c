# What runs in each node: it waits for its release, starts its discovery and tells what it sees, on the standard output.
# It ends when its input does. Times are those of the machine's one monotonic clock, in µs.

defmodule Bench.Mesh.Node do
  alias Bench.Mesh.{Broadcast, Quiet, Subject}

  @doc "`modules` is a file that names the modules to load at once."
  def start(subject, modules) do
    spawn(fn ->
      try do
        run(subject, modules)
      catch
        kind, reason ->
          IO.puts(Exception.format(kind, reason, __STACKTRACE__))
          System.halt(1)
      end
    end)
  end

  defp run(subject, modules) do
    :ok = :net_kernel.monitor_nodes(true)
    :ok = :logger.set_primary_config(:level, :none)
    # As a release does.
    with {:ok, list} <- File.read(modules),
         do: list |> :erlang.binary_to_term() |> :code.ensure_modules_loaded()

    applications = if subject == :caravan, do: [:logger, :caravan], else: [:logger, :telemetry]
    Enum.each(applications, &Application.ensure_all_started/1)
    node = self()
    spawn_link(fn -> input(node) end)
    tell(:ready)
    loop(%{subject: subject, expected: :nobody, watched: nil, whole?: false, lost: []})
  end

  defp loop(state) do
    receive do
      {:nodeup, _peer} ->
        at = now()
        state |> reached(at) |> watched(at) |> loop()

      {:nodedown, peer} ->
        at = now()
        %{state | lost: [{peer, at} | state.lost]} |> watched(at) |> loop()

      {:expect, count} ->
        loop(reached(%{state | expected: count}, now()))

      {:watch, tag, count} ->
        loop(watched(%{state | watched: {tag, count}, whole?: false}, now()))

      {:go, target, at} ->
        spawn_link(fn -> discover(state.subject, target, at) end)
        loop(state)

      {:lost, since} ->
        tell({:lost, for({peer, at} <- state.lost, at >= since, do: peer)})
        loop(state)

      :peers ->
        tell({:peers, Node.list()})
        loop(state)

      :modules ->
        tell({:modules, for({module, _file} <- :code.all_loaded(), do: module)})
        loop(state)

      {:subscribe, kind} ->
        Broadcast.subscribe(kind)
        tell({:subscribe, kind})
        loop(state)

      :group ->
        tell({:group, Broadcast.members()})
        loop(state)

      {:stream, kind, count, every} ->
        Broadcast.stream_off(kind, count, every)
        tell({:stream, count})
        loop(state)

      :taken ->
        tell({:taken, Broadcast.take()})
        loop(state)

      {:quiet, queries, count} ->
        tell({:quiet, Quiet.start(state.subject, queries, count)})
        loop(state)

      {:cpu, polls} ->
        tell({:cpu, Quiet.cpu(state.subject, polls)})
        loop(state)
    end
  end

  defp reached(state, at) do
    if length(Node.list()) == state.expected do
      tell({:reached, at})
      %{state | expected: :nobody}
    else
      state
    end
  end

  defp watched(%{watched: nil} = state, _at), do: state

  defp watched(%{watched: {tag, count}} = state, at) do
    whole? = length(Node.list()) >= count

    case {state.whole?, whole?} do
      {false, true} -> tell({:whole, tag, at})
      {true, false} -> tell({:torn, tag})
      _same -> :ok
    end

    %{state | whole?: whole?}
  end

  # Some dial before their supervisor has started. Some crash over each dead host: an application would end by that, but
  # here they are seen at their best.
  defp discover(subject, target, at) do
    Process.sleep(max(0, div(at - now(), 1_000)))
    options = [strategy: :one_for_one, max_restarts: 1_000_000]
    {:ok, _} = Supervisor.start_link(Subject.children(subject, target), options)
    Process.sleep(:infinity)
  end

  defp input(node) do
    case IO.gets("") do
      line when is_binary(line) ->
        send(node, line |> String.trim() |> Base.decode64!() |> :erlang.binary_to_term())
        input(node)

      _ ->
        System.halt(0)
    end
  end

  defp now, do: :os.perf_counter(:microsecond)

  defp tell(what) do
    IO.write(:stdio, ["@", what |> :erlang.term_to_binary() |> Base.encode64(), "\n"])
  end
end
