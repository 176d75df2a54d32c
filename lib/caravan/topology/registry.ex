defmodule Caravan.Topology.Registry do
  @moduledoc false
  # The topologies that run on this node, by name, and how to call them.

  alias Caravan.Error

  @registry __MODULE__

  @spec child_spec(term) :: Supervisor.child_spec()
  def child_spec(_), do: Registry.child_spec(keys: :unique, name: @registry)

  @spec via(atom) :: GenServer.name()
  def via(name), do: {:via, Registry, {@registry, name}}

  @doc "Registers the calling process as the topology `name`. Raises if there is no registry."
  @spec register(atom) :: {:ok, pid} | {:error, {:already_registered, pid}}
  def register(name), do: Registry.register(@registry, name, nil)

  @spec registered?(atom) :: boolean
  def registered?(name) do
    Registry.lookup(@registry, name) != []
  rescue
    # There is no registry.
    ArgumentError -> false
  end

  @spec names() :: [atom]
  def names, do: registry(&Registry.select(&1, [{{:"$1", :_, :_}, [], [:"$1"]}]))

  @doc "Raises if the application isn't running. Functions that need it call this, or `not_started!/0` when they fail."
  @spec started!() :: :ok
  def started!, do: if(Process.whereis(@registry), do: :ok, else: not_started!())

  @spec not_started!() :: no_return
  def not_started! do
    raise Error.new(
            {:not_started,
             "the application :caravan is not running on this node; start it with " <>
               "Application.ensure_all_started(:caravan); `mix run --no-start` and `bin/app eval` don't start it"}
          )
  end

  @doc "Calls the topology of that name, and raises if there is none."
  @spec call(atom, term, timeout) :: term
  def call(name, request, timeout \\ 5_000) do
    case registry(&Registry.lookup(&1, name)) do
      [{pid, _}] ->
        GenServer.call(pid, request, timeout)

      [] ->
        unknown!(name)
    end
  end

  @doc "Raises if there is no topology of that name."
  @spec running!(atom) :: :ok
  def running!(name), do: if(registry(&Registry.lookup(&1, name)) == [], do: unknown!(name), else: :ok)

  defp unknown!(name), do: raise(unknown(name, names()))

  @doc "What to say of a topology that isn't among those that run."
  @spec unknown(atom, [atom]) :: Error.t()
  def unknown(name, running) do
    cure =
      case running |> Enum.sort() |> Enum.map_join(", ", &inspect/1) do
        "" -> "none does: start one in your supervision tree, as {Caravan, topologies: [...]}"
        names -> "expected one of [#{names}]"
      end

    Error.new({:unknown_topology, "no topology #{inspect(name)} runs on this node; #{cure}"})
  end

  @doc "Calls all of them at once and waits `within` ms; one that exits meanwhile is left out."
  @spec call_all(term, pos_integer) :: %{atom => {:ok, term} | :timeout}
  def call_all(request, within) do
    deadline = {:abs, System.monotonic_time(:millisecond) + within}
    asked = for name <- names(), do: {name, :gen_server.send_request(via(name), request)}

    for {name, id} <- asked,
        answer = answer(:gen_server.receive_response(id, deadline)),
        into: %{},
        do: {name, answer}
  end

  @doc "Casts to all of them; to none while there is no registry."
  @spec cast_all(term) :: :ok
  def cast_all(message) do
    Enum.each(names(), &GenServer.cast(via(&1), message))
  rescue
    Error -> :ok
  end

  # A missing registry raises ArgumentError.
  defp registry(fun) do
    fun.(@registry)
  rescue
    ArgumentError -> not_started!()
  end

  defp answer({:reply, answer}), do: {:ok, answer}
  defp answer(:timeout), do: :timeout
  defp answer({:error, {_reason, _topology}}), do: nil
end
