# DNS look-ups from the BEAM, against a real knot on loopback: Caravan.lookup beside OTP's own ways, and dnsperf as the
# limit of what the server gives. Every round measures each subject once, in turn, and the medians of the rounds are
# shown. Names rotate, and OTP's cache is off.
#
#   bin/bench dns            latency, rate and failures
#   bin/bench dns cpu        CPU of a look-up, in a VM whose schedulers do not spin

Code.require_file("knot.exs", __DIR__)

defmodule Bench.Dns do
  @rounds 7
  # Records of a name, and how many names and look-ups of it there are.
  @sizes [{1, 500, 1_000}, {100, 50, 200}, {1_000, 20, 40}]
  @in_flight 64

  def latency(server) do
    for {records, names, calls} <- @sizes do
      results =
        rounds(subjects(server), fn {_label, lookup} ->
          median(for i <- 1..calls, do: time(fn -> lookup.(name(records, i, names)) end))
        end)

      table("p50 of a look-up of #{records} A records, 1 in flight, µs", results, &format/1)
    end
  end

  def rate(server) do
    for {records, names, calls} <- @sizes do
      results =
        rounds(Enum.take(subjects(server), 2), fn {_label, lookup} ->
          share = max(div(calls, 8), 5)

          elapsed =
            time(fn ->
              1..@in_flight
              |> Enum.map(fn worker ->
                Task.async(fn ->
                  for i <- 1..share, do: lookup.(name(records, worker * share + i, names))
                end)
              end)
              |> Task.await_many(120_000)
            end)

          @in_flight * share * 1_000_000 / elapsed
        end)

      results = results ++ [{"dnsperf, the limit", dnsperf(server, records, names)}]
      table("look-ups of #{records} A records a second, 64 in flight", results, &format/1)
    end
  end

  def cpu(server) do
    for {records, names, calls} <- @sizes do
      results =
        rounds(Enum.take(subjects(server), 2), fn {_label, lookup} ->
          {threads, all} = cpu_time()
          for i <- 1..calls, do: lookup.(name(records, i, names))
          {threads_after, all_after} = cpu_time()
          {(all_after - all) / calls, (threads_after - threads) / calls}
        end)

      whole = for {label, {all, _beam}} <- results, do: {label, all}
      beam = for {label, {_all, beam}} <- results, do: {label, beam}
      table("CPU of a look-up of #{records} A records, the whole VM, µs", whole, &format/1)
      table("the same without Caravan's own thread: the BEAM's part, µs", beam, &format/1)
    end
  end

  # A server that never answers, and a port where none listens: how long until the error.
  def failures do
    {:ok, silent} = :gen_udp.open(0, ip: {127, 0, 0, 1}, active: false)
    {:ok, silent_port} = :inet.port(silent)
    {:ok, closed} = :gen_udp.open(0, ip: {127, 0, 0, 1})
    {:ok, closed_port} = :inet.port(closed)
    :gen_udp.close(closed)

    for {what, port} <- [{"a silent server", silent_port}, {"a closed port", closed_port}] do
      [caravan, inet_res | _rest] = subjects("127.0.0.1:#{port}", timeout: 1_000)

      results = for {label, lookup} <- [caravan, inet_res], do: {label, time(fn -> lookup.("x.test") end)}

      table("time to the error of #{what} (Caravan with timeout: 1_000), µs", results, &format/1)
    end
  end

  defp subjects(server, options \\ []) do
    [ip, port] = String.split(server, ":")
    {:ok, ip} = :inet.parse_address(String.to_charlist(ip))
    nameservers = [{ip, String.to_integer(port)}]
    :inet_db.set_lookup([:dns])
    :inet_db.set_cache_size(0)
    :inet_db.set_resolv_conf([])
    for {ip, port} <- :inet_db.res_option(:nameservers), do: :inet_db.del_ns(ip, port)
    for {ip, port} <- nameservers, do: :inet_db.add_ns(ip, port)
    options = [type: :a, nameservers: [server]] ++ options

    [
      {"Caravan.lookup", fn name -> Caravan.lookup(name, options) end},
      {"inet_res.lookup", fn name -> :inet_res.lookup(to_charlist(name), :in, :a, nameservers: nameservers) end},
      {"inet_res.getbyname", fn name -> :inet_res.getbyname(to_charlist(name), :a) end},
      {"inet.getaddrs", fn name -> :inet.getaddrs(to_charlist(name), :inet) end}
    ]
  end

  def name(records, i, names), do: "n#{rem(i, names)}-#{records}.bench.test"

  def zone do
    for {records, names, _calls} <- @sizes, name <- 0..(names - 1), record <- 1..records do
      ip = name * 1_000 + record
      "n#{name}-#{records} A 10.#{div(ip, 65_536)}.#{rem(div(ip, 256), 256)}.#{rem(ip, 256)}\n"
    end
  end

  # Every subject must give all records, or its time means nothing.
  def check(server) do
    for {records, _names, _calls} <- @sizes, {label, lookup} <- subjects(server) do
      count =
        case lookup.(name(records, 0, 1)) do
          {:ok, %Caravan.Lookup{endpoints: endpoints}} -> length(endpoints)
          {:ok, addresses} when is_list(addresses) -> length(addresses)
          {:ok, hostent} -> length(elem(hostent, 5))
          addresses when is_list(addresses) -> length(addresses)
          error -> raise "#{label}: #{inspect(error)}"
        end

      if count != records, do: raise("#{label}: expected #{records} records, got #{count}")
    end
  end

  defp rounds(subjects, measure) do
    for _round <- 1..@rounds, {label, _lookup} = subject <- subjects do
      {label, measure.(subject)}
    end
    |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
    |> then(fn all -> for {label, _lookup} <- subjects, do: {label, median(all[label])} end)
  end

  defp median(values), do: values |> Enum.sort() |> Enum.at(div(length(values), 2))

  defp time(fun) do
    start = :erlang.monotonic_time(:nanosecond)
    fun.()
    (:erlang.monotonic_time(:nanosecond) - start) / 1_000
  end

  defp dnsperf(server, records, names) do
    [ip, port] = String.split(server, ":")
    queries = Path.join(System.tmp_dir!(), "caravan-dnsperf-#{System.pid()}")
    File.write!(queries, for(i <- 0..(names - 1), do: [name(records, i, names), " A\n"]))
    tcp = if records > 50, do: ["-m", "tcp"], else: []
    args = ["-s", ip, "-p", port, "-d", queries, "-l", "2", "-q", "#{@in_flight}" | tcp]
    {output, 0} = System.cmd("dnsperf", args, stderr_to_stdout: true)
    File.rm!(queries)
    [_line, rate] = Regex.run(~r/Queries per second:\s+([\d.]+)/, output)
    String.to_float(rate)
  end

  # Microseconds of CPU, of all threads but Caravan's and of all threads (proc(5): stat, in ticks of 10 ms).
  defp cpu_time do
    times =
      for task <- File.ls!("/proc/self/task"),
          {:ok, stat} <- [File.read("/proc/self/task/#{task}/schedstat")],
          {:ok, name} <- [File.read("/proc/self/task/#{task}/comm")] do
        [nanoseconds | _rest] = String.split(stat)
        {String.trim(name), String.to_integer(nanoseconds) / 1_000}
      end

    all = times |> Enum.map(&elem(&1, 1)) |> Enum.sum()
    own = for({"caravan", time} <- times, do: time) |> Enum.sum()
    {all - own, all}
  end

  defp table(heading, [{_first, base} | _rest] = results, format) do
    IO.puts("\n#{heading}")

    for {label, value} <- results do
      IO.puts(
        "  " <>
          String.pad_trailing(label, 22) <>
          String.pad_leading(format.(value), 12) <>
          String.pad_leading("#{Float.round(value / base, 2)} x", 10)
      )
    end
  end

  defp format(number) when number < 100, do: :erlang.float_to_binary(number * 1.0, decimals: 1)
  defp format(number), do: Integer.to_string(round(number))
end

:ok = Caravan.Native.load()
server = Bench.Knot.start("bench.test", Bench.Dns.zone())
Bench.Dns.check(server)

case System.argv() do
  ["cpu"] ->
    Bench.Dns.cpu(server)

  [] ->
    Bench.Dns.latency(server)
    Bench.Dns.rate(server)
    Bench.Dns.failures()
end
