defmodule MyApp.Greeter do
  @moduledoc "Greets all nodes every second, and says who has greeted it for the first time."

  use GenServer

  @topic "greetings"

  def start_link(_options), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @impl true
  def init(nil) do
    :ok = Phoenix.PubSub.subscribe(MyApp.PubSub, @topic)
    {:ok, _timer} = :timer.send_interval(1_000, :greet)
    {:ok, MapSet.new([node()])}
  end

  @impl true
  def handle_info(:greet, known) do
    :ok = Phoenix.PubSub.broadcast(MyApp.PubSub, @topic, {:hello, node()})
    {:noreply, known}
  end

  def handle_info({:hello, from}, known) do
    if from not in known, do: IO.puts("#{node()} is greeted by #{from}")
    {:noreply, MapSet.put(known, from)}
  end
end
