defmodule Hello do
  @moduledoc "Finds its peers by DNS, and greets the first of them."

  use Application

  @impl true
  def start(_type, _args) do
    topology = [
      query: "_hello._tcp.test",
      nameservers: [System.get_env("HELLO_DNS", "127.0.0.1:5353")],
      poll_interval: 1_000
    ]

    children = [{Caravan, topologies: [hello: topology]}, {Task, &greet/0}]
    Supervisor.start_link(children, strategy: :one_for_one)
  end

  defp greet do
    {:ok, [peer | _]} = Caravan.await(:hello, min: 1, timeout: 60_000)
    IO.puts("#{node()} says hello to #{peer}")
  end
end
