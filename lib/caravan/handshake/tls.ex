defmodule Caravan.Handshake.Tls do
  @moduledoc false
  # The same interview over TLS: OTP's own, with the options of this node's distribution. So it fails as a dial would,
  # and says which side rejects what.

  alias Caravan.Handshake.{TlsFault, Verdict}
  alias Caravan.Native

  @doc """
  Asks whatever listens at `place`. `question` is that of `Caravan.Native.handshake/2`; `host` is the name that the
  certificate there must have.
  """
  @spec ask(String.t(), String.t(), map) :: Verdict.found() | {:tls_fault, atom, map}
  def ask(place, host, question) do
    # In a process of its own: what TLS still sends to it ends with it.
    {pid, ref} = spawn_monitor(fn -> exit({:found, interview(place, host, question)}) end)

    receive do
      {:DOWN, ^ref, :process, ^pid, {:found, found}} -> found
      {:DOWN, ^ref, :process, ^pid, reason} -> fault(reason)
    after
      question.timeout ->
        Process.demonitor(ref, [:flush])
        Process.exit(pid, :kill)
        {:silent, :status}
    end
  end

  defp interview(place, host, question) do
    deadline = now() + question.timeout
    {address, port} = split(place)
    # As a connection of distribution (`erl_dist`) it needs no application :ssl, which may not run here. Over TLS each
    # message has a length of 32 bits before it.
    options =
      [:binary, erl_dist: true, packet: 4, active: true, server_name_indication: String.to_charlist(host)] ++ options()

    case ssl(:connect, [address, port, options, question.timeout]) do
      {:ok, socket} ->
        {interview, hello} = Native.interview(question.own, question.cookie)
        say(socket, hello)
        found = talk(socket, interview, question.mandatory, deadline)
        _ = ssl(:close, [socket])
        found

      {:error, :closed} ->
        {:hung_up, :status}

      {:error, :timeout} ->
        {:silent, :status}

      {:error, reason} ->
        fault(reason)
    end
  end

  # Active, since a passive socket keeps an alert to itself that comes before anything is read.
  defp talk(socket, interview, mandatory, deadline) do
    receive do
      {:ssl, ^socket, message} ->
        case Native.interview_received(interview, <<byte_size(message)::16, message::binary>>, mandatory) do
          :wait ->
            talk(socket, interview, mandatory, deadline)

          {:send, bytes} ->
            say(socket, bytes)
            talk(socket, interview, mandatory, deadline)

          {:end, found} ->
            found
        end

      {:ssl_error, ^socket, reason} ->
        fault(reason)

      {:ssl_closed, ^socket} ->
        Native.interview_over(interview, :closed, mandatory)
    after
      max(deadline - now(), 0) -> Native.interview_over(interview, :timed_out, mandatory)
    end
  end

  # That a connection is broken shows when reading.
  defp say(socket, <<_length::16, message::binary>>), do: _ = ssl(:send, [socket, message])

  # No dependency: only nodes that speak TLS come here, and they have it.
  defp ssl(function, arguments), do: apply(:ssl, function, arguments)

  defp fault(reason) do
    with :none <- TlsFault.verdict(reason),
         do: {:tls_fault, :tls_failed, %{side: :here, alert: nil, reason: inspect(reason)}},
         else: ({verdict, details} -> {:tls_fault, verdict, details})
  end

  defp split(place) do
    [port | host] = place |> String.split(":") |> Enum.reverse()
    host = host |> Enum.reverse() |> Enum.join(":") |> String.trim_leading("[") |> String.trim_trailing("]")
    host = String.to_charlist(host)

    case :inet.parse_address(host) do
      {:ok, address} -> {address, String.to_integer(port)}
      {:error, _} -> {host, String.to_integer(port)}
    end
  end

  ## The options of inet_tls_dist.erl, get_ssl_options/1

  defp options do
    options = arguments() ++ table()
    if options == [] or options[:versions], do: options, else: [{:versions, [:"tlsv1.2"]} | options]
  end

  # Those of -ssl_dist_optfile.
  defp table do
    case :ets.lookup(:ssl_dist_opts, :client) do
      [{:client, options}] -> options
      [] -> []
    end
  rescue
    ArgumentError -> []
  end

  defp arguments do
    case :init.get_argument(:ssl_dist_opt) do
      {:ok, arguments} -> arguments |> Enum.concat() |> Enum.chunk_every(2, 2, :discard) |> Enum.flat_map(&option/1)
      :error -> []
    end
  end

  @texts ~w(certfile cacertfile keyfile password ciphers)c
  @atoms ~w(verify crl_check reuse_sessions secure_renegotiate)c

  defp option([~c"client_" ++ name, value]) when name in @texts, do: [{List.to_atom(name), value}]

  defp option([~c"client_" ++ name, value]) when name in @atoms,
    do: [{List.to_atom(name), List.to_atom(value)}]

  defp option([~c"client_depth", value]), do: [depth: List.to_integer(value)]
  defp option([~c"client_crl_cache", value]), do: [crl_cache: term(value)]

  defp option([~c"client_verify_fun", value]) do
    {module, function, state} = term(value)
    [verify_fun: {Function.capture(module, function, 3), state}]
  end

  defp option(_of_a_server_or_of_none), do: []

  defp term(text) do
    {:ok, tokens, _} = :erl_scan.string(text ++ ~c".")
    {:ok, term} = :erl_parse.parse_term(tokens)
    term
  end

  defp now, do: System.monotonic_time(:millisecond)
end
