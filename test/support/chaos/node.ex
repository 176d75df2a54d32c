defmodule Caravan.Chaos.Node do
  @moduledoc """
  What runs in each node of the chaos: a topology, and a report of what happens, on the standard output. It is
  no part of the distribution that the faults cut.

  A line is an event, `{time in ms, node, what}`. All nodes of a machine share the clock. The node ends when its
  input ends.
  """

  @gauge_every 1_000
  @topology :chaos

  @doc """
  Runs the topology with `options` until the input ends, in a process of its own: `:at_once`, or `:when_told`.
  """
  def start(options, from) do
    spawn(fn ->
      try do
        run(options, from)
      catch
        kind, reason ->
          IO.puts(Exception.format(kind, reason, __STACKTRACE__))
          System.halt(1)
      end
    end)
  end

  defp run(options, from) do
    Process.register(self(), __MODULE__)
    # Before anything can connect; those that already have are told below.
    :ok = :net_kernel.monitor_nodes(true, [:nodedown_reason, node_type: :all])
    :ok = :logger.remove_handler(:default)
    :ok = :logger.add_handler(:chaos, __MODULE__, %{})
    spawn_link(&input/0)

    # The lines come by the handler above, once; the first was Elixir's way before 1.15.
    Application.put_env(:logger, :backends, [], persistent: true)
    Application.put_env(:logger, :default_handler, false, persistent: true)
    {:ok, _} = Application.ensure_all_started(:caravan)
    if from == :when_told, do: wait()
    tell({:hello, System.pid()})
    Enum.each(Node.list([:connected]), &tell({:up, &1}))

    {:ok, _} =
      Supervisor.start_link([{Caravan, topologies: [{@topology, options}]}],
        strategy: :one_for_one
      )

    :ok = Caravan.subscribe(@topology)
    loop(now())
  end

  defp wait do
    tell({:ready, System.pid()})

    receive do
      :go -> :ok
    end
  end

  @doc false
  def now, do: :os.perf_counter(:millisecond)

  @doc false
  # A handler of :logger; it runs in the process that logs, which must not wait.
  def log(%{level: level} = event, _config) do
    text = :logger_formatter.format(event, %{single_line: true, template: [:msg]})
    send(__MODULE__, {:log, now(), level, IO.chardata_to_string(text)})
  end

  defp loop(gauge_at) do
    receive do
      {:nodeup, node, _} -> tell({:up, node})
      {:nodedown, node, info} -> tell({:down, node, info[:nodedown_reason]})
      {:log, at, level, text} -> tell({:log, level, text}, at)
      {:broadcast, k} -> broadcast(k)
      {:caravan, @topology, node, {:quiet, k}} -> tell({:got, node, k})
      :crash -> crash()
    after
      max(gauge_at - now(), 0) -> :gauge
    end
    |> case do
      :gauge ->
        tell({:gauge, :erlang.system_info(:atom_count), :erlang.memory(:total)})
        loop(now() + @gauge_every)

      _ ->
        loop(gauge_at)
    end
  end

  # Where that fails nobody gets it, and the verdict says so.
  defp broadcast(k) do
    with {:error, error} <- Caravan.broadcast(@topology, {:quiet, k}), do: tell({:log, :error, error.message})
  end

  defp crash do
    @topology |> Caravan.Topology.Registry.via() |> GenServer.whereis() |> Process.exit(:kill)
  end

  defp input do
    case IO.gets("") do
      line when is_binary(line) ->
        case line do
          "crash\n" -> send(__MODULE__, :crash)
          "go\n" -> send(__MODULE__, :go)
          "broadcast " <> k -> send(__MODULE__, {:broadcast, k |> String.trim() |> String.to_integer()})
        end

        input()

      _ ->
        System.halt(0)
    end
  end

  defp tell(what, at \\ now()) do
    line = {at, node(), what} |> :erlang.term_to_binary() |> Base.encode64()
    IO.write(:stdio, ["@", line, "\n"])
  end
end
