defmodule Caravan.Topology.Refusal do
  @moduledoc false
  # Why a handshake failed, judging by the name of the node there, or by why it doesn't tell its name.

  alias Caravan.{Native, Settings}
  alias Caravan.Topology.Dialer

  # A node that rejects a handshake does so at once. A handshake that takes longer has timed out.
  @at_once 2_000

  @typep answer :: {:ok, Dialer.identity()} | {:error, {atom, String.t()}}

  @doc "Why the dial of `node` failed, after `took` ms, judging by the answer of `Caravan.Native.identify/4`."
  @spec result(node, answer, took :: integer) :: Dialer.result()
  def result(node, {:ok, {name, _creation} = identity}, took) do
    cond do
      name == Atom.to_string(node()) ->
        :self

      name != Atom.to_string(node) ->
        refused(
          "the node there is named #{name}, and Erlang connects to a node only under its own name; name it as DNS " <>
            "does, or adjust the topology's options (:node_name, :node_sname, :type)",
          identity
        )

      # A plain node waits for the rest of a TLS hello until it times out, so a slow answer doesn't mean that it is
      # busy.
      Settings.tls?() ->
        refused(
          "the node there uses plain distribution and this one TLS; start both with the same -proto_dist",
          identity
        )

      took > @at_once ->
        {:error, :dial,
         "the node there answers#{on_port(node)} and has that name, but the handshake timed out after #{took} ms; the " <>
           "node may be suspended or overloaded", nil}

      true ->
        refused(
          "the node there answers#{on_port(node)} and has that name, but rejected the handshake, most likely because the " <>
            "cookies differ (start both nodes with the same one) or the node was shutting down",
          identity
        )
    end
  end

  def result(node, {:error, {:handshake, sentence}}, _took) do
    # This question is asked without TLS, so an answer over TLS can't be read.
    if Settings.tls?(),
      do:
        refused(
          "the host answers#{on_port(node)}, but the TLS handshake failed: one side rejects the other's " <>
            "certificate, the cookies differ, or the node there has another name"
        ),
      else: refused(sentence)
  end

  # Nobody is there. A probe would have said the same.
  def result(_node, {:error, {_kind, sentence}}, _took), do: {:error, :probe, sentence, nil}

  defp refused(sentence, identity \\ :unknown), do: {:error, :dial, sentence, identity}

  defp on_port(node) do
    case Native.dist_port(node) do
      {:ok, port} -> " on port #{port}"
      {:error, _} -> ""
    end
  end
end
