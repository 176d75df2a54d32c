defmodule MyApp.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _args) do
    topologies = Application.fetch_env!(:libcluster, :topologies)

    children = [
      {Cluster.Supervisor, [topologies, [name: MyApp.ClusterSupervisor]]},
      {Task, &say_hello/0}
    ]

    Supervisor.start_link(children, strategy: :one_for_one, name: MyApp.Supervisor)
  end

  # Caravan's functions know libcluster's topologies, too.
  defp say_hello do
    {:ok, peers} = Caravan.await(:my_app, min: 2, timeout: 60_000)
    IO.puts("#{node()} says hello to #{Enum.join(peers, " and ")}")
  end
end
