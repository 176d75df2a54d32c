defmodule Caravan.HandshakeTest do
  # What `Caravan.Handshake` makes of what isn't a node, or of what a node says.
  use ExUnit.Case, async: true
  alias Caravan.{Error, Handshake}

  @wait 10_000

  test "this node itself, and another that has its name" do
    own = Atom.to_string(node())
    creation = :erts_internal.get_creation()
    assert %{verdict: :itself, message: message} = ask(saying(handshake(own, creation)))
    assert message =~ "is this node itself, #{own}"
    assert %{verdict: :duplicate, message: message} = ask(saying(handshake(own, creation + 1)))
    assert message =~ "rename one of them"
  end

  test "who allows only certain nodes, and who hangs up" do
    assert %{verdict: :not_allowed, message: message} = ask(saying(framed("snot_allowed")))
    assert message =~ "net_kernel:allow/1"
    assert %{verdict: :hung_up, details: %{stage: :status}} = it = ask(saying(""))
    assert it.message =~ "closes the connection without an answer"
    assert %{verdict: :hung_up, details: %{stage: :challenge}} = ask(saying(framed("sok")))
  end

  test "who is busy with us for as long as we ask" do
    assert %{verdict: :busy, elapsed_ms: ms, message: message} = ask(saying(framed("snok")), timeout: 1_000)
    # It has asked again.
    assert ms >= 100
    assert message =~ "busy with an earlier handshake"
  end

  test "a node of a release that is too old for this one" do
    flags = elem(:erts_internal.get_dflags(), 1)
    # DFLAG_UTF8_ATOMS, and the digest that includes it.
    old = Bitwise.band(flags, Bitwise.bnot(0x401_0000))
    assert %{verdict: :incompatible} = it = ask(saying(handshake("x@y", 7, old)))
    assert "UTF8_ATOMS" in it.details.missing
    assert it.message =~ "lacks" and it.message =~ "UTF8_ATOMS"
  end

  test "other protocols are told by how they greet, or by what they say to a handshake" do
    for {says, protocol} <- [
          {"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n", "HTTP"},
          {"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "SSH"},
          {"220 mail.example.org ESMTP Postfix\r\n", "SMTP"},
          {"220 (vsFTPd 3.0.3)\r\n", "FTP"},
          {<<0x4A, 0, 0, 0, 10, "8.0.36", 0, 1, 2>>, "MySQL"},
          {"-ERR unknown command\r\n", "Redis"},
          {"what?\r\n", nil}
        ] do
      assert %{verdict: :not_erlang, details: %{protocol: ^protocol}} = it = ask(saying(says))
      assert it.message =~ "is not an Erlang node"
      if protocol, do: assert(it.message =~ protocol)
    end

    assert %{message: message} = ask(saying("what \e[31m?\r\n"))
    assert message =~ ~s(it said "what .[31m?")
  end

  test "TLS where plain distribution was expected" do
    assert %{verdict: :peer_tls, details: %{alert: 70}} = it = ask(saying(<<21, 3, 3, 0, 2, 2, 70>>))
    assert it.message =~ "speaks TLS, and this node uses plain distribution"
  end

  test "who accepts and says nothing, who doesn't listen, and who has no address" do
    {:ok, listener} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    {:ok, port} = :inet.port(listener)
    assert %{verdict: :silent, details: %{stage: :status}} = it = ask(port, timeout: 200)
    assert it.message =~ "suspended or hung"
    :gen_tcp.close(listener)
    assert %{verdict: :refused, message: message} = ask(port)
    assert message =~ "nothing listens at 127.0.0.1:#{port}"
    assert {:ok, it} = Handshake.ask("nowhere.invalid", port, timeout: @wait)
    assert %{verdict: :no_address, details: %{reason: _}} = it
    assert it.message =~ "the host of nowhere.invalid:#{port} has no address"
  end

  test "a name that is none, or can't be dialed, is an error" do
    assert {:error, %Error{kind: :invalid_name}} = Handshake.ask("nonsense@")
    assert {:error, %Error{kind: :tool_node}} = Handshake.ask(:"rpc-1a2b-app-3434@127.0.0.1")
    assert {:error, %Error{kind: :port_out_of_range}} = Handshake.ask("app-70000@127.0.0.1")
  end

  test "options and ports are checked" do
    for {options, expected} <- [
          {[timeout: 0], "option :timeout of handshake: expected a positive integer"},
          {[cookie: "secret"], "option :cookie of handshake: expected an atom of Latin-1 characters"},
          {[cookie: :ключ], "option :cookie"},
          {[node: 1], "option :node of handshake: expected a node name"},
          {[colour: 1], "unknown option :colour in handshake"}
        ] do
      assert_raise Error, ~r/#{expected}/, fn -> Handshake.ask(node(), options) end
      assert_raise Error, ~r/#{expected}/, fn -> Handshake.ask("127.0.0.1", 1, options) end
    end

    assert {:error, %Error{kind: :port_out_of_range}} = Handshake.ask("127.0.0.1", 0)
  end

  test "an HTTP server that waits for the end of a line, too" do
    {:ok, listener} = :gen_tcp.listen(0, [:binary, packet: :http_bin, ip: {127, 0, 0, 1}, active: false])
    {:ok, port} = :inet.port(listener)

    spawn_link(fn ->
      {:ok, socket} = :gen_tcp.accept(listener)
      {:ok, {:http_error, _no_request}} = :gen_tcp.recv(socket, 0)
      :gen_tcp.send(socket, "HTTP/1.1 400 Bad Request\r\n\r\n")
    end)

    assert %{verdict: :not_erlang, details: %{protocol: "HTTP"}} = ask(port, timeout: 2_000)
  end

  defp ask(port, options \\ []) do
    assert {:ok, it} = Handshake.ask({127, 0, 0, 1}, port, options ++ [timeout: @wait])
    assert it.place == "127.0.0.1:#{port}"
    it
  end

  # A port where whoever connects hears this, and no more.
  defp saying(answer) do
    {:ok, listener} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false])
    {:ok, port} = :inet.port(listener)
    spawn_link(fn -> serve(listener, answer) end)
    port
  end

  defp serve(listener, answer) do
    {:ok, socket} = :gen_tcp.accept(listener)
    {:ok, _name} = :gen_tcp.recv(socket, 0)
    :gen_tcp.send(socket, answer)
    :gen_tcp.close(socket)
    serve(listener, answer)
  end

  defp framed(message), do: <<byte_size(message)::16, message::binary>>

  defp handshake(name, creation, flags \\ elem(:erts_internal.get_dflags(), 1)) do
    challenge = <<?N, flags::64, 1::32, creation::32, byte_size(name)::16, name::binary>>
    framed("sok") <> framed(challenge)
  end
end
