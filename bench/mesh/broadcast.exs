# Messages to all nodes of a cluster, over Caravan's tree or from `pg` to each member of a group. `subscribe/1`,
# `members/0`, `stream_off/3` and `take/0` run in the nodes, `measure/2` where the bench does.

defmodule Bench.Mesh.Broadcast do
  alias Bench.Mesh.Vm

  @group :everybody

  # A stream of messages, as an application has, from several nodes. In ms.
  @senders 5
  @messages 100
  @every 100

  # A message is lost if it takes longer, in ms.
  @late 5_000

  @typedoc "`reached`: of 1; `cpu`: µs for each delivery, that of all VMs; `p50` and `p99`: µs."
  @type figure :: %{reached: float, cpu: float, p50: integer, p99: integer}

  @doc "Sends by `:caravan` or by `:pg`, and answers with a figure."
  def measure(vms, kind) do
    Vm.ask(vms, {:subscribe, kind})
    if kind == :pg, do: await_members(vms)
    # The tree takes shape with the first messages.
    stream(vms, kind, div(@messages, 5))
    used = Vm.cpu(vms)
    taken = stream(vms, kind, @messages)
    delays = taken |> Enum.concat() |> Enum.sort()
    sent = @senders * @messages * length(vms)

    %{
      reached: length(delays) / sent,
      cpu: (Vm.cpu(vms) - used) / max(1, length(delays)),
      p50: percentile(delays, 50),
      p99: percentile(delays, 99)
    }
  end

  defp await_members(vms) do
    if Enum.any?(Vm.ask(vms, :group), &(&1 != length(vms))) do
      Process.sleep(500)
      await_members(vms)
    end
  end

  defp stream(vms, kind, count) do
    _dropped = Vm.ask(vms, :taken)
    senders = vms |> Enum.take_every(max(1, div(length(vms), @senders))) |> Enum.take(@senders)
    Vm.ask(senders, {:stream, kind, count, @every})
    Process.sleep(count * @every + @late)
    Vm.ask(vms, :taken)
  end

  defp percentile([], _), do: 0
  defp percentile(sorted, percent), do: Enum.at(sorted, div(length(sorted) * percent, 100))

  ## In the nodes

  def subscribe(kind) do
    parent = self()

    pid =
      spawn_link(fn ->
        if kind == :caravan, do: :ok = Caravan.subscribe(:mesh), else: join()
        send(parent, {:subscribed, kind})
        keep([])
      end)

    receive do: ({:subscribed, ^kind} -> :ok)
    if Process.whereis(__MODULE__), do: Process.unregister(__MODULE__)
    Process.register(pid, __MODULE__)
  end

  defp join do
    {:ok, _} = :pg.start(@group)
    :ok = :pg.join(@group, @group, self())
  end

  def members, do: length(:pg.get_members(@group, @group))

  defp keep(delays) do
    receive do
      {:caravan, :mesh, _node, {:message, at, _}} -> keep([now() - at | delays])
      {:message, at, _} -> keep([now() - at | delays])
      {:take, from} -> send(from, {:taken, delays}) && keep([])
    end
  end

  def take do
    send(__MODULE__, {:take, self()})
    receive do: ({:taken, delays} -> delays)
  end

  def stream_off(kind, count, every), do: spawn_link(fn -> stream_off(kind, count, every, 0) end)

  defp stream_off(_kind, 0, _every, _late), do: :ok

  defp stream_off(kind, count, every, late) do
    began = now()
    post(kind, {:message, began, :binary.copy("x", 200)})
    pause = every * 1_000 - late
    Process.sleep(max(0, div(pause, 1_000)))
    stream_off(kind, count - 1, every, max(0, now() - began - pause))
  end

  defp post(:caravan, message), do: :ok = Caravan.broadcast(:mesh, message)
  defp post(:pg, message), do: Enum.each(:pg.get_members(@group, @group), &send(&1, message))

  defp now, do: :os.perf_counter(:microsecond)
end
