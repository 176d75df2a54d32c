defmodule Caravan.Application do
  @moduledoc false

  use Application
  require Logger
  alias Caravan.Doctor.Flags

  @impl true
  def start(_type, _args) do
    # With -epmd_module the library is loaded already; a node that still uses epmd loads it here.
    with :ok <- Caravan.Native.load() do
      :ok = Caravan.Link.Drain.stay()
      warn_of_flags(:net_kernel.epmd_module())

      children = [
        Caravan.Topology.Registry,
        Caravan.Link.NodeServer,
        Caravan.Link.SetUps,
        Caravan.Broadcast.Subscribers
      ]

      Supervisor.start_link(children, strategy: :one_for_one, name: Caravan.Application)
    end
  end

  # A release's commands can't tell: without the flags they don't reach the node, whose doctor would know.
  defp warn_of_flags(:caravan_epmd) do
    for %{verdict: :fault} = finding <- Flags.findings(Flags.release(), :node),
        do: Logger.warning("[caravan] #{finding.message}; #{finding.cure}")

    :ok
  end

  defp warn_of_flags(_another), do: :ok

  @impl true
  def prep_stop(state) do
    :ok = Caravan.drain()
    state
  end
end
