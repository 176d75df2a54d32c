# What each node of bin/demo runs: the topology, and a connection to the demo over loopback. The node exits when that
# closes, so that none outlives the demo, unless it was told to stay.

{:ok, _} = Application.ensure_all_started(:caravan)

defmodule DemoNode do
  def run(port, nameserver, query) do
    options = [packet: :line, active: true, mode: :binary]
    {:ok, socket} = :gen_tcp.connect({127, 0, 0, 1}, port, options)

    tell(socket, "hello #{node()} #{System.pid()}")
    :ok = :net_kernel.monitor_nodes(true)
    # A peer may have been faster than this script.
    for peer <- Node.list(), do: tell(socket, "up #{peer}")

    topology = [
      query: query,
      nameservers: [nameserver],
      node_name: "{sname}-{port}@{ip}",
      poll_interval: 1_000,
      timeout: 800
    ]

    {:ok, _} =
      Supervisor.start_link([{Caravan, topologies: [demo: topology]}], strategy: :one_for_one)

    loop(socket)
  end

  defp loop(socket) do
    receive do
      {:nodeup, peer} -> tell(socket, "up #{peer}")
      {:nodedown, peer} -> tell(socket, "down #{peer}")
      {:tcp, _, "lookup\n"} -> tell(socket, "lookup #{outcome()}")
      {:tcp, _, "call\n"} -> tell(socket, "called #{Enum.join(answering(), ",")}")
      {:tcp, _, "keep\n"} -> stay(socket)
      {:tcp_closed, _} -> System.halt(0)
      {:tcp_error, _, _} -> System.halt(0)
    end

    loop(socket)
  end

  # The demo exits once it has the answer.
  defp stay(socket) do
    tell(socket, "kept")
    Process.sleep(:infinity)
  end

  defp tell(socket, line) do
    if :gen_tcp.send(socket, [line, ?\n]) != :ok, do: System.halt(0)
  end

  # A link works if a call over it returns.
  defp answering do
    for {:ok, node} <- :erpc.multicall(Node.list(), :erlang, :node, [], 3_000), do: node
  end

  defp outcome do
    [query] = Caravan.status().demo.queries

    case query.outcome do
      :ok -> :ok
      {:error, error} -> error.kind
      nil -> :none
    end
  end
end

DemoNode.run(
  String.to_integer(System.fetch_env!("CARAVAN_DEMO_PORT")),
  System.fetch_env!("CARAVAN_DEMO_NAMESERVER"),
  System.fetch_env!("CARAVAN_DEMO_QUERY")
)
