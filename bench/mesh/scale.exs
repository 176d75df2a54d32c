# A large cluster: how it forms, and how it stands it that a part of it is killed and restarted.
#
# A figure is `%{time: µs or nil, cpu: µs, cut: links, degree: {min, mean, max}, links: count, connected: boolean, memory:
# KiB more a node}`; nil is a deadline that passed. Of a restart it is also `booted`: how
# long after the kill, in µs, those killed were there again and released. A busy cluster keeps them waiting.

defmodule Bench.Mesh.Scale do
  alias Bench.Mesh.{Broadcast, Dns, Picks, Subject, Vm}

  # In ms.
  @within 80_000
  @calm 40_000

  # `global` cuts links of a mesh that was whole already. One that holds so long is left in peace, in ms.
  @holds 3_000

  def within, do: @within
  def calm, do: @calm

  @doc "A first pair of each: shows that it works, and what code it takes."
  def warm_up(subjects, flags) do
    for subject <- subjects do
      cluster = boot(subject, 2, flags, nil)
      watch = Vm.watch(cluster.vms, fn _ -> 1 end)
      at = release(cluster, cluster.vms)
      Vm.whole(watch, deadline(at)) || raise "#{subject.label}: two nodes did not meet"
      Vm.learn(subject, hd(cluster.vms))
      clear(cluster)
    end
  end

  @doc """
  `size` nodes of `subject` released at once, `:formed`. Then `count` of them are killed and restarted, once for each of
  `restarts`: `:at_once`, or `:calm`, which is later. Answers with a figure for each that was tried. With
  `broadcast?` each has another one, that of messages to all: `:broadcast`, as `Bench.Mesh.Broadcast` has it.
  """
  def run(subject, size, count, restarts, flags, links, broadcast?) do
    cluster = boot(subject, size, flags, links)
    watch = watch(cluster)
    used = Vm.cpu(cluster.vms)
    formed = measure(watch, cluster.vms, cluster.vms, used, &release(cluster, &1))

    # A cluster that isn't one has nothing to mend.
    restarts = if formed.time, do: restarts, else: []
    formed = broadcast(formed, cluster, broadcast?)

    {figures, cluster} =
      Enum.map_reduce(restarts, cluster, fn kind, cluster ->
        {{kind, figure}, cluster} = restart(cluster, count, kind)
        {{kind, broadcast(figure, cluster, broadcast?)}, cluster}
      end)

    clear(cluster)
    Map.new([{:formed, formed} | figures])
  end

  defp broadcast(figure, cluster, true), do: Map.put(figure, :broadcast, Broadcast.measure(cluster.vms, :caravan))
  defp broadcast(figure, _cluster, false), do: figure

  @doc "Messages from `pg` to all members of a group, on a full mesh of `size` nodes of `subject`; nil if there is none."
  def fan_out(subject, size, flags) do
    cluster = boot(subject, size, flags, nil)
    watch = watch(cluster)
    at = release(cluster, cluster.vms)
    figure = if Vm.whole(watch, deadline(at)), do: Broadcast.measure(cluster.vms, :pg)
    clear(cluster)
    figure
  end

  # Whom a node is to be linked with: all, or at least its picks and those that pick it.
  defp watch(%{vms: vms, links: nil}), do: Vm.watch(vms, fn _name -> length(vms) - 1 end)

  defp watch(%{vms: vms, links: links}) do
    neighbours = vms |> Enum.map(& &1.name) |> Picks.neighbours(links)
    Vm.watch(vms, &length(neighbours[&1]))
  end

  # Those killed are spread over the whole cluster.
  defp killed(vms, count),
    do: vms |> Enum.take_every(div(length(vms), count)) |> Enum.take(count)

  # Nobody comes back: the others must find new picks.
  defp restart(%{vms: vms} = cluster, count, :killed) do
    killed = killed(vms, count)
    cluster = %{cluster | vms: vms -- killed}
    used = Vm.cpu(cluster.vms)
    since = Vm.now()
    Vm.halt(killed)
    watch = watch(cluster)
    {{:killed, measure(watch, cluster.vms, cluster.vms, used, fn _ -> since end, since)}, cluster}
  end

  defp restart(%{vms: vms} = cluster, count, kind) do
    killed = killed(vms, count)
    others = vms -- killed
    used = Vm.cpu(others)
    since = Vm.now()
    Vm.halt(killed)
    if kind == :calm, do: Process.sleep(@calm)

    again = Vm.boot(cluster.subject, Enum.map(killed, & &1.ip), cluster.flags)
    cluster = %{cluster | vms: others ++ again}
    watch = watch(cluster)
    used = used + Vm.cpu(again)
    booted = Vm.now() - since
    release = fn _all -> release(cluster, again) end
    figure = measure(watch, cluster.vms, others, used, release, since)
    {{kind, Map.put(figure, :booted, booted)}, cluster}
  end

  # `used` is the CPU that doesn't count; of links those between `others` do, from `since` on.
  defp measure(watch, all, others, used, release, since \\ 0) do
    memory = Vm.memory(all)
    at = release.(all)

    {time, cpu} =
      case settled(watch, all, deadline(at)) do
        {whole_at, cpu} -> {max(0, whole_at - at), cpu}
        nil -> {nil, Vm.cpu(all)}
      end

    figure = %{time: time, cpu: cpu - used, cut: length(Vm.lost(others, since))}
    figure |> Map.put(:memory, Vm.memory(all) - memory) |> Map.merge(graph(all))
  end

  defp graph(vms) do
    links = Map.new(Enum.zip(Enum.map(vms, & &1.name), Vm.ask(vms, :peers)))
    degrees = for {_name, peers} <- links, do: length(peers)
    sum = Enum.sum(degrees)

    %{
      degree: {Enum.min(degrees), sum / length(degrees), Enum.max(degrees)},
      links: div(sum, 2),
      connected: Picks.connected?(links)
    }
  end

  defp settled(watch, vms, deadline) do
    with {at, watch} <- Vm.whole(watch, deadline) do
      cpu = Vm.cpu(vms)

      case Vm.torn(watch, @holds) do
        nil -> {at, cpu}
        watch -> settled(watch, vms, deadline)
      end
    end
  end

  defp deadline(at), do: at + @within * 1_000

  # The nodes are in the DNS before they are released. A TTL of 0 keeps OTP's cache of records out, which would give 40
  # of them.
  defp boot(subject, size, flags, links) do
    ips = for n <- 0..(size - 1), do: "127.1.#{div(n, 250)}.#{rem(n, 250) + 1}"
    Dns.run(for ip <- ips, do: "add " <> Subject.record(subject.id, query(subject), ip, 0))
    vms = Vm.boot(subject, ips, flags)
    %{subject: subject, flags: flags, links: links, ips: ips, vms: vms}
  end

  defp release(%{subject: subject, ips: ips} = cluster, vms) do
    target = Subject.target(subject.id, query(subject), ips)
    Vm.release(vms, Subject.bounded(target, cluster.links))
  end

  defp clear(cluster) do
    Vm.halt(cluster.vms)
    Dns.run("clear")
  end

  defp query(subject), do: "#{subject.id}.mesh.test"
end
