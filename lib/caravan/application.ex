defmodule Caravan.Application do
  @moduledoc false

  use Application

  @impl true
  def start(_type, _args) do
    # Started by -epmd_module it is loaded already; a node that still runs epmd gets it here.
    with :ok <- Caravan.Native.load() do
      :ok = Caravan.Link.Drain.stay()

      Supervisor.start_link([Caravan.Topology.Registry, Caravan.Link.NodeServer],
        strategy: :one_for_one,
        name: Caravan.Application
      )
    end
  end

  @impl true
  def prep_stop(state) do
    :ok = Caravan.drain()
    state
  end
end
