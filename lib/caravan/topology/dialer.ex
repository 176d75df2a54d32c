defmodule Caravan.Topology.Dialer do
  @moduledoc false
  # The dials under way.
  #
  # A new peer is dialed straight away, since most are there. A peer that was lost or couldn't be reached is probed
  # first, with one TCP connection that the native library makes, so that a dead peer costs no process and no line in
  # the kernel's log. A new peer is probed only while many dials are slow: when a large cluster forms, probing every
  # peer that waits for a slot would overload busy nodes until `global` considers some of them lost.
  #
  # If a dial fails, the node there is asked for its name. That tells why it failed, and whether a peer that rejected a
  # handshake is still the same node. Redialing that one would only fill its log.
  #
  # Each dial calls the connect function in its own process. A slow dial continues but gives up its slot, so that
  # addresses where nobody answers hold nobody else up. The kernel waits long for such an address. If the topology has
  # other nodes to link with instead, a slow dial is probed, and is over if nobody is there.

  alias Caravan.{Handshake, Native}
  alias Caravan.Link.{Admission, SetUps}
  alias Caravan.Topology.{BoundedCall, Connector, Refusal}

  @probe_timeout 2_000
  # A dial that takes longer than this makes room for the next one.
  @slow_after 250
  # The kernel gives a handshake 30 s, see `Caravan.Link.KernelOptions`.
  @dial_timeout 45_000
  # The most probes and dials under way, per slot and in total: half of the probes that the library allows for all
  # topologies together. The same limit applies to slow dials, separately.
  @under_way 4
  @most 512

  @enforce_keys [:connector, :concurrency]
  defstruct [
    :connector,
    :concurrency,
    spares?: false,
    # What is under way, by the reference that its message will carry.
    pending: %{},
    # Probed, or not to be probed, and waiting for a slot.
    ready: :queue.new(),
    # Slots taken, and dials that have given theirs up.
    slots: 0,
    slow: 0
  ]

  @type t :: %__MODULE__{
          connector: Connector.t(),
          concurrency: pos_integer,
          spares?: boolean,
          pending: %{reference => probe | dial},
          ready: :queue.queue(node),
          slots: non_neg_integer,
          slow: non_neg_integer
        }

  # What is asked: `:probe`; `:slow`, a probe during a dial; `:why` a dial failed, after how many ms, begun when, and how
  # that is asked; the same `:over_tls`; `:whether` the node is another than `unless`, which has rejected a handshake; the
  # same of one that only the library has `:remembered`.
  @typep probe :: %{
           node: node,
           request: Native.request(),
           asks: :probe | :slow | {:why, integer, integer, map} | {:over_tls, integer} | :whether | :remembered,
           unless: identity | nil
         }
  @typep dial :: %{
           node: node,
           call: BoundedCall.t(),
           at: integer,
           timer: reference,
           slot?: boolean
         }

  @typedoc "A node's name and creation; the creation is new whenever the node starts."
  @type identity :: {name :: String.t(), creation :: non_neg_integer}

  @typedoc """
  Who rejected a handshake; nil if nobody did. `:logs`: a node that doesn't tell its name, and logs each attempt.
  """
  @type refuser :: identity | :logs | :unknown | nil

  @typedoc "`:same`: the node that rejected the last handshake is still there."
  @type result :: :ok | :self | :same | {:error, :probe | :dial, String.t(), refuser}

  @doc "`spares?`: there are other nodes to dial instead of one that isn't there."
  @spec new(Connector.t(), pos_integer, boolean) :: t
  def new(connector, concurrency, spares? \\ false),
    do: %__MODULE__{connector: connector, concurrency: concurrency, spares?: spares?}

  @doc "How many more dials may start."
  @spec free_slots(t) :: non_neg_integer
  def free_slots(dialer) do
    most = most(dialer)
    max(0, most - (under_way(dialer) - min(dialer.slow, most)))
  end

  defp most(%{concurrency: slots}), do: max(min(@under_way * slots, @most), slots)

  @doc """
  Starts to dial `node`, unless that is under way already. `redial?`: it was lost, or couldn't be reached, since it was
  last up. `unless`: don't dial if this node is still there.
  """
  @spec start(t, node, boolean, identity | nil) :: t
  def start(dialer, node, redial?, unless) do
    # A redial is somebody's wish, or its time has come.
    remembered = if not redial? and Connector.probes?(dialer.connector), do: Refusal.remembered(node)

    cond do
      under_way?(dialer, node) ->
        dialer

      not Connector.probes?(dialer.connector) ->
        ready(dialer, node)

      unless ->
        ask(dialer, node, Handshake.question(Atom.to_string(node), @probe_timeout), asks: :whether, unless: unless)

      remembered ->
        question = Handshake.question(Atom.to_string(node), @probe_timeout)
        ask(dialer, node, question, asks: :remembered, unless: remembered)

      redial? or Admission.required?(node) or dialer.slow >= most(dialer) ->
        probe(dialer, node)

      true ->
        ready(dialer, node)
    end
  end

  @doc "Handles a message that carries `ref`, if it belongs to a dial."
  @spec handle(t, reference, term) :: {:dialled, node, result, t} | {:pending, t} | :unknown
  def handle(dialer, ref, message) do
    case Map.fetch(dialer.pending, ref) do
      {:ok, %{asks: _} = probe} -> answered(drop_pending(dialer, ref), probe, message)
      {:ok, dial} -> dialled(dialer, ref, dial, message)
      :error -> :unknown
    end
  end

  @doc "Ends all dials; no more messages come from them."
  @spec stop(t) :: t
  def stop(dialer) do
    Enum.each(dialer.pending, fn
      {_ref, %{request: request}} ->
        :ok = Native.finished(request)

      {_ref, %{call: call, timer: timer}} ->
        _ = Process.cancel_timer(timer)
        :ok = BoundedCall.stop(call)
    end)

    new(dialer.connector, dialer.concurrency, dialer.spares?)
  end

  defp probe(dialer, node, asks \\ :probe) do
    purpose = if Admission.required?(node), do: :redial, else: :dial
    probe = &Native.probe(&1, Atom.to_string(node), @probe_timeout, purpose)
    request(dialer, probe, %{node: node, asks: asks, unless: nil})
  end

  defp ask(dialer, node, question, what) do
    probe = Enum.into(what, %{node: node, unless: nil})
    request(dialer, &Native.handshake(&1, question), probe)
  end

  defp ask_over_tls(dialer, handshake, question, probe) do
    topology = self()

    ask = fn ref ->
      _ = spawn(fn -> send(topology, {ref, {:ok, Handshake.over_tls(handshake, question)}}) end)
      :ok
    end

    request(dialer, ask, probe)
  end

  defp request(dialer, begin, probe) do
    request = Native.request(begin, @probe_timeout)
    put_pending(dialer, Native.reference(request), Map.put(probe, :request, request))
  end

  # The library keeps the deadline, so this is its bug.
  defp answered(dialer, probe, :overdue) do
    sentence = "the library did not answer in time; this is a bug in Caravan, please report it"
    probed(dialer, probe, {:error, {:internal, sentence}})
  end

  defp answered(dialer, probe, answer) do
    :ok = Native.finished(probe.request)
    probed(dialer, probe, answer)
  end

  defp probed(dialer, %{node: node, asks: :probe}, :ok), do: {:pending, ready(dialer, node)}

  defp probed(dialer, %{asks: :slow}, :ok), do: {:pending, dialer}

  defp probed(dialer, %{node: node, asks: :slow}, {:error, {_kind, sentence}}) do
    {ref, dial} = Enum.find(dialer.pending, &match?({_ref, %{node: ^node, call: _}}, &1))
    :ok = BoundedCall.stop(dial.call)
    {:dialled, node, {:error, :probe, sentence, nil}, dialer |> drop_pending(ref) |> release(dial)}
  end

  defp probed(dialer, %{node: node, asks: {:why, took, at, question}} = probe, answer) do
    answer = with {:ok, found} <- answer, do: {:ok, Handshake.read(found, Atom.to_string(node))}

    case Refusal.result(node, answer, took, SetUps.ended(node, at)) do
      {:over_tls, it} -> {:pending, ask_over_tls(dialer, it, question, %{probe | asks: {:over_tls, took}})}
      result -> {:dialled, node, result, dialer}
    end
  end

  defp probed(dialer, %{node: node, asks: {:over_tls, took}}, answer),
    do: {:dialled, node, Refusal.result(node, answer, took, {:ended, :unknown}), dialer}

  defp probed(dialer, %{node: node, asks: asks, unless: unless} = probe, {:ok, found})
       when asks in [:whether, :remembered] do
    case Handshake.read(found, nil) do
      %{name: name, creation: creation} = it when {name, creation} == unless ->
        {:dialled, node, if(asks == :whether, do: :same, else: Refusal.again(it)), dialer}

      # It has no time just now. If it is another one, that shows the next time.
      %{verdict: slow} when slow in [:busy, :silent] and asks == :whether ->
        {:dialled, node, :same, dialer}

      %{name: nil} = it ->
        {:dialled, node, {:error, :probe, it.message, nil}, dialer}

      _another ->
        probed(dialer, %{probe | asks: :probe}, :ok)
    end
  end

  defp probed(dialer, %{node: node}, {:error, {_kind, sentence}}),
    do: {:dialled, node, {:error, :probe, sentence, nil}, dialer}

  defp ready(dialer, node), do: fill_slots(%{dialer | ready: :queue.in(node, dialer.ready)})

  defp fill_slots(%{slots: taken, concurrency: most} = dialer) when taken >= most, do: dialer

  defp fill_slots(dialer) do
    case :queue.out(dialer.ready) do
      {{:value, node}, ready} -> %{dialer | ready: ready} |> dial(node) |> fill_slots()
      {:empty, _} -> dialer
    end
  end

  defp dial(dialer, node) do
    call = BoundedCall.start(fn -> Connector.connect(dialer.connector, node) end, @dial_timeout)
    timer = Process.send_after(self(), {:slow, call.ref}, @slow_after)
    dial = %{node: node, call: call, at: now(), timer: timer, slot?: true}
    put_pending(%{dialer | slots: dialer.slots + 1}, call.ref, dial)
  end

  defp dialled(dialer, ref, dial, :slow) do
    dialer = put_pending(dialer, ref, %{dial | slot?: false})
    dialer = fill_slots(%{dialer | slots: dialer.slots - 1, slow: dialer.slow + 1})
    probe? = dialer.spares? and Connector.probes?(dialer.connector)
    {:pending, if(probe?, do: probe(dialer, dial.node, :slow), else: dialer)}
  end

  defp dialled(dialer, ref, dial, message) do
    case BoundedCall.handle(dial.call, message) do
      :pending ->
        {:pending, dialer}

      result ->
        _ = Process.cancel_timer(dial.timer)
        dialer |> drop_pending(ref) |> drop_probe(dial) |> release(dial) |> fill_slots() |> ended(dial, result)
    end
  end

  defp drop_probe(dialer, %{node: node}) do
    case Enum.find(dialer.pending, &match?({_ref, %{node: ^node, asks: :slow}}, &1)) do
      {ref, %{request: request}} ->
        :ok = Native.finished(request)
        drop_pending(dialer, ref)

      nil ->
        dialer
    end
  end

  defp release(dialer, %{slot?: true}), do: %{dialer | slots: dialer.slots - 1}
  defp release(dialer, _slow), do: %{dialer | slow: dialer.slow - 1}

  defp ended(dialer, %{node: node, at: at}, result) do
    # The reason may be anything from a closed port to a different cookie.
    if result == {:ok, false} and Connector.probes?(dialer.connector),
      do: failed(dialer, node, at, SetUps.ended(node, at)),
      else: {:dialled, node, result(result), dialer}
  end

  defp failed(dialer, node, at, ended) do
    took = now() - at

    case Refusal.without_asking(node, took, ended) do
      :unknown ->
        question = Refusal.question(node, ended, @probe_timeout)
        {:pending, ask(dialer, node, question, asks: {:why, took, at, question})}

      result ->
        {:dialled, node, result, dialer}
    end
  end

  defp result({:ok, true}), do: :ok

  defp result(result) do
    sentence =
      case result do
        {:ok, :ignored} -> "this node is not distributed"
        {:ok, other} -> "the connect function returned #{inspect(other)}"
        {:error, reason} -> "the connect function failed: #{reason}"
      end

    {:error, :dial, sentence, nil}
  end

  defp put_pending(dialer, ref, what), do: %{dialer | pending: Map.put(dialer.pending, ref, what)}
  defp drop_pending(dialer, ref), do: %{dialer | pending: Map.delete(dialer.pending, ref)}

  defp now, do: System.monotonic_time(:millisecond)

  # A node is either pending or ready, once; there are a few hundred at most.
  defp under_way(dialer), do: map_size(dialer.pending) + :queue.len(dialer.ready)

  defp under_way?(dialer, node) do
    :queue.member(node, dialer.ready) or
      Enum.any?(dialer.pending, fn {_ref, pending} -> pending.node == node end)
  end
end
