defmodule Caravan.Topology.Calls do
  @moduledoc false
  # The calls of `list_nodes` and `disconnect` under way. Both may be custom functions, so neither can be allowed to
  # block the topology. At most one listing at a time, and one disconnect per node.

  alias Caravan.Topology.{BoundedCall, Connector}

  @timeout 5_000

  @enforce_keys [:connector]
  defstruct [:connector, pending: %{}, again?: false]

  @typep purpose :: {:list, asked_at :: integer} | {:disconnect, node}

  @type t :: %__MODULE__{
          connector: Connector.t(),
          pending: %{reference => {purpose, BoundedCall.t()}},
          # List once more, since something happened in the meantime.
          again?: boolean
        }

  @spec new(Connector.t()) :: t
  def new(connector), do: %__MODULE__{connector: connector}

  @doc "Lists the linked nodes, now or as soon as the current listing has ended."
  @spec list(t) :: t
  def list(calls) do
    if Enum.any?(calls.pending, &match?({_, {{:list, _}, _}}, &1)),
      do: %{calls | again?: true},
      else: start(calls, {:list, now()}, fn -> Connector.list!(calls.connector) end)
  end

  @doc "Disconnects `node`, unless that is under way."
  @spec disconnect(t, node) :: t
  def disconnect(calls, node) do
    if Enum.any?(calls.pending, &match?({_, {{:disconnect, ^node}, _}}, &1)),
      do: calls,
      else: start(calls, {:disconnect, node}, fn -> Connector.disconnect(calls.connector, node) end)
  end

  @doc "Handles a message that carries `ref`, if it belongs to one of the calls."
  @spec handle(t, reference, term) ::
          {:listed, BoundedCall.result(), asked_at :: integer, t}
          | {:disconnected, node, BoundedCall.result(), t}
          | {:pending, t}
          | :unknown
  def handle(calls, ref, message) do
    with {:ok, {purpose, call}} <- Map.fetch(calls.pending, ref),
         result when result != :pending <- BoundedCall.handle(call, message) do
      ended(%{calls | pending: Map.delete(calls.pending, ref)}, purpose, result)
    else
      :error -> :unknown
      :pending -> {:pending, calls}
    end
  end

  defp ended(calls, {:list, asked_at}, result) do
    again = if calls.again?, do: list(%{calls | again?: false}), else: calls
    {:listed, result, asked_at, again}
  end

  defp ended(calls, {:disconnect, node}, result), do: {:disconnected, node, result, calls}

  defp start(calls, purpose, fun) do
    call = BoundedCall.start(fun, @timeout)
    %{calls | pending: Map.put(calls.pending, call.ref, {purpose, call})}
  end

  defp now, do: System.monotonic_time(:millisecond)
end
