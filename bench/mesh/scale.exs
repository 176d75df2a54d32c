# A large cluster: how it forms, and how it stands it that a part of it is killed and restarted.
#
# A figure is `%{time: µs or nil, cpu: µs, cut: links}`; nil is a deadline that passed. Of a restart it is also `booted`: how
# long after the kill, in µs, those killed were there again and released. A busy cluster keeps them waiting.

defmodule Bench.Mesh.Scale do
  alias Bench.Mesh.{Dns, Subject, Vm}

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
      cluster = boot(subject, 2, flags)
      watch = Vm.watch(cluster.vms, 1)
      at = release(cluster, cluster.vms)
      Vm.whole(watch, deadline(at)) || raise "#{subject.label}: two nodes did not meet"
      Vm.learn(subject, hd(cluster.vms))
      clear(cluster)
    end
  end

  @doc """
  `size` nodes of `subject` released at once, `:formed`. Then `count` of them are killed and restarted, once for each of
  `restarts`: `:at_once`, or `:calm`, which is later. Answers with a figure for each that was tried.
  """
  def run(subject, size, count, restarts, flags) do
    cluster = boot(subject, size, flags)
    watch = Vm.watch(cluster.vms, size - 1)
    used = Vm.cpu(cluster.vms)
    formed = measure(watch, cluster.vms, cluster.vms, used, &release(cluster, &1))

    # A cluster that isn't one has nothing to mend.
    restarts = if formed.time, do: restarts, else: []
    {figures, cluster} = Enum.map_reduce(restarts, cluster, &restart(&2, count, &1))
    clear(cluster)
    Map.new([{:formed, formed} | figures])
  end

  # Those killed are spread over the whole cluster.
  defp restart(%{vms: vms} = cluster, count, kind) do
    killed = vms |> Enum.take_every(div(length(vms), count)) |> Enum.take(count)
    others = vms -- killed
    used = Vm.cpu(others)
    since = Vm.now()
    Vm.halt(killed)
    if kind == :calm, do: Process.sleep(@calm)

    again = Vm.boot(cluster.subject, Enum.map(killed, & &1.ip), cluster.flags)
    cluster = %{cluster | vms: others ++ again}
    watch = Vm.watch(cluster.vms, length(vms) - 1)
    used = used + Vm.cpu(again)
    booted = Vm.now() - since
    release = fn _all -> release(cluster, again) end
    figure = measure(watch, cluster.vms, others, used, release, since)
    {{kind, Map.put(figure, :booted, booted)}, cluster}
  end

  # `used` is the CPU that doesn't count; of links those between `others` do, from `since` on.
  defp measure(watch, all, others, used, release, since \\ 0) do
    at = release.(all)

    {time, cpu} =
      case settled(watch, all, deadline(at)) do
        {whole_at, cpu} -> {max(0, whole_at - at), cpu}
        nil -> {nil, Vm.cpu(all)}
      end

    %{time: time, cpu: cpu - used, cut: length(Vm.lost(others, since))}
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
  defp boot(subject, size, flags) do
    ips = for n <- 0..(size - 1), do: "127.1.#{div(n, 250)}.#{rem(n, 250) + 1}"
    Dns.run(for ip <- ips, do: "add " <> Subject.record(subject.id, query(subject), ip, 0))
    %{subject: subject, flags: flags, ips: ips, vms: Vm.boot(subject, ips, flags)}
  end

  defp release(%{subject: subject, ips: ips}, vms),
    do: Vm.release(vms, Subject.target(subject.id, query(subject), ips))

  defp clear(cluster) do
    Vm.halt(cluster.vms)
    Dns.run("clear")
  end

  defp query(subject), do: "#{subject.id}.mesh.test"
end
