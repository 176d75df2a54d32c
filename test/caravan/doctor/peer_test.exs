defmodule Caravan.Doctor.PeerTest do
  use ExUnit.Case, async: true
  alias Caravan.Doctor.Peer
  alias Caravan.Handshake

  @node "app-3434@host1.test"
  @facts %{
    node: @node,
    domain: :long,
    connected?: false,
    port: {:ok, 3434},
    address: {:ok, {127, 0, 0, 1}},
    here?: true,
    holder: {:process, "42", "beam.smp"},
    cookie_from: nil,
    handshake: nil
  }

  defp asked(changes, found) do
    handshake = struct!(Handshake, [node: @node, place: "127.0.0.1:3434", message: "found"] ++ found)
    Peer.findings(Map.merge(@facts, Map.new([handshake: {:ok, handshake}] ++ changes)))
  end

  defp wrong(findings), do: for(it <- findings, it.verdict != :ok, do: {it.layer, it.verdict, it.kind})

  test "a node on the port that this one should have is in the way, unless it is this one by another name" do
    for {name, differs} <- [
          {"app-3434@Host1.test", :capitals},
          {"app-3434@host1", :domain},
          {"app-3434@10.0.0.1", :address}
        ] do
      found = asked([], verdict: :other_name, name: name, details: %{differs: differs})
      assert wrong(found) == [{:handshake, :fault, :other_name}]
      assert List.last(found).message == "held by the process 42 (beam.smp)"
    end

    found = asked([], verdict: :other_name, name: "web-3434@host1.test", details: %{differs: :base})
    assert wrong(found) == [{:handshake, :fault, :other_name}, {:port, :warning, :port_held}]
    assert wrong(asked([], verdict: :not_erlang)) == [{:handshake, :fault, :not_erlang}, {:port, :warning, :port_held}]
  end

  test "which cookie was compared, if it isn't this node's own" do
    for {verdict, details} <- [ok: %{cookie: :same}, other_cookie: %{}] do
      said = fn from ->
        Enum.find(asked([cookie_from: from], verdict: verdict, details: details), &(&1.layer == :handshake))
      end

      assert said.(nil).message == "found"
      assert said.("RELEASE_COOKIE").message == "found; the cookie compared with is that of RELEASE_COOKIE"
    end
  end

  test "a VM that isn't a node can't tell whether nodes that use TLS fit together" do
    for verdict <- [:peer_tls, :tls] do
      found = asked([domain: nil], verdict: verdict)
      assert wrong(found) == [{:handshake, :warning, verdict}]
      assert Enum.find(found, &(&1.layer == :handshake)).cure =~ ~s[rpc 'Caravan.explain(:"#{@node}")']
    end

    assert wrong(asked([], verdict: :peer_tls)) == [{:handshake, :fault, :peer_tls}]
  end
end
