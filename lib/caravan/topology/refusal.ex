defmodule Caravan.Topology.Refusal do
  @moduledoc false
  # Why a handshake failed, judging by what the node there calls itself, or by why it doesn't tell.

  alias Caravan.{Native, Settings}
  alias Caravan.Topology.Dialer

  # A node that refuses a handshake does so at once. What takes longer has run out of time.
  @at_once 2_000

  @typep answer :: {:ok, Dialer.identity()} | {:error, {atom, String.t()}}

  @doc "What `Caravan.Native.identify/4` has answered after the dial of `node` failed, which `took` so many ms."
  @spec result(node, answer, took :: integer) :: Dialer.result()
  def result(node, {:ok, {name, _creation} = identity}, took) do
    cond do
      name == Atom.to_string(node()) ->
        :self

      name != Atom.to_string(node) ->
        refused(
          "the node there calls itself #{name}, and Erlang links to a node under its own name only: name it as DNS " <>
            "does, or make the topology's names match (options :node_name, :node_sname, :type)",
          identity
        )

      # A plain node waits for the rest of a TLS greeting until its time is up: that says nothing of being busy.
      Settings.tls?() ->
        refused(
          "the node there speaks plain distribution, and this one TLS: start both with the same -proto_dist",
          identity
        )

      took > @at_once ->
        {:error, :dial,
         "the node there answers#{on_port(node)} and has that name, but the handshake was not done when it was given up " <>
           "after #{took} ms: the node was suspended or too busy", nil}

      true ->
        refused(
          "the node there answers#{on_port(node)} and has that name, but refused the handshake: most likely the cookies " <>
            "differ, so start both nodes with the same one; or it was just going down",
          identity
        )
    end
  end

  def result(node, {:error, {:handshake, sentence}}, _took) do
    # What an answer over TLS would say can't be read without it.
    if Settings.tls?(),
      do:
        refused(
          "the host answers#{on_port(node)}, but the handshake over TLS failed: one side rejects the other's " <>
            "certificate, the cookies differ, or the node there has another name"
        ),
      else: refused(sentence)
  end

  # Nobody is there: that is what a probe would have told.
  def result(_node, {:error, {_kind, sentence}}, _took), do: {:error, :probe, sentence, nil}

  defp refused(sentence, identity \\ :unknown), do: {:error, :dial, sentence, identity}

  defp on_port(node) do
    case Native.dist_port(node) do
      {:ok, port} -> " on port #{port}"
      {:error, _} -> ""
    end
  end
end
