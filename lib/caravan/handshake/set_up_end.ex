defmodule Caravan.Handshake.SetUpEnd do
  @moduledoc false
  # What the end of a link's set-up says: the reason with which its process ended, as dist_util.erl and inet_tls_dist.erl
  # have it. Pure.

  alias Caravan.Handshake
  alias Caravan.Handshake.{TlsFault, Verdict}

  @doc "The verdict on a dial whose set-up ended with this reason; `:failed` for a reason that says nothing more."
  @spec told(Handshake.t(), term) :: Handshake.t()
  def told(handshake, reason) do
    case with(:none <- TlsFault.verdict(reason), do: verdict(reason)) do
      {:other_name, name} ->
        details = %{differs: Verdict.differs(name, handshake.node)}
        Handshake.tell(%{handshake | verdict: :other_name, name: name, details: details})

      {verdict, details} ->
        Handshake.tell(%{handshake | verdict: verdict, details: details})
    end
  end

  # The node there has seen our proof, and hung up. It shows its own only after that.
  defp verdict({:recv_challenge_ack_failed, _closed_or_bad_cookie}), do: {:other_cookie, %{}}
  defp verdict({:recv_status_failed, :not_allowed}), do: {:not_allowed, %{}}

  defp verdict({:recv_challenge_failed, :no_node, name}) when is_list(name),
    do: {:other_name, to_string(name)}

  defp verdict({:check_dflags_failed, missing}) when is_list(missing),
    do: {:incompatible, %{missing: Enum.map(missing, &to_string/1)}}

  defp verdict(reason), do: {:failed, %{reason: reason}}
end
