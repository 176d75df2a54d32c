defmodule Caravan.Dials do
  @moduledoc false
  # The dials under way.
  #
  # A new peer is dialled straight away: most are there. Whoever was lost or not reached is probed first, by one TCP
  # connect that the native library makes, so that a dead peer costs no process and no line of the kernel's log. So is
  # everyone who would have to wait for a place among the dials anyway.
  #
  # Where a dial fails the node there is asked what it calls itself: that tells why, and whether a peer that refused a
  # handshake is still the same node. Dialling it again would only fill its log.
  #
  # Each dial calls the connect function in a process of its own. One that takes more than a moment keeps going, but gives
  # up its place, so that addresses where nobody answers hold nobody else up.

  alias Caravan.{BoundedCall, Gate, Links, Native, Refusal}

  @probe_timeout 2_000
  # A dial that takes longer than this makes room for the next one.
  @moment 250
  # The kernel gives a handshake 7 s.
  @dial_timeout 15_000
  # Probes and dials under way for each place among the dials, and in all: half of the probes that the library takes from
  # all topologies together.
  @under_way 4
  @most 512

  @enforce_keys [:links, :concurrency]
  defstruct [
    :links,
    :concurrency,
    # What is under way, by the reference its message will carry.
    pending: %{},
    # Probed, or not to be probed, and waiting for a place among the dials.
    ready: :queue.new(),
    # Places taken, and dials that went straight to the peer, whether they still have a place or not.
    places: 0,
    direct: 0,
    nodes: MapSet.new()
  ]

  @type t :: %__MODULE__{
          links: Links.t(),
          concurrency: pos_integer,
          pending: %{reference => probe | dial},
          ready: :queue.queue(node),
          places: non_neg_integer,
          direct: non_neg_integer,
          nodes: MapSet.t(node)
        }

  # What is asked: `:probe`; `:why`, after a dial that took so many ms; `:whether` it is another node than `unless`, which
  # has refused a handshake.
  @typep probe :: %{node: node, asks: :probe | {:why, integer} | :whether, unless: identity | nil}
  @typep dial :: %{
           node: node,
           call: BoundedCall.t(),
           at: integer,
           timer: reference,
           place?: boolean,
           direct?: boolean
         }

  @typedoc "What a node calls itself, and its creation: another one in each of its lives."
  @type identity :: {name :: String.t(), creation :: non_neg_integer}

  @typedoc "Who refused a handshake; nil where it was nobody."
  @type refuser :: identity | :unknown | nil

  @typedoc "`:same`: whoever refused the last handshake is there still."
  @type result :: :ok | :self | :same | {:error, :probe | :dial, String.t(), refuser}

  @spec new(Links.t(), pos_integer) :: t
  def new(links, concurrency), do: %__MODULE__{links: links, concurrency: concurrency}

  @doc "How many more may be started."
  @spec free(t) :: non_neg_integer
  def free(dials) do
    most = min(@under_way * dials.concurrency, @most)
    max(0, max(most, dials.concurrency) - MapSet.size(dials.nodes))
  end

  @doc """
  Starts to dial `node`, unless that is under way already. `missed?`: it was lost or not reached since it was up.
  `unless`: not, if it is this one still.
  """
  @spec start(t, node, boolean, identity | nil) :: t
  def start(dials, node, missed?, unless) do
    cond do
      node in dials.nodes -> dials
      not Links.probes?(dials.links) -> dials |> enter(node) |> ready(node)
      unless -> dials |> enter(node) |> identify(node, :whether, unless)
      missed? or Gate.holds?(node) or full?(dials) -> dials |> enter(node) |> probe(node)
      true -> dials |> enter(node) |> dial(node, true)
    end
  end

  defp full?(dials),
    do: dials.places >= dials.concurrency or dials.direct >= dials.concurrency

  @doc "Takes a message that carries `ref`, if it belongs to a dial."
  @spec answer(t, reference, term) :: {:dialled, node, result, t} | {:pending, t} | :unknown
  def answer(dials, ref, message) do
    case Map.fetch(dials.pending, ref) do
      {:ok, %{asks: _} = probe} -> probed(forget(dials, ref), probe, message)
      {:ok, dial} -> dialled(dials, ref, dial, message)
      :error -> :unknown
    end
  end

  @doc "Ends all dials; nothing is heard of them any more."
  @spec stop(t) :: t
  def stop(dials) do
    for {_ref, %{call: call, timer: timer}} <- dials.pending do
      _ = Process.cancel_timer(timer)
      BoundedCall.stop(call)
    end

    new(dials.links, dials.concurrency)
  end

  # The library answers each question once, within the time that it is given.
  defp probe(dials, node) do
    ref = make_ref()
    purpose = if Gate.holds?(node), do: :redial, else: :dial
    asked = Native.probe(ref, Atom.to_string(node), @probe_timeout, purpose)
    asked(dials, ref, asked, %{node: node, asks: :probe, unless: nil})
  end

  defp identify(dials, node, asks, unless) do
    ref = make_ref()
    asked = Native.identify(ref, Atom.to_string(node), Atom.to_string(node()), @probe_timeout)
    asked(dials, ref, asked, %{node: node, asks: asks, unless: unless})
  end

  defp asked(dials, ref, asked, probe) do
    with {:error, _} = error <- asked, do: send(self(), {ref, error})
    pend(dials, ref, probe)
  end

  defp probed(dials, %{node: node, asks: :probe}, :ok), do: {:pending, ready(dials, node)}

  defp probed(dials, %{node: node, asks: :whether, unless: identity}, {:ok, identity}),
    do: {:dialled, node, :same, leave(dials, node)}

  defp probed(dials, %{node: node, asks: :whether}, {:ok, _another}),
    do: probed(dials, %{node: node, asks: :probe}, :ok)

  defp probed(dials, %{node: node, asks: {:why, took}}, answer),
    do: {:dialled, node, Refusal.result(node, answer, took), leave(dials, node)}

  defp probed(dials, %{node: node}, {:error, {_kind, sentence}}),
    do: {:dialled, node, {:error, :probe, sentence, nil}, leave(dials, node)}

  defp ready(dials, node), do: fill(%{dials | ready: :queue.in(node, dials.ready)})

  defp fill(%{places: taken, concurrency: most} = dials) when taken >= most, do: dials

  defp fill(dials) do
    case :queue.out(dials.ready) do
      {{:value, node}, ready} -> %{dials | ready: ready} |> dial(node, false) |> fill()
      {:empty, _} -> dials
    end
  end

  defp dial(dials, node, direct?) do
    call = BoundedCall.start(fn -> Links.connect(dials.links, node) end, @dial_timeout)
    timer = Process.send_after(self(), {:slow, call.ref}, @moment)
    dial = %{node: node, call: call, at: now(), timer: timer, place?: true, direct?: direct?}
    direct = if direct?, do: dials.direct + 1, else: dials.direct
    pend(%{dials | places: dials.places + 1, direct: direct}, call.ref, dial)
  end

  defp dialled(dials, ref, dial, :slow) do
    dials = %{dials | places: dials.places - 1}
    {:pending, fill(pend(dials, ref, %{dial | place?: false}))}
  end

  defp dialled(dials, ref, dial, message) do
    case BoundedCall.answer(dial.call, message) do
      :pending ->
        {:pending, dials}

      result ->
        _ = Process.cancel_timer(dial.timer)
        places = if dial.place?, do: dials.places - 1, else: dials.places
        direct = if dial.direct?, do: dials.direct - 1, else: dials.direct
        dials = fill(forget(%{dials | places: places, direct: direct}, ref))
        ended(dials, dial, result)
    end
  end

  defp ended(dials, %{node: node, at: at}, result) do
    # This may be anything from a closed port to another cookie.
    if result == {:ok, false} and Links.probes?(dials.links),
      do: {:pending, identify(dials, node, {:why, now() - at}, nil)},
      else: {:dialled, node, result(result), leave(dials, node)}
  end

  defp result({:ok, true}), do: :ok

  defp result(result) do
    sentence =
      case result do
        {:ok, :ignored} -> "this node is not distributed"
        {:ok, other} -> "the connect function answered #{inspect(other)}"
        {:error, reason} -> "the connect function failed: #{reason}"
      end

    {:error, :dial, sentence, nil}
  end

  defp pend(dials, ref, what), do: %{dials | pending: Map.put(dials.pending, ref, what)}
  defp forget(dials, ref), do: %{dials | pending: Map.delete(dials.pending, ref)}

  defp now, do: System.monotonic_time(:millisecond)

  defp enter(dials, node), do: %{dials | nodes: MapSet.put(dials.nodes, node)}
  defp leave(dials, node), do: %{dials | nodes: MapSet.delete(dials.nodes, node)}
end
