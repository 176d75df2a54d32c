defmodule Caravan.Handshake.Sentence do
  @moduledoc false
  # What to tell people: what was expected, what was found and what to do. Pure.

  alias Caravan.Handshake

  @spec of(Handshake.t()) :: String.t()
  def of(%{verdict: :ok, details: %{cookie: :same}} = it),
    do: "the node at #{it.place} is #{it.name} and has the same cookie"

  def of(%{verdict: :ok} = it), do: "the node at #{it.place} is #{it.name}"

  def of(%{verdict: :itself} = it), do: "what listens at #{it.place} is this node itself, #{it.name}"

  def of(%{verdict: :duplicate} = it) do
    "the node at #{it.place} has the same name as this node, #{it.name}; each node of a cluster needs a name of its own, " <>
      "so rename one of them"
  end

  def of(%{verdict: :other_name} = it) do
    "the node there is named #{it.name}, not #{it.node}, and Erlang connects to a node only under its own name; " <>
      cure(it.details.differs, it)
  end

  def of(%{verdict: :already_connected} = it) do
    "this node is connected to the node there already, under its name #{it.name}; it has no second link as #{it.node}; " <>
      cure(it.details.differs, it)
  end

  def of(%{verdict: :other_cookie}) do
    "the node there has that name, but another cookie than this node; start both with the same one (RELEASE_COOKIE, " <>
      "-setcookie or ~/.erlang.cookie)"
  end

  def of(%{verdict: :not_allowed}) do
    "the node there allows only certain nodes (net_kernel:allow/1), and this one isn't among them; allow it there"
  end

  def of(%{verdict: :busy} = it) do
    "the node there was busy with an earlier handshake of this node for #{it.elapsed_ms} ms; ask again in a moment"
  end

  def of(%{verdict: :incompatible} = it) do
    "the node there lacks #{Enum.join(it.details.missing, ", ")}, which OTP #{otp()} requires of other nodes; it runs an " <>
      "OTP release that is too old to be linked with this one, so upgrade it"
  end

  def of(%{verdict: :peer_tls}) do
    "what listens there speaks TLS, and this node uses plain distribution; start both with the same -proto_dist"
  end

  def of(%{verdict: :peer_plain}) do
    "the node there uses plain distribution and this one TLS; start both with the same -proto_dist"
  end

  def of(%{verdict: :certificate, details: %{side: :here, reason: reason}} = it) do
    "this node rejects the certificate of the node there: " <> fault(reason, host(it.node), "this node's")
  end

  def of(%{verdict: :certificate, details: %{reason: reason}}) do
    "the node there rejects this node's certificate: " <> fault(reason, "", "that node's")
  end

  def of(%{verdict: :tls_failed, details: %{alert: nil}} = it),
    do: "TLS can't start with this node's options: #{it.details.reason}; check the options of ssl_dist"

  def of(%{verdict: :tls_failed, details: %{alert: :protocol_version}}) do
    "this node and the node there have no version of TLS in common; give both the same (versions in the options of ssl_dist)"
  end

  def of(%{verdict: :tls_failed} = it),
    do: "the TLS handshake failed (#{it.details.reason}); compare the options of ssl_dist on both nodes"

  def of(%{verdict: :tls} = it), do: "what listens at #{it.place} speaks TLS, as this node does"

  def of(%{verdict: :failed} = it),
    do: "the node there answers, but the link failed: #{inspect(it.details.reason)}"

  def of(%{verdict: :not_erlang} = it) do
    "what listens at #{it.place} is not an Erlang node#{speaks(it.details)}; check the port in the node's name, and which " <>
      "program listens there (ss -ltnp)"
  end

  def of(%{verdict: :hung_up, details: %{stage: :status}} = it) do
    "what listens at #{it.place} closes the connection without an answer, which no running node does; check which " <>
      "program listens there (ss -ltnp) and its log"
  end

  def of(%{verdict: :hung_up}) do
    "the node there closed the connection before it told its name; it has just stopped, or its log says why"
  end

  def of(%{verdict: :silent, details: %{stage: :status}} = it) do
    "at #{it.place} the host accepted the connection but the node did not respond within #{it.elapsed_ms} ms; it is " <>
      "suspended or hung, so check its process (kill -CONT resumes it)"
  end

  def of(%{verdict: :silent} = it) do
    "the node there began the handshake, but then did not respond within #{it.elapsed_ms} ms; it is overloaded, or hung"
  end

  def of(%{verdict: :refused} = it) do
    "nothing listens at #{it.place} (connection refused); start the node, or check that it listens on the port in its name"
  end

  def of(%{verdict: :unreachable} = it),
    do: "the system can't reach #{it.place} (#{it.details.reason}); check the address and the route to it"

  def of(%{verdict: :no_address} = it) do
    "the host of #{it.place} has no address (#{it.details.reason}); check how it is spelled, and that the resolver or " <>
      "/etc/hosts knows it"
  end

  def of(%{verdict: :timeout} = it) do
    "no answer from #{it.place} within #{it.elapsed_ms} ms; check that a host has that address and that no firewall drops " <>
      "TCP to that port"
  end

  defp cure(:capitals, _it),
    do: "the two differ in capitals only: spell both in small letters, as DNS does"

  defp cure(:domain, _it) do
    "one of the names is short and the other long: give all nodes short names (-sname), or all of them long ones (-name) " <>
      "with the full host"
  end

  defp cure(:address, it) do
    [found, wanted] = for name <- [it.name, it.node], do: host(name)

    "start it with the host #{wanted} in its name, or have the topology look for #{found} (options :node_name, :type)"
  end

  defp cure(_host_or_base, _it) do
    "name it as DNS does, or adjust the topology's options (:node_name, :node_sname, :type)"
  end

  defp fault("certificate_expired", _host, _whose), do: "it has expired; renew it, or set the clocks right"
  defp fault("cert_expired", host, whose), do: fault("certificate_expired", host, whose)

  defp fault("unknown_ca", _host, whose) do
    "no authority in #{whose} cacertfile has signed it; let one of these sign it, or add its authority there"
  end

  defp fault("selfsigned_peer", host, whose), do: fault("unknown_ca", host, whose)

  defp fault("hostname_check_failed", host, _whose),
    do: "#{host} is not among the names in it; issue it for the host in the node's name"

  defp fault("certificate_required", _host, _whose),
    do: "there is none; set certfile and keyfile in the options of ssl_dist"

  defp fault("certificate_revoked", _host, _whose), do: "it has been revoked; replace it"

  defp fault(reason, _host, _whose),
    do: "#{String.replace(reason, "_", " ")}; compare the options of ssl_dist on both nodes"

  defp host(nil), do: "the host"
  defp host(name), do: name |> String.split("@") |> List.last()

  defp speaks(%{protocol: nil, banner: ""}), do: ""
  defp speaks(%{protocol: nil, banner: banner}), do: ": it said #{inspect(banner)}"
  defp speaks(%{protocol: protocol, banner: ""}), do: " but speaks #{protocol}"

  defp speaks(%{protocol: protocol, banner: banner}),
    do: " but speaks #{protocol}: it said #{inspect(banner)}"

  defp otp, do: :erlang.system_info(:otp_release)
end
