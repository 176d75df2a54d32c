defmodule Caravan.Handshake.TlsFault do
  @moduledoc false
  # What TLS says of why there is no connection, as `:ssl` has it: the alerts of RFC 8446, 6.2. Pure.

  # What one side may have against the other's certificate.
  @about_certificates [
    :bad_certificate,
    :bad_certificate_status_response,
    :certificate_expired,
    :certificate_required,
    :certificate_revoked,
    :certificate_unknown,
    :certificate_unobtainable,
    :no_certificate,
    :unknown_ca,
    :unsupported_certificate
  ]

  @type side :: :here | :there

  @doc "The verdict on an error of `:ssl`, wherever in a term it is; `:none` if there is none."
  @spec verdict(term) :: {:certificate | :tls_failed, map} | :none
  def verdict({:tls_alert, {alert, text}}), do: alert(alert, to_string(text))
  def verdict({:options, _} = wrong), do: {:tls_failed, %{side: :here, alert: nil, reason: inspect(wrong)}}

  def verdict(term) when is_tuple(term), do: term |> Tuple.to_list() |> verdict()

  def verdict([term | terms]) do
    with :none <- verdict(term), do: verdict(terms)
  end

  def verdict(_term), do: :none

  # The text is that of ssl_alert.erl. It begins "TLS client: In state … generated CLIENT ALERT: Fatal - …" or
  # "… received SERVER ALERT: …", and in the first case what public_key has found may follow.
  defp alert(alert, text) do
    side = if text =~ "received ", do: :there, else: :here
    found = Regex.run(~r/\{bad_cert,\s*\{?(\w+)/, text)

    cond do
      found -> {:certificate, %{side: side, reason: List.last(found), alert: alert}}
      alert in @about_certificates -> {:certificate, %{side: side, reason: Atom.to_string(alert), alert: alert}}
      true -> {:tls_failed, %{side: side, alert: alert, reason: first_line(text)}}
    end
  end

  defp first_line(text), do: text |> String.split("\n") |> hd()
end
