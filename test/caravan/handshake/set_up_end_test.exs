defmodule Caravan.Handshake.SetUpEndTest do
  # The reasons are those that OTP 25 to 29 end set-ups with.
  use ExUnit.Case, async: true
  alias Caravan.Handshake
  alias Caravan.Handshake.SetUpEnd

  @asked %Handshake{verdict: :ok, place: "127.0.0.1:3434", node: "app-3434@h"}

  for {reason, verdict, sentence} <- [
        {{:recv_challenge_ack_failed, {:error, :closed}}, :other_cookie, "another cookie"},
        {{:recv_challenge_ack_failed, :bad_cookie}, :other_cookie, "another cookie"},
        {{:recv_status_failed, :not_allowed}, :not_allowed, "net_kernel:allow/1"},
        {{:recv_challenge_failed, :no_node, ~c"app-3434@H"}, :other_name, "in capitals only"},
        {{:check_dflags_failed, [~c"UNLINK_ID", ~c"V4_NC"]}, :incompatible, "lacks UNLINK_ID, V4_NC"},
        {{:recv_status_failed, {:error, :closed}}, :failed, "{:recv_status_failed, {:error, :closed}}"},
        {:shutdown, :failed, ":shutdown"},
        {:setup_timer_timeout, :failed, ":setup_timer_timeout"}
      ] do
    test inspect(reason) do
      assert %{verdict: unquote(verdict), message: message} = SetUpEnd.told(@asked, unquote(Macro.escape(reason)))
      assert message =~ unquote(sentence)
    end
  end

  test "a name that OTP has told goes into the answer" do
    reason = {:recv_challenge_failed, :no_node, ~c"app-3434@10.0.0.5"}
    assert %{name: "app-3434@10.0.0.5", details: %{differs: :address}} = SetUpEnd.told(@asked, reason)
  end

  test "an alert counts, wherever it is" do
    alert = {:tls_alert, {:unknown_ca, ~c"TLS client: In state cipher received SERVER ALERT: Fatal - Unknown CA\n"}}

    for reason <- [
          {:ssl_connect_failed, {127, 0, 0, 1}, 3434, {:error, alert}},
          {:recv_status_failed, {:error, alert}},
          {:shutdown, alert},
          {{:badmatch, {:error, alert}}, [{:inet_tls_dist, :do_setup_connect, 10, [line: 590]}]}
        ] do
      assert %{verdict: :certificate, details: %{side: :there, reason: "unknown_ca"}} = SetUpEnd.told(@asked, reason)
    end
  end
end
