defmodule MyApp.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _args) do
    children = [
      {Caravan, topologies: Application.fetch_env!(:my_app, :topologies)},
      {Task, &say_hello/0}
    ]

    Supervisor.start_link(children, strategy: :one_for_one, name: MyApp.Supervisor)
  end

  defp say_hello do
    {:ok, peers} = Caravan.await(:my_app, min: 2, timeout: 60_000)
    IO.puts("#{node()} says hello to #{Enum.join(peers, " and ")}")
  end
end
