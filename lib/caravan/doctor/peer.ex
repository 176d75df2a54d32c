defmodule Caravan.Doctor.Peer do
  @moduledoc false
  # Why a node can't be reached, or that it can: its name, its address, and what answers there.

  import Caravan.Doctor.Finding, only: [ok: 2, warning: 3, warning: 4, fault: 3, fault: 4]
  alias Caravan.{Handshake, Native, Settings}
  alias Caravan.Doctor.{Facts, Finding, Listener, Name}

  @timeout 3_000
  @cookie_file "~/.erlang.cookie"

  @type facts :: %{
          node: String.t(),
          # Of this node's names, if it is a node.
          domain: :long | :short | nil,
          connected?: boolean,
          port: {:ok, :inet.port_number()} | {:error, {atom, String.t()}},
          address: {:ok, :inet.ip_address()} | {:error, term} | nil,
          here?: boolean,
          holder: Listener.holder(),
          # If the cookie isn't this node's own.
          cookie_from: String.t() | nil,
          handshake: {:ok, Handshake.t()} | {:error, Caravan.Error.t()} | nil
        }

  @doc """
  Asks what answers where `node` should be. `domain` is that of this node's names; nil if it isn't a node. `cookie`: to
  compare with, instead of this node's own.
  """
  @spec collect(String.t(), :long | :short | nil, String.t() | nil) :: facts
  def collect(node, domain, cookie) do
    connected? = node in Enum.map(Node.list(:connected), &Atom.to_string/1)
    facts = %{node: node, domain: domain, connected?: connected?, port: port(node)}
    Map.merge(facts, if(connected? or match?({:error, _}, facts.port), do: unasked(), else: ask(node, domain, cookie)))
  end

  # Only a whole name leads to a node.
  defp port(node) do
    with {:ok, _port} = found <- Native.dist_port(node) do
      if Name.host(node) == "", do: {:error, {:invalid_name, part(node)}}, else: found
    end
  end

  defp part(node) do
    {:ok, host} = :inet.gethostname()
    "expected a whole node name such as #{node}@#{host}, got #{node}; mix caravan.names lists the nodes of a machine"
  end

  defp unasked, do: %{address: nil, here?: false, holder: nil, cookie_from: nil, handshake: nil}

  defp ask(node, domain, cookie) do
    with {:ok, ip, port} <- address(node) do
      {cookie, cookie_from} = cookie(node, domain, cookie)
      here? = Facts.mine?(ip)

      %{
        address: {:ok, ip},
        here?: here?,
        holder: if(here?, do: Listener.holder(port)),
        cookie_from: cookie_from,
        handshake: Handshake.ask(ip, port, node: node, timeout: @timeout, cookie: cookie)
      }
    else
      {:error, reason} -> %{unasked() | address: {:error, reason}}
    end
  end

  # Where this VM would dial it.
  defp address(node) do
    [base, host] = for part <- [Name.base(node), Name.host(node)], do: to_charlist(part)

    case :caravan_epmd.address_please(base, host, Settings.family()) do
      {:ok, ip, port, _version} -> {:ok, ip, port}
      {:error, reason} -> {:error, reason}
    end
  end

  defp cookie(_node, _domain, given) when given != nil, do: cookie_of(given, "--cookie")

  # A VM that isn't a node has no cookie of its own, but those that this user starts would have one.
  defp cookie(_node, nil, nil) do
    case {System.get_env("RELEASE_COOKIE", ""), File.read(Path.expand(@cookie_file))} do
      {"", {:ok, text}} -> cookie_of(String.trim(text), @cookie_file)
      {"", {:error, _}} -> {nil, nil}
      {cookie, _file} -> cookie_of(cookie, "RELEASE_COOKIE")
    end
  end

  # There may be another one for each node. The name becomes an atom only if it is one already.
  defp cookie(node, _domain, nil) do
    {:erlang.get_cookie(String.to_existing_atom(node)), nil}
  rescue
    ArgumentError -> {:erlang.get_cookie(), nil}
  end

  defp cookie_of(text, from), do: if(text =~ ~r/^[!-~]{1,255}$/, do: {String.to_atom(text), from}, else: {nil, nil})

  @doc "What is wrong with that node. Pure."
  @spec findings(facts) :: [Finding.t()]
  def findings(facts) do
    for finding <- name(facts) ++ place(facts), do: %{finding | about: {:node, facts.node}}
  end

  defp name(%{port: {:error, {kind, sentence}}}), do: [fault(:name, kind, sentence)]

  defp name(%{node: node, port: {:ok, port}} = facts) do
    mixed = if facts.domain, do: Name.mixed(node, facts.domain)
    hash = if Name.hash?(node), do: Name.hash(node, facts.port)

    case Enum.reject([mixed, Name.capitals(node), hash], &is_nil/1) do
      [] -> [ok(:name, "it stands for port #{port}")]
      findings -> findings
    end
  end

  defp place(%{connected?: true}), do: [ok(:handshake, "this node is connected to it")]
  defp place(%{port: {:error, _}}), do: []

  defp place(%{address: {:error, reason}} = facts) do
    message = "nobody knows the address of #{Name.host(facts.node)} (#{inspect(reason)})"
    cure = "check the host in the name, and that this machine's resolver or a topology's DNS servers know it"
    [fault(:address, :no_address, message, cure)]
  end

  defp place(%{address: {:ok, address}} = facts) do
    address = ok(:address, "#{:inet.ntoa(address)}#{if facts.here?, do: ", this machine"}")
    [address | handshake(facts)] ++ holder(facts)
  end

  defp handshake(%{handshake: {:error, error}}), do: [fault(:handshake, error.kind, error.message)]

  defp handshake(%{handshake: {:ok, %{verdict: verdict} = found}}) when verdict in [:refused, :unreachable, :timeout],
    do: [fault(:tcp, verdict, found.message)]

  defp handshake(%{handshake: {:ok, %{verdict: :no_address} = found}}),
    do: [fault(:address, :no_address, found.message)]

  defp handshake(%{handshake: {:ok, found}} = facts) do
    asked = if facts.domain, do: asked(found, facts.cookie_from), else: asked_from_outside(found, facts.cookie_from)
    [ok(:tcp, "#{found.place} accepts connections"), asked]
  end

  # A VM that isn't a node has no certificate.
  defp asked_from_outside(%{verdict: verdict} = found, _from) when verdict in [:tls, :peer_tls] do
    message = "what listens at #{found.place} speaks TLS, and only a node can ask more of it"
    warning(:handshake, verdict, message, "ask from a node: bin/app rpc 'Caravan.explain(:\"#{found.node}\")'")
  end

  defp asked_from_outside(found, from), do: asked(found, from)

  defp asked(%{verdict: :ok, details: %{cookie: :untested}} = found, _from),
    do:
      ok(:handshake, "#{found.message}; whether its cookie is right wasn't asked, since there is none here to compare")

  defp asked(%{verdict: :ok} = found, from),
    do: ok(:handshake, found.message <> compared(from))

  defp asked(%{verdict: verdict} = found, _from) when verdict in [:itself, :busy],
    do: warning(:handshake, verdict, found.message)

  defp asked(%{verdict: :other_cookie} = found, from),
    do: fault(:handshake, :other_cookie, found.message <> compared(from))

  defp asked(found, _from), do: fault(:handshake, found.verdict, found.message)

  defp compared(nil), do: ""
  defp compared(from), do: "; the cookie compared with is that of #{from}"

  # Who has the port, if that is to be seen and isn't the node.
  defp holder(%{holder: nil}), do: []

  defp holder(%{holder: holder, handshake: {:ok, found}, port: {:ok, port}} = facts) do
    if in_the_way?(found) do
      who = if found.name, do: ", the node #{found.name}", else: ""

      message =
        "port #{port} of this machine is held by #{Listener.describe(holder)}#{who}, so #{facts.node} couldn't start here"

      [warning(:port, :port_held, message, "end that process, or end the name of one of the two in another number")]
    else
      [ok(:port, "held by #{Listener.describe(holder)}")]
    end
  end

  defp holder(%{holder: holder}), do: [ok(:port, "held by #{Listener.describe(holder)}")]

  # If only the host differs, it is most likely the node itself under its real name.
  defp in_the_way?(%{verdict: :not_erlang}), do: true

  defp in_the_way?(%{verdict: verdict, details: details}) when verdict in [:other_name, :already_connected],
    do: details.differs == :base

  defp in_the_way?(_found), do: false
end
