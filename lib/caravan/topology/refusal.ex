defmodule Caravan.Topology.Refusal do
  @moduledoc false
  # Why a dial failed: judging by how the set-up of the link ended here, and by what listens there.

  alias Caravan.{Handshake, Native, Settings}
  alias Caravan.Handshake.SetUpEnd
  alias Caravan.Topology.Dialer

  # A node that rejects a handshake does so at once. A handshake that takes longer has timed out.
  @at_once 2_000

  # Nobody is there. A probe would have said the same.
  @nobody [:refused, :unreachable, :no_address, :timeout, :silent]

  @typep ended :: {:ended, term} | :under_way | :unknown

  @doc """
  The result, if the end of the set-up alone says why the dial failed, after `took` ms. Then nobody need be asked: a node
  that allows only others would log that, too, and one that speaks TLS that it was asked without.
  """
  @spec without_asking(node, integer, ended) :: Dialer.result() | :unknown
  def without_asking(node, took, {:ended, reason}) when took <= @at_once do
    it = SetUpEnd.told(%Handshake{verdict: :failed, place: "", node: Atom.to_string(node)}, reason)

    if conclusive?(it) and (it.verdict == :not_allowed or Settings.tls?()),
      do: refused(node, it),
      else: :unknown
  end

  def without_asking(_node, _took, _ended), do: :unknown

  @doc """
  What to ask whatever listens where `node` should be. Only if nobody saw how the set-up ended, the cookie is asked for,
  too: a node that has another one logs each attempt.
  """
  @spec question(node, ended, pos_integer) :: map
  def question(node, ended, timeout) do
    cookie = if ended == :unknown, do: :erlang.get_cookie(node)
    Handshake.question(Atom.to_string(node), timeout, cookie)
  end

  @doc """
  Who has refused this node's cookie under that name of late, whoever showed it: another topology, or a person. Not if
  nodes speak TLS here: a plain question wouldn't tell who is there.
  """
  @spec remembered(node) :: Dialer.identity() | nil
  def remembered(node) do
    name = Atom.to_string(node)
    creation = if not Settings.tls?(), do: Native.cookie_refuser(name, Handshake.bytes(:erlang.get_cookie(node)))
    creation && {name, creation}
  end

  @doc "The result if that node is still there, judging by its answer: it would log the next attempt as well."
  @spec again(Handshake.t()) :: Dialer.result()
  def again(handshake) do
    it = Handshake.tell(%{handshake | verdict: :other_cookie, details: %{}})
    {:error, :dial, it.message, identity(it)}
  end

  @doc """
  Why the dial of `node` failed, after `took` ms, judging by who listens there. `{:over_tls, handshake}` if that can only
  be asked over TLS.
  """
  @spec result(node, {:ok, Handshake.t()} | {:error, {atom, String.t()}}, integer, ended) ::
          Dialer.result() | {:over_tls, Handshake.t()}
  def result(node, {:ok, it}, took, ended) do
    case it.verdict do
      :itself -> :self
      nobody when nobody in @nobody -> {:error, :probe, it.message, nil}
      :busy -> {:error, :dial, it.message, nil}
      there when there in [:ok, :tls] -> there(node, it, took, ended)
      _another -> refused(node, it)
    end
  end

  def result(_node, {:error, {_kind, sentence}}, _took, _ended), do: {:error, :probe, sentence, nil}

  # A node is there, and as far as could be asked without a link, it is the right one.
  defp there(_node, it, took, _ended) when took > @at_once do
    {:error, :dial,
     "the node there answers at #{it.place}, but the handshake timed out after #{took} ms; the node may be suspended or " <>
       "overloaded", nil}
  end

  defp there(node, it, _took, {:ended, reason}) do
    told = SetUpEnd.told(it, reason)

    cond do
      it.verdict == :tls and not conclusive?(told) -> {:over_tls, it}
      told.verdict == :failed -> {:error, :dial, told.message, nil}
      true -> refused(node, told)
    end
  end

  defp there(_node, %{verdict: :tls} = it, _took, _not_seen), do: {:over_tls, it}

  defp there(_node, it, _took, _not_seen) do
    {:error, :dial, "the node there answers at #{it.place}, and nothing is wrong with it; the link failed midway", nil}
  end

  # Only its creation shows whether a node with this one's name is this one.
  defp conclusive?(told), do: told.verdict != :failed and told.name != Atom.to_string(node())

  defp refused(node, %{verdict: :other_cookie} = it) do
    if it.name, do: Native.cookie_refused(it.name, it.creation, Handshake.bytes(:erlang.get_cookie(node)))
    {:error, :dial, it.message, identity(it)}
  end

  defp refused(_node, it), do: {:error, :dial, it.message, identity(it)}

  # Whom to watch: a node that tells its name without logging that it was asked. Of a TLS connection, each end logs why it
  # has failed, also if the other one doesn't speak TLS at all.
  defp identity(%{verdict: logged}) when logged in [:not_allowed, :certificate, :tls_failed, :peer_tls], do: :logs
  defp identity(%{verdict: :peer_plain} = it), do: {it.name, it.creation}

  defp identity(it) do
    cond do
      it.creation != nil and not Settings.tls?() -> {it.name, it.creation}
      it.verdict == :other_cookie -> :logs
      true -> :unknown
    end
  end
end
