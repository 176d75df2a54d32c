# What is measured. Every figure is in µs, or a count; nil where a deadline passed.

defmodule Bench.Mesh.Scenarios do
  alias Bench.Mesh.{Dns, Subject, Table, Vm}

  @deadline 80_000

  # What takes longer than this once is not measured again.
  @slow 10_000_000

  # The default of all of them, in ms.
  @poll_interval 5_000

  # Nobody answers there, and sorted they come before the nodes.
  @holes "10.66.0."

  @doc "A first pair of each: shows that it works, and what code it takes."
  def warm_up(subjects) do
    for cluster <- Enum.map(placed(subjects), &boot(&1, 2)) do
      formed(release(cluster), cluster) ||
        raise "#{cluster.subject.label}: two nodes did not meet"

      Vm.learn(cluster.subject, hd(cluster.vms))
      Vm.halt(cluster.vms)
    end

    Dns.run("clear")
  end

  @doc "Nodes released at once, until each is linked to all others."
  def formation(subjects, sizes, rounds) do
    figures =
      for _round <- 1..rounds, size <- sizes, place <- placed(subjects) do
        cluster = boot(place, size)
        time = formed(release(cluster), cluster)
        clear([cluster])
        {{size, cluster.subject.id}, time}
      end

    rows(sizes, subjects, figures)
  end

  @doc """
  A node that comes to 8, from its record in the DNS until all see it. It runs the discovery itself
  (`:own`), or is only to be found (`:found`).
  """
  def addition(subjects, rounds) do
    figures = for round <- 1..rounds, do: added(subjects, (2 * round - 1) / (2 * rounds))
    rows([:own, :found], subjects, List.flatten(figures))
  end

  # `moment` is a part of the poll interval, another one in each round.
  defp added(subjects, moment) do
    clusters = Enum.map(placed(subjects), &boot(&1, 8))

    for cluster <- clusters,
        do: formed(release(cluster), cluster) || raise("#{cluster.subject.label} did not form")

    clusters = for cluster <- clusters, do: {cluster, others(cluster, [9, 10])}

    own =
      for {cluster, [own, _found]} <- clusters do
        Vm.expect(cluster.vms, 8)
        at = Vm.release([own], query(cluster.subject))
        publish(cluster, [9])
        {{:own, cluster.subject.id}, since(at, Vm.reached(cluster.vms, @deadline))}
      end

    Process.sleep(round(@poll_interval * moment))

    times =
      for {cluster, _others} <- clusters do
        Vm.expect(cluster.vms, 9)
        at = Vm.now()
        publish(cluster, [10])
        at
      end

    found =
      for {{cluster, _others}, at} <- Enum.zip(clusters, times),
          do: {{:found, cluster.subject.id}, since(at, Vm.reached(cluster.vms, @deadline))}

    for {_cluster, others} <- clusters, do: Vm.halt(others)
    clear(Enum.map(clusters, &elem(&1, 0)))
    own ++ found
  end

  @doc "8 nodes, with addresses in front of theirs that swallow all that is sent there."
  def holes(subjects, counts, rounds) do
    figures =
      for _round <- 1..rounds, count <- counts, reduce: [] do
        figures ->
          slow = for {{^count, id}, time} <- figures, time == nil or time > @slow, do: id
          holes_once(Enum.reject(subjects, &(&1.id in slow)), count) ++ figures
      end

    rows(counts, subjects, figures)
  end

  # Who waits 7 s for each hole doesn't mind the others meanwhile, so only the first moments are apart.
  defp holes_once(subjects, count) do
    clusters =
      for {subject, _number} = place <- placed(subjects) do
        holes = for i <- 1..count//1, do: Subject.record(subject.id, query(subject), @holes <> "#{i}")

        Dns.run(Enum.map(holes, &("add " <> &1)))
        boot(place, 8)
      end

    times =
      for cluster <- clusters do
        at = release(cluster)
        Process.sleep(1_500)
        at
      end

    figures =
      for {cluster, at} <- Enum.zip(clusters, times),
          do: {{count, cluster.subject.id}, formed(at, cluster)}

    clear(clusters)
    figures
  end

  @doc "8 nodes while the DNS is silent for 30 s: links lost, and how soon all are there when it answers again."
  def silence(subjects) do
    clusters = Enum.map(placed(subjects), &boot(&1, 8))

    for cluster <- clusters,
        do: formed(release(cluster), cluster) || raise("#{cluster.subject.label} did not form")

    since = Vm.now()
    Dns.run("fault silence")
    Process.sleep(30_000)
    lost = for cluster <- clusters, do: length(Vm.lost(cluster.vms, since))
    Dns.run("fault none")
    at = Vm.now()
    for cluster <- clusters, do: Vm.expect(cluster.vms, 7)

    back =
      for {cluster, lost} <- Enum.zip(clusters, lost),
          do: if(lost == 0, do: "-", else: formed(at, cluster))

    clear(clusters)
    ids = for cluster <- clusters, do: cluster.subject.id
    {Map.new(Enum.zip(ids, lost)), Map.new(Enum.zip(ids, back))}
  end

  @doc "CPU of a poll that finds what it found before."
  def quiet(subjects, sizes, rounds) do
    figures =
      for size <- sizes do
        vms =
          for {subject, number} <- placed(subjects),
              do: {subject, quiet_node(subject, number, size)}

        polls = max(10, div(20_000, size + 100))

        figures =
          for _round <- 1..rounds, {subject, vm} <- vms do
            [cpu] = Vm.ask([vm], {:cpu, polls})
            {{size, subject.id}, cpu}
          end

        Vm.halt(for {_subject, vm} <- vms, do: vm)
        Dns.run("clear")
        figures
      end

    rows(sizes, subjects, List.flatten(figures))
  end

  # As many queries as it takes: a message holds about 4,000 A records, but not 2,000 SRV. A TTL of 0 keeps OTP's cache
  # out, which gives 40 of 1,000 addresses.
  defp quiet_node(subject, number, size) do
    count = min(size, if(subject.id == :caravan1, do: 1_000, else: 2_500))
    queries = for i <- 1..div(size, count), do: "q#{i}.#{query(subject)}"

    for {query, index} <- Enum.with_index(queries) do
      records = for ip <- Subject.addresses(index, count), do: Subject.record(subject.id, query, ip, 0)

      Dns.run(Enum.map(records, &("add " <> &1)))
    end

    [vm] = Vm.boot(subject, [ip(number, 1)])
    [^size] = Vm.ask([vm], {:quiet, queries, count})
    vm
  end

  ## What they share

  # The nodes are in the DNS before they are released.
  defp boot({subject, number}, size) do
    cluster = %{subject: subject, number: number, vms: []}
    publish(cluster, 1..size)
    %{cluster | vms: others(cluster, 1..size)}
  end

  defp others(cluster, numbers),
    do: Vm.boot(cluster.subject, Enum.map(numbers, &ip(cluster.number, &1)))

  defp publish(%{subject: subject} = cluster, numbers) do
    records = for n <- numbers, do: Subject.record(subject.id, query(subject), ip(cluster.number, n))

    Dns.run(Enum.map(records, &("add " <> &1)))
  end

  defp release(cluster) do
    Vm.expect(cluster.vms, length(cluster.vms) - 1)
    Vm.release(cluster.vms, query(cluster.subject))
  end

  defp formed(at, cluster), do: since(at, Vm.reached(cluster.vms, @deadline))

  defp since(_at, nil), do: nil
  defp since(at, reached), do: reached - at

  defp clear(clusters) do
    Enum.each(clusters, &Vm.halt(&1.vms))
    Dns.run("clear")
  end

  defp placed(subjects), do: Enum.with_index(subjects, 1)
  defp ip(number, n), do: "127.0.#{number}.#{n}"
  defp query(subject), do: "#{subject.id}.mesh.test"

  # A deadline that passed counts as the longest time: nil comes after all numbers.
  defp rows(labels, subjects, figures) do
    for label <- labels do
      values =
        for %{id: id} <- subjects,
            [_ | _] = values <- [for({{^label, ^id}, value} <- figures, do: value)],
            into: %{},
            do: {id, Table.median(values) || "> #{div(@deadline, 1_000)} s"}

      {label, values}
    end
  end
end
