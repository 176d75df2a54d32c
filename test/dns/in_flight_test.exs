defmodule Caravan.InFlightTest do
  use ExUnit.Case, async: false

  alias Caravan.{DnsServer, Native}

  # Many look-ups under way: the VM doesn't feel them, there is a bound, and nothing is left of them.

  @moduletag :dns
  @moduletag timeout: 120_000

  @max_in_flight 2_048
  @max_probes 1_024
  @deadline 60_000

  # What a look-up under way may cost: two sockets with their buffers, tasks and timers.
  @memory_each 64_000

  setup do
    server = DnsServer.start()
    DnsServer.command(server, "add app.test 5 A 127.0.0.2")
    DnsServer.command(server, "fault silence")
    {:ok, server: server}
  end

  defp spec(server, timeout) do
    %{
      query: "app.test",
      type: :a,
      nameservers: [server.address],
      transport: :auto,
      timeout: timeout
    }
  end

  test "1,000 silent look-ups leave a 1 ms ticker alone, and answer each caller once", context do
    sockets = sockets()
    resident = resident()
    idle = p99(300)
    callers = for _ <- 1..1_000, do: spawn_link(fn -> look_up_over_and_over(context.server) end)

    # The callers ask again whenever they have their answer, so however slow the machine, look-ups are under way now.
    busy = p99(300)
    assert eventually(fn -> sockets() - sockets >= 64 end), "the look-ups were not under way while it ticked"
    assert resident() - resident <= 1_000 * @memory_each

    # A scheduler that waited for the network would be late by what a look-up takes, 2 s.
    assert busy <= 3 * idle + 20_000, "p99 of the ticks: #{idle} µs idle, #{busy} µs busy"

    for pid <- callers, do: send(pid, {:stop, self()})

    for pid <- callers do
      assert_receive {^pid, kinds, messages_left}, @deadline
      # Overloaded are some where the process may have few sockets.
      assert kinds -- [:timeout, :overloaded] == []
      assert messages_left == 0
    end

    assert eventually(fn -> sockets() <= sockets end)
  end

  test "past the bound look-ups are refused, and a dead caller's places are free", context do
    sockets = sockets()

    for _ <- 1..3 do
      # From the second time on, into the places of the caller that died.
      {pid, one_more} = fill(context.server)
      assert {:error, {:overloaded, _sentence}} = one_more
      assert {:error, error} = Caravan.lookup("app.test", nameservers: [context.server.address])
      assert error.kind == :overloaded

      assert error.message =~
               ~s{looked up "app.test" at no server (0 ms): #{@max_in_flight} req}

      Process.exit(pid, :kill)
      assert eventually(fn -> sockets() <= sockets end)
    end

    DnsServer.command(context.server, "fault none")

    assert {:ok, _} = Caravan.lookup("app.test", type: :a, nameservers: [context.server.address])
  end

  test "however many probes are under way, look-ups find a place", context do
    # The system takes the connections, and nobody hangs up.
    {:ok, listener} = :gen_tcp.listen(0, ip: {127, 0, 0, 1}, backlog: 2_048)
    {:ok, port} = :inet.port(listener)
    probe = fn -> Native.probe(make_ref(), "app-#{port}@127.0.0.1", 60_000, :redial) end
    test = self()

    prober =
      spawn_link(fn ->
        hold(probe, @max_probes)
        send(test, {:one_more, probe.()})
        Process.sleep(:infinity)
      end)

    assert_receive {:one_more, {:error, {:overloaded, sentence}}}, @deadline
    assert sentence =~ "#{@max_probes} probes are under way already; lower the option"
    refute sentence =~ "look up less"

    DnsServer.command(context.server, "fault none")
    assert {:ok, _} = Caravan.lookup("app.test", type: :a, nameservers: [context.server.address])
    Process.unlink(prober)
    Process.exit(prober, :kill)
    assert eventually(fn -> probe.() == :ok end)
  end

  test "look-ups leave file descriptors to a VM that has few", context do
    script = """
    {:ok, _} = Application.ensure_all_started(:caravan)
    spec = #{inspect(spec(context.server, 3_000))}
    for _ <- 1..1_000, do: :ok = Caravan.Native.lookup(make_ref(), spec)
    {:error, %{kind: kind}} = Caravan.lookup("app.test", Keyword.new(Map.delete(spec, :query)))
    # It found no socket in half of its time, and those that did are still under way.
    :overloaded = kind
    true = length(File.ls!("/proc/self/fd")) < 300
    {:ok, _} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    kinds = for _ <- 1..1_000, do: (receive do {_, {:error, {kind, _, _}}} -> kind end)
    true = Enum.uniq(kinds) -- [:timeout, :overloaded] == []
    IO.puts("stood")
    """

    paths = Path.wildcard(Path.join(Mix.Project.build_path(), "lib/*/ebin"))
    arguments = Enum.flat_map(paths, &["-pa", &1]) ++ ["-e", script]
    command = ~S(ulimit -n 400 && exec "$0" "$@")
    elixir = System.find_executable("elixir")

    {output, status} = System.cmd("sh", ["-c", command, elixir | arguments], stderr_to_stdout: true)

    assert {status, output} == {0, "stood\n"}
  end

  defp look_up_over_and_over(server, kinds \\ []) do
    ref = make_ref()
    :ok = Native.lookup(ref, spec(server, 2_000))
    assert_receive {^ref, {:error, {kind, _, _}}}, @deadline
    kinds = Enum.uniq([kind | kinds])

    receive do
      {:stop, asker} -> send(asker, {self(), kinds, Process.info(self(), :message_queue_len) |> elem(1)})
    after
      0 -> look_up_over_and_over(server, kinds)
    end
  end

  # A process that has as many look-ups under way as there may be, and the answer to one more. They end long after the
  # test does, so no place gets free by itself.
  defp fill(server) do
    test = self()
    look_up = fn -> Native.lookup(make_ref(), spec(server, 10 * @deadline)) end

    pid =
      spawn(fn ->
        hold(look_up, @max_in_flight)
        send(test, {self(), look_up.()})
        Process.sleep(:infinity)
      end)

    assert_receive {^pid, one_more}, @deadline
    {pid, one_more}
  end

  # The places of earlier tests may not all be free yet.
  defp hold(_request, 0), do: :ok
  defp hold(request, count), do: hold(request, if(request.() == :ok, do: count - 1, else: count))

  # How late, in µs, are 99 of 100 ticks of a process that wants to wake each ms?
  defp p99(ticks) do
    late =
      Task.async(fn ->
        for _ <- 1..ticks do
          start = System.monotonic_time(:microsecond)

          receive do
          after
            1 -> System.monotonic_time(:microsecond) - start
          end
        end
      end)
      |> Task.await(60_000)

    late |> Enum.sort() |> Enum.at(div(ticks * 99, 100))
  end

  defp sockets do
    for name <- File.ls!("/proc/self/fd"),
        {:ok, "socket:" <> _} <- [File.read_link("/proc/self/fd/#{name}")],
        reduce: 0,
        do: (count -> count + 1)
  end

  defp resident do
    [_, pages | _] = "/proc/self/statm" |> File.read!() |> String.split()
    String.to_integer(pages) * 4_096
  end

  defp eventually(fun, until \\ now() + @deadline) do
    fun.() || (now() < until && eventually(fun, until))
  end

  defp now, do: System.monotonic_time(:millisecond)
end
