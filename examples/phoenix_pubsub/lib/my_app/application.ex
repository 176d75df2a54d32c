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
      # The topology first: its nodes get what the PubSub broadcasts.
      {Caravan, topologies: [my_app: topology]},
      {Phoenix.PubSub, name: MyApp.PubSub, adapter: Caravan.PubSub, topology: :my_app},
      MyApp.Greeter
    ]

    Supervisor.start_link(children, strategy: :one_for_one, name: MyApp.Supervisor)
  end
end
