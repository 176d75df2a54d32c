# The DNS server of the bench, `caravan_dns`: it ends with this VM. Anyone may command it.

defmodule Bench.Mesh.Dns do
  use GenServer

  @deadline 20_000

  def start_link, do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @doc "Runs commands; see `caravan_dns --help`."
  def run(commands) do
    :ok = GenServer.call(__MODULE__, {:run, List.wrap(commands)}, :infinity)
  end

  @impl true
  def init(nil) do
    program = System.fetch_env!("CARAVAN_DNS")
    options = [:binary, :exit_status, line: 10_000, args: ["--listen", "127.0.0.53:53"]]
    port = Port.open({:spawn_executable, program}, options)
    await(port, "ready")
    {:ok, port}
  end

  @impl true
  def handle_call({:run, commands}, _from, port) do
    Port.command(port, Enum.map(commands, &[&1, ?\n]))
    Enum.each(commands, fn _ -> await(port, "ok") end)
    {:reply, :ok, port}
  end

  defp await(port, awaited) do
    receive do
      {^port, {:data, {:eol, ^awaited}}} -> :ok
      {^port, {:data, {:eol, "listening " <> _}}} -> await(port, awaited)
      {^port, {:data, {:eol, line}}} -> raise "caravan_dns said #{line}, awaiting #{awaited}"
      {^port, {:exit_status, status}} -> raise "caravan_dns ended with #{status}"
    after
      @deadline -> raise "caravan_dns is silent"
    end
  end
end
