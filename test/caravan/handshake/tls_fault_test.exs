defmodule Caravan.Handshake.TlsFaultTest do
  # What `:ssl` returns, of OTP 25 to 29.
  use ExUnit.Case, async: true
  alias Caravan.Handshake
  alias Caravan.Handshake.{Sentence, TlsFault}

  @here "TLS client: In state certify at ssl_handshake.erl:2094 generated CLIENT ALERT: Fatal - "
  @there "TLS client: In state cipher received SERVER ALERT: Fatal - "

  for {alert, text, verdict, side, reason, sentence} <- [
        {:certificate_expired, @here <> "Certificate Expired\n", :certificate, :here, "certificate_expired",
         "this node rejects the certificate of the node there: it has expired"},
        {:certificate_expired, @there <> "Certificate Expired\n", :certificate, :there, "certificate_expired",
         "the node there rejects this node's certificate: it has expired"},
        {:unknown_ca, @here <> "Unknown CA\n", :certificate, :here, "unknown_ca",
         "no authority in this node's cacertfile"},
        {:unknown_ca, @there <> "Unknown CA\n", :certificate, :there, "unknown_ca",
         "no authority in that node's cacertfile"},
        {:handshake_failure, @here <> "Handshake Failure\n {bad_cert,hostname_check_failed}", :certificate, :here,
         "hostname_check_failed", "h.test is not among the names in it"},
        {:handshake_failure,
         @here <>
           "Handshake Failure\n {bad_cert,{hostname_check_failed,{requested,\"h.test\"},{received,[{dNSName,\"x\"}]}}}",
         :certificate, :here, "hostname_check_failed", "h.test is not among the names in it"},
        {:bad_certificate, @here <> "Bad Certificate\n {bad_cert,selfsigned_peer}", :certificate, :here,
         "selfsigned_peer", "no authority in this node's cacertfile"},
        {:certificate_required, @there <> "Certificate required\n", :certificate, :there, "certificate_required",
         "there is none; set certfile and keyfile"},
        {:certificate_revoked, @here <> "Certificate Revoked\n", :certificate, :here, "certificate_revoked",
         "it has been revoked"},
        {:bad_certificate, @there <> "Bad Certificate\n", :certificate, :there, "bad_certificate", "bad certificate"},
        {:protocol_version, @there <> "Protocol Version\n", :tls_failed, :there, @there <> "Protocol Version",
         "no version of TLS in common"},
        {:insufficient_security, @there <> "Insufficient Security\n", :tls_failed, :there,
         @there <> "Insufficient Security", "compare the options of ssl_dist"}
      ] do
    test text do
      assert {unquote(verdict), details} =
               TlsFault.verdict({:error, {:tls_alert, {unquote(alert), unquote(to_charlist(text))}}})

      assert %{side: unquote(side), reason: unquote(reason), alert: unquote(alert)} = details
      it = %Handshake{verdict: unquote(verdict), place: "1.2.3.4:5", node: "app-5@h.test", details: details}
      assert Sentence.of(it) =~ unquote(sentence)
    end
  end

  test "options that TLS doesn't take are this node's own" do
    wrong = {:options, {:certfile, ~c"/nowhere.pem", {:error, :enoent}}}
    assert {:tls_failed, %{side: :here, alert: nil} = details} = TlsFault.verdict({:error, wrong})
    it = %Handshake{verdict: :tls_failed, place: "1.2.3.4:5", details: details}
    assert Sentence.of(it) =~ ~r/TLS can't start with this node's options: .*nowhere.pem/
  end

  test "other terms say nothing of TLS" do
    for term <- [:closed, {:error, :closed}, {:badmatch, {:error, :closed}}, [:a | :b], %{a: 1}, "text", self()],
        do: assert(TlsFault.verdict(term) == :none)
  end
end
