defmodule Caravan.Topologies do
  @moduledoc false
  # The topologies that run on this node, by name, and how to speak to them.

  alias Caravan.Error

  @registry Caravan.Registry

  @spec child_spec(term) :: Supervisor.child_spec()
  def child_spec(_), do: Registry.child_spec(keys: :unique, name: @registry)

  @spec via(atom) :: GenServer.name()
  def via(name), do: {:via, Registry, {@registry, name}}

  @doc "Enters the calling process as the topology `name`. Raises without a registry."
  @spec enlist(atom) :: {:ok, pid} | {:error, {:already_registered, pid}}
  def enlist(name), do: Registry.register(@registry, name, nil)

  @spec enlisted?(atom) :: boolean
  def enlisted?(name) do
    Registry.lookup(@registry, name) != []
  rescue
    # There is no registry.
    ArgumentError -> false
  end

  @spec names() :: [atom]
  def names, do: Registry.select(@registry, [{{:"$1", :_, :_}, [], [:"$1"]}])

  @doc "Raises where there is no topology of that name."
  @spec call(atom, term, timeout) :: term
  def call(name, request, timeout \\ 5_000) do
    case Registry.lookup(@registry, name) do
      [{pid, _}] ->
        GenServer.call(pid, request, timeout)

      [] ->
        running = names() |> Enum.sort() |> Enum.map_join(", ", &inspect/1)

        raise Error.new(
                {:unknown_topology,
                 "no topology #{inspect(name)} runs on this node: expected one of [#{running}]"}
              )
    end
  end

  @doc "Asks all of them; one that ends just then is left out."
  @spec call_all(term) :: %{atom => term}
  def call_all(request) do
    for name <- names(), {:ok, answer} <- [try_call(name, request)], into: %{}, do: {name, answer}
  end

  @spec cast_all(term) :: :ok
  def cast_all(message), do: Enum.each(names(), &GenServer.cast(via(&1), message))

  defp try_call(name, request) do
    {:ok, GenServer.call(via(name), request)}
  catch
    :exit, _ -> :error
  end
end
