defmodule Caravan.Application do
  @moduledoc false

  use Application

  @impl true
  def start(_type, _args) do
    # With -epmd_module the library is loaded already; a node that still uses epmd loads it here.
    with :ok <- Caravan.Native.load() do
      :ok = Caravan.Link.Drain.stay()

      children = [
        Caravan.Topology.Registry,
        Caravan.Link.NodeServer,
        Caravan.Link.SetUps,
        Caravan.Broadcast.Subscribers
      ]

      Supervisor.start_link(children, strategy: :one_for_one, name: Caravan.Application)
    end
  end

  @impl true
  def prep_stop(state) do
    :ok = Caravan.drain()
    state
  end
end
