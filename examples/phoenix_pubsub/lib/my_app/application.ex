defmodule MyApp.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _args) do
    children = [
      # First the topology, to whose nodes the PubSub broadcasts.
      {Caravan, topologies: Application.fetch_env!(:my_app, :topologies)},
      {Phoenix.PubSub, name: MyApp.PubSub, adapter: Caravan.PubSub, topology: :my_app},
      MyApp.Greeter
    ]

    Supervisor.start_link(children, strategy: :one_for_one, name: MyApp.Supervisor)
  end
end
