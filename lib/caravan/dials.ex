defmodule Caravan.Dials do
  @moduledoc false
  # The dials under way. Each is a probe first, one TCP connect that the native library makes, so that a
  # dead peer costs no process, no log line of the kernel's and no place among the dials; then the
  # connect function in a process of its own. Caravan.Gate lets that pass: the probe's answer still counts.

  alias Caravan.{Links, Native}

  @probe_timeout 2_000
  @probe_grace 1_000
  # The kernel gives a handshake 7 s.
  @dial_timeout 15_000
  # Probes under way for each dial that may be.
  @probes 4

  @enforce_keys [:links, :concurrency]
  defstruct [
    :links,
    :concurrency,
    # What is under way, by the reference its message will carry.
    pending: %{},
    # Probed, and waiting for one of the dials to end.
    ready: :queue.new(),
    dialling: 0,
    nodes: MapSet.new()
  ]

  @type t :: %__MODULE__{
          links: Links.t(),
          concurrency: pos_integer,
          pending: %{reference => {:probe | pid, node, reference}},
          ready: :queue.queue(node),
          dialling: non_neg_integer,
          nodes: MapSet.t(node)
        }

  @type result :: :ok | {:error, :probe | :dial, String.t()}

  @spec new(Links.t(), pos_integer) :: t
  def new(links, concurrency), do: %__MODULE__{links: links, concurrency: concurrency}

  @doc "How many more may be started."
  @spec free(t) :: non_neg_integer
  def free(dials) do
    limit =
      if Links.probes?(dials.links), do: @probes * dials.concurrency, else: dials.concurrency

    max(0, limit - MapSet.size(dials.nodes))
  end

  @doc """
  Starts to dial `node`, unless that is under way already. `missed?`: it was lost or not reached since it was last up,
  so it may have been stopped, and gets a moment to itself before the dial.
  """
  @spec start(t, node, boolean) :: t
  def start(dials, node, missed?) do
    cond do
      node in dials.nodes -> dials
      Links.probes?(dials.links) -> dials |> enter(node) |> probe(node, missed?)
      true -> dials |> enter(node) |> ready(node)
    end
  end

  @doc "Takes a message that carries `ref`, if it belongs to a dial."
  @spec answer(t, reference, term) :: {:dialled, node, result, t} | {:pending, t} | :unknown
  def answer(dials, ref, message) do
    case Map.fetch(dials.pending, ref) do
      {:ok, {:probe, node, timer}} -> probed(drop(dials, ref, timer), node, message)
      {:ok, {pid, node, timer}} -> dialled(dials, ref, {pid, node, timer}, message)
      :error -> :unknown
    end
  end

  @doc "Ends all dials; nothing is heard of them any more."
  @spec stop(t) :: t
  def stop(dials) do
    for {ref, {pid, _, timer}} <- dials.pending do
      Process.cancel_timer(timer)

      if is_pid(pid) do
        Process.demonitor(ref, [:flush])
        Process.exit(pid, :kill)
      end
    end

    new(dials.links, dials.concurrency)
  end

  defp probe(dials, node, missed?) do
    ref = make_ref()
    purpose = if missed?, do: :redial, else: :dial

    with {:error, _} = error <- Native.probe(ref, Atom.to_string(node), @probe_timeout, purpose),
         do: send(self(), {ref, error})

    pend(dials, ref, :probe, node, @probe_timeout + @probe_grace)
  end

  defp probed(dials, node, :ok), do: {:pending, ready(dials, node)}

  defp probed(dials, node, {:error, {_kind, sentence}}),
    do: {:dialled, node, {:error, :probe, sentence}, leave(dials, node)}

  defp probed(dials, node, :overdue) do
    sentence =
      "the probe of its port gave no answer; this is a fault in Caravan, please report it"

    {:dialled, node, {:error, :probe, sentence}, leave(dials, node)}
  end

  defp ready(dials, node), do: fill(%{dials | ready: :queue.in(node, dials.ready)})

  defp fill(%{dialling: count, concurrency: most} = dials) when count >= most, do: dials

  defp fill(dials) do
    case :queue.out(dials.ready) do
      {{:value, node}, ready} -> %{dials | ready: ready} |> dial(node) |> fill()
      {:empty, _} -> dials
    end
  end

  # Linked, so that it ends with the topology; the result is the reason it ends with, so that a result
  # and a crash arrive in the same way.
  defp dial(dials, node) do
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

    pend(%{dials | dialling: dials.dialling + 1}, ref, pid, node, @dial_timeout)
  end

  # Its end arrives as a message, as any other.
  defp dialled(dials, _ref, {pid, _node, _timer}, :overdue) do
    Process.exit(pid, :kill)
    {:pending, dials}
  end

  defp dialled(dials, ref, {_pid, node, timer}, {:ended, reason}) do
    dials = %{drop(dials, ref, timer) | dialling: dials.dialling - 1}
    {:dialled, node, result(reason, node, dials), dials |> leave(node) |> fill()}
  end

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

  defp pend(dials, ref, what, node, timeout) do
    timer = Process.send_after(self(), {:overdue, ref}, timeout)
    %{dials | pending: Map.put(dials.pending, ref, {what, node, timer})}
  end

  defp drop(dials, ref, timer) do
    Process.cancel_timer(timer)
    %{dials | pending: Map.delete(dials.pending, ref)}
  end

  defp enter(dials, node), do: %{dials | nodes: MapSet.put(dials.nodes, node)}
  defp leave(dials, node), do: %{dials | nodes: MapSet.delete(dials.nodes, node)}
end
