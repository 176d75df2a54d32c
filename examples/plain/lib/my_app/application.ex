defmodule MyApp.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _args) do
    topology = [
      query: "_my-app._tcp.example.org",
      # The one of bin/example. Without this line the system's servers are queried.
      nameservers: [System.get_env("NAMESERVER", "127.0.0.1:5353")]
    ]

    children = [
      {Caravan, topologies: [my_app: topology]},
      {Task, &say_hello/0}
    ]

    Supervisor.start_link(children, strategy: :one_for_one, name: MyApp.Supervisor)
  end

  defp say_hello do
    {:ok, peers} = Caravan.await(:my_app, min: 2, timeout: 60_000)
    IO.puts("#{node()} says hello to #{Enum.join(peers, " and ")}")
  end
end
