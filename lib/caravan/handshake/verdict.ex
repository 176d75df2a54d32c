defmodule Caravan.Handshake.Verdict do
  @moduledoc false
  # What follows from what was found. Pure.

  alias Caravan.Handshake

  @typedoc "What the native library has found."
  @type found ::
          {:node, {name :: String.t(), creation :: non_neg_integer, flags :: non_neg_integer}, missing :: [String.t()],
           :untested | :same | :other}
          | :not_allowed
          | :busy
          | {:tls, alert :: byte | nil}
          | {:not_erlang, binary}
          | {:hung_up | :silent, :status | :challenge | :proof}
          | :refused
          | {:unreachable | :no_address, String.t()}
          | :timeout

  @typedoc "This node, and the names that it is connected to."
  @type here :: %{
          name: String.t(),
          creation: non_neg_integer,
          tls?: boolean,
          connected?: (String.t() -> boolean)
        }

  @spec put(Handshake.t(), found, here) :: Handshake.t()
  def put(handshake, found, here) do
    {verdict, details} = judge(found, handshake.node, here)
    %{handshake | verdict: verdict, details: details}
  end

  defp judge({:node, _identity, _missing, _cookie}, _node, %{tls?: true}), do: {:peer_plain, %{}}

  defp judge({:node, {name, creation, _flags}, missing, cookie}, node, here) do
    cond do
      {name, creation} == {here.name, here.creation} -> {:itself, %{}}
      name == here.name -> {:duplicate, %{}}
      node != nil and name != node -> other_name(name, node, here)
      missing != [] -> {:incompatible, %{missing: missing}}
      cookie == :other -> {:other_cookie, %{}}
      true -> {:ok, %{cookie: cookie}}
    end
  end

  # The rest is between the two TLS libraries.
  defp judge({:tls, _alert}, _node, %{tls?: true}), do: {:tls, %{}}
  defp judge({:tls, alert}, _node, _here), do: {:peer_tls, %{alert: alert}}

  defp judge({:not_erlang, bytes}, _node, _here),
    do: {:not_erlang, %{protocol: protocol(bytes), banner: banner(bytes)}}

  defp judge({how, stage}, _node, _here) when how in [:hung_up, :silent],
    do: {how, %{stage: stage}}

  defp judge({why, reason}, _node, _here), do: {why, %{reason: reason}}
  defp judge(verdict, _node, _here) when is_atom(verdict), do: {verdict, %{}}

  defp other_name(name, node, here) do
    verdict = if here.connected?.(name), do: :already_connected, else: :other_name
    {verdict, %{differs: differs(name, node)}}
  end

  @doc "How two names differ."
  @spec differs(String.t(), String.t()) :: :capitals | :address | :domain | :host | :base
  def differs(one, other), do: parts_differ(split(one), split(other))

  defp split(name) do
    case String.split(name, "@", parts: 2) do
      [base, host] -> {base, host}
      [base] -> {base, ""}
    end
  end

  defp parts_differ({base, one}, {base, other}) do
    cond do
      String.downcase(one) == String.downcase(other) -> :capitals
      address?(one) != address?(other) -> :address
      long?(one) != long?(other) -> :domain
      true -> :host
    end
  end

  defp parts_differ({one, host}, {other, host}),
    do: if(String.downcase(one) == String.downcase(other), do: :capitals, else: :base)

  defp parts_differ(_one, _other), do: :base

  defp address?(host), do: match?({:ok, _}, :inet.parse_strict_address(String.to_charlist(host)))
  defp long?(host), do: String.contains?(host, ".")

  @protocols [
    {"HTTP/", "HTTP"},
    {"<", "HTTP"},
    {"SSH-", "SSH"},
    {"AMQP", "AMQP"},
    {"+OK", "POP3"},
    {"* OK", "IMAP"},
    {"-ERR", "Redis"},
    {"RFB ", "VNC"}
  ]

  defp protocol(bytes) do
    case Enum.find(@protocols, fn {start, _} -> String.starts_with?(bytes, start) end) do
      {_start, protocol} -> protocol
      nil -> by_content(bytes)
    end
  end

  # FTP and SMTP greet with the same number.
  defp by_content("220" <> text), do: if(text =~ ~r/ftp/i, do: "FTP", else: "SMTP")
  defp by_content(<<_length::24, 0, 10, digit, _rest::binary>>) when digit in ?0..?9, do: "MySQL"
  defp by_content(<<?E, 0, 0, _length::16, _rest::binary>>), do: "PostgreSQL"
  defp by_content(_bytes), do: nil

  # The first line, as far as it can be printed.
  defp banner(bytes) do
    for <<byte <- bytes |> :binary.split(["\r", "\n"]) |> hd()>>, into: "" do
      if byte in 32..126, do: <<byte>>, else: "."
    end
  end
end
