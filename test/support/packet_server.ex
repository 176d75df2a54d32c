defmodule Caravan.PacketServer do
  @moduledoc """
  A server on a loopback port, over UDP and TCP, that answers each question with the packets a function
  makes of it: `answers.(transport, question)` is an enumerable of binaries, over TCP without their
  length. For what `caravan_dns` doesn't do. It ends with the process that started it.
  """

  @doc "Returns the address."
  def start(answers) do
    test = self()
    ref = make_ref()

    # No link the other way: a client that hangs up in the middle is no failure of the test.
    pid =
      spawn(fn ->
        monitor = Process.monitor(test)
        {udp, tcp, port} = open(5)
        send(test, {ref, port})
        spawn_link(fn -> accept(tcp, answers) end)
        udp(udp, answers, monitor)
      end)

    monitor = Process.monitor(pid)

    receive do
      {^ref, port} ->
        Process.demonitor(monitor, [:flush])
        "127.0.0.1:#{port}"

      {:DOWN, ^monitor, :process, _, reason} ->
        raise "no packet server: #{inspect(reason)}"
    end
  end

  @doc "The question section of a DNS message without compression, and what follows it."
  def split(<<_::binary-size(12), rest::binary>> = message) do
    size = name_size(rest, 0) + 4
    {binary_part(message, 12, size), binary_part(rest, size, byte_size(rest) - size)}
  end

  @doc "An answer to `question` with one A record, 127.0.0.9."
  def answer(<<id::binary-size(2), _::binary>> = question) do
    {section, _} = split(question)
    id <> <<0x8480::16, 1::16, 1::16, 0::32>> <> section <> a_record({127, 0, 0, 9})
  end

  @doc "An A record for the name of the question."
  def a_record({a, b, c, d}), do: <<0xC00C::16, 1::16, 1::16, 5::32, 4::16, a, b, c, d>>

  # The port has to be free for both.
  defp open(tries) do
    {:ok, udp} = :gen_udp.open(0, [:binary, ip: {127, 0, 0, 1}, active: true])
    {:ok, port} = :inet.port(udp)
    options = [:binary, ip: {127, 0, 0, 1}, packet: 2, active: false, backlog: 1_024]

    case :gen_tcp.listen(port, options) do
      {:ok, tcp} ->
        {udp, tcp, port}

      {:error, :eaddrinuse} when tries > 0 ->
        :gen_udp.close(udp)
        open(tries - 1)
    end
  end

  defp udp(socket, answers, monitor) do
    receive do
      {:udp, ^socket, ip, port, question} ->
        for packet <- answers.({:udp, port}, question),
            do: :gen_udp.send(socket, ip, port, packet)

        udp(socket, answers, monitor)

      {:DOWN, ^monitor, _, _, _} ->
        :ok
    end
  end

  # Until the listener is closed, with the process that opened it.
  defp accept(listener, answers) do
    with {:ok, socket} <- :gen_tcp.accept(listener) do
      pid = spawn_link(fn -> tcp(socket, answers) end)
      :ok = :gen_tcp.controlling_process(socket, pid)
      send(pid, :go)
      accept(listener, answers)
    end
  end

  # Until the client hangs up.
  defp tcp(socket, answers) do
    receive do
      :go -> :ok
    end

    with {:ok, question} <- :gen_tcp.recv(socket, 0) do
      Enum.find(answers.({:tcp, nil}, question), &(:gen_tcp.send(socket, &1) != :ok))
      :gen_tcp.recv(socket, 0)
    end
  end

  defp name_size(<<0, _::binary>>, size), do: size + 1

  defp name_size(<<length, _::binary-size(length), rest::binary>>, size),
    do: name_size(rest, size + 1 + length)
end
