defmodule Caravan.Dials do
  @moduledoc false
  # The dials under way.
  #
  # A new peer is dialled straight away: most are there. Whoever was lost or not reached is probed first, by one TCP
  # connect that the native library makes, so that a dead peer costs no process and no line of the kernel's log. So is
  # everyone who would have to wait for a place among the dials anyway. A dial that fails without a probe is followed by
  # one, which tells why.
  #
  # Each dial calls the connect function in a process of its own. One that takes more than a moment keeps going, but gives
  # up its place, so that addresses where nobody answers hold nobody else up.

  alias Caravan.{Gate, Links, Native}

  @probe_timeout 2_000
  # A dial that takes longer than this makes room for the next one.
  @moment 250
  # The kernel gives a handshake 7 s.
  @dial_timeout 15_000
  # Probes and dials under way for each place among the dials.
  @under_way 4

  @enforce_keys [:links, :concurrency]
  defstruct [
    :links,
    :concurrency,
    # What is under way, by the reference its message will carry.
    pending: %{},
    # Probed, or nothing to probe, and waiting for a place among the dials.
    ready: :queue.new(),
    # Places taken, and dials that went straight to the peer, whether they have a place still or not.
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

  # `then`: what the answer is for.
  @typep probe :: %{node: node, then: :dial | :tell}
  @typep dial :: %{
           node: node,
           pid: pid,
           timer: reference,
           place?: boolean,
           direct?: boolean
         }

  @type result :: :ok | {:error, :probe | :dial, String.t()}

  @spec new(Links.t(), pos_integer) :: t
  def new(links, concurrency), do: %__MODULE__{links: links, concurrency: concurrency}

  @doc "How many more may be started."
  @spec free(t) :: non_neg_integer
  def free(dials), do: max(0, @under_way * dials.concurrency - MapSet.size(dials.nodes))

  @doc "Starts to dial `node`, unless that is under way already. `missed?`: it was lost or not reached since it was up."
  @spec start(t, node, boolean) :: t
  def start(dials, node, missed?) do
    cond do
      node in dials.nodes -> dials
      not Links.probes?(dials.links) -> dials |> enter(node) |> ready(node)
      missed? or Gate.holds?(node) or full?(dials) -> dials |> enter(node) |> probe(node, :dial)
      true -> dials |> enter(node) |> dial(node, true)
    end
  end

  defp full?(dials),
    do: dials.places >= dials.concurrency or dials.direct >= dials.concurrency

  @doc "Takes a message that carries `ref`, if it belongs to a dial."
  @spec answer(t, reference, term) :: {:dialled, node, result, t} | {:pending, t} | :unknown
  def answer(dials, ref, message) do
    case Map.fetch(dials.pending, ref) do
      {:ok, %{then: _} = probe} -> probed(forget(dials, ref), probe, message)
      {:ok, dial} -> dialled(dials, ref, dial, message)
      :error -> :unknown
    end
  end

  @doc "Ends all dials; nothing is heard of them any more."
  @spec stop(t) :: t
  def stop(dials) do
    for {ref, %{pid: pid, timer: timer}} <- dials.pending do
      Process.cancel_timer(timer)
      Process.demonitor(ref, [:flush])
      Process.exit(pid, :kill)
    end

    new(dials.links, dials.concurrency)
  end

  # The library answers once, within the time that it is given.
  defp probe(dials, node, then) do
    ref = make_ref()
    purpose = if Gate.holds?(node), do: :redial, else: :dial

    with {:error, _} = error <- Native.probe(ref, Atom.to_string(node), @probe_timeout, purpose),
         do: send(self(), {ref, error})

    pend(dials, ref, %{node: node, then: then})
  end

  defp probed(dials, %{node: node}, {:error, {_kind, sentence}}),
    do: {:dialled, node, {:error, :probe, sentence}, leave(dials, node)}

  defp probed(dials, %{node: node, then: :dial}, :ok), do: {:pending, ready(dials, node)}

  defp probed(dials, %{node: node, then: :tell}, :ok),
    do: {:dialled, node, {:error, :dial, refusal(node, true)}, leave(dials, node)}

  defp ready(dials, node), do: fill(%{dials | ready: :queue.in(node, dials.ready)})

  defp fill(%{places: taken, concurrency: most} = dials) when taken >= most, do: dials

  defp fill(dials) do
    case :queue.out(dials.ready) do
      {{:value, node}, ready} -> %{dials | ready: ready} |> dial(node, false) |> fill()
      {:empty, _} -> dials
    end
  end

  # Linked, so that it ends with the topology; the result is the reason it ends with, so that a result
  # and a crash arrive in the same way.
  defp dial(dials, node, direct?) do
    links = dials.links

    {pid, ref} =
      :erlang.spawn_opt(
        fn ->
          try do
            Links.connect(links, node)
          catch
            kind, reason -> exit({:shutdown, {:raised, Exception.format_banner(kind, reason)}})
          else
            result -> exit({:shutdown, {:answered, result}})
          end
        end,
        [:link, :monitor]
      )

    direct = if direct?, do: dials.direct + 1, else: dials.direct

    pend(%{dials | places: dials.places + 1, direct: direct}, ref, %{
      node: node,
      pid: pid,
      timer: overdue(ref, @moment),
      place?: true,
      direct?: direct?
    })
  end

  defp overdue(ref, ms), do: Process.send_after(self(), {:overdue, ref}, ms)

  defp dialled(dials, ref, %{place?: true} = dial, :overdue) do
    dial = %{dial | place?: false, timer: overdue(ref, @dial_timeout - @moment)}
    {:pending, fill(pend(%{dials | places: dials.places - 1}, ref, dial))}
  end

  # Its end arrives as a message, as any other.
  defp dialled(dials, _ref, %{pid: pid}, :overdue) do
    Process.exit(pid, :kill)
    {:pending, dials}
  end

  defp dialled(dials, ref, dial, {:ended, reason}) do
    Process.cancel_timer(dial.timer)
    places = if dial.place?, do: dials.places - 1, else: dials.places
    direct = if dial.direct?, do: dials.direct - 1, else: dials.direct
    dials = fill(forget(%{dials | places: places, direct: direct}, ref))
    ended(dials, dial, reason)
  end

  # Without a probe this may be anything from a closed port to another cookie.
  defp ended(dials, %{node: node, direct?: true}, {:shutdown, {:answered, false}}),
    do: {:pending, probe(dials, node, :tell)}

  defp ended(dials, %{node: node}, reason),
    do: {:dialled, node, result(reason, node, dials), leave(dials, node)}

  defp result({:shutdown, {:answered, true}}, _node, _dials), do: :ok

  defp result(reason, node, dials) do
    sentence =
      case reason do
        {:shutdown, {:answered, false}} -> refusal(node, Links.probes?(dials.links))
        {:shutdown, {:answered, :ignored}} -> "this node is not distributed"
        {:shutdown, {:answered, other}} -> "the connect function answered #{inspect(other)}"
        {:shutdown, {:raised, banner}} -> "the connect function raised: #{banner}"
        :killed -> "the connect function did not return within #{@dial_timeout} ms"
        other -> "the connect function ended with #{inspect(other)}"
      end

    {:error, :dial, sentence}
  end

  defp refusal(_node, false), do: "the connect function answered false"

  defp refusal(node, true) do
    [_, host] = node |> Atom.to_string() |> String.split("@", parts: 2)

    case {:net_kernel.longnames(), String.contains?(host, [".", ":"])} do
      {true, false} ->
        "this node uses long names (-name), and #{host} has no dot; name all nodes in one way"

      {false, true} ->
        "this node uses short names (-sname), and #{host} has dots; name all nodes in one way"

      _ ->
        "the host answers#{on_port(node)}, but the handshake failed: a different cookie, a node of " <>
          "another name at that address, TLS on one side only, or a node that went down meanwhile"
    end
  end

  defp on_port(node) do
    case Native.dist_port(node) do
      {:ok, port} -> " on port #{port}"
      {:error, _} -> ""
    end
  end

  defp pend(dials, ref, what), do: %{dials | pending: Map.put(dials.pending, ref, what)}
  defp forget(dials, ref), do: %{dials | pending: Map.delete(dials.pending, ref)}

  defp enter(dials, node), do: %{dials | nodes: MapSet.put(dials.nodes, node)}
  defp leave(dials, node), do: %{dials | nodes: MapSet.delete(dials.nodes, node)}
end
