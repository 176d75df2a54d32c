defmodule Caravan.TopologyCase do
  @moduledoc """
  A topology for each test, with a DNS server and a mesh of its own. The events of the topology come to
  the test process.
  """

  use ExUnit.CaseTemplate
  alias Caravan.{DnsServer, FakeMesh, Topology}

  @wait 5_000

  using do
    quote do
      import Caravan.TopologyCase
      import ExUnit.CaptureLog
      alias Caravan.{DnsServer, FakeMesh, Topology}

      @moduletag :capture_log
      @wait unquote(@wait)
    end
  end

  setup context do
    name = :"topology_#{:erlang.phash2(context.test)}"
    :telemetry.listen(name)
    server = DnsServer.start()
    %{name: name, server: server, mesh: FakeMesh.start_link()}
  end

  def start(context, options \\ [], functions \\ nil) do
    options =
      Keyword.merge(
        [
          query: "app.test",
          node_sname: "app",
          nameservers: [context.server.address],
          timeout: 1_000,
          poll_interval: 100
        ],
        options
      )

    # nil leaves an option of these out.
    options = Enum.reject(options, &match?({_option, nil}, &1))
    spec = %{topology: context.name, config: options}
    spec = Map.merge(spec, functions || FakeMesh.functions(context.mesh))
    start_supervised!({Topology, spec}, id: context.name)
  end

  def publish(context, ports), do: DnsServer.publish(context.server, "app.test", ports)
  def node_on(port), do: :"app-#{port}@localhost"
  def status(context), do: Caravan.status()[context.name]
  def peer(context, node), do: Enum.find(status(context).peers, &(&1.node == node))

  @doc "Waits for `event` with metadata that `fits`; drops what comes before."
  def await_event(event, fits \\ fn _ -> true end) do
    assert_receive {[:caravan | ^event], _, metadata}, @wait
    if fits.(metadata), do: metadata, else: await_event(event, fits)
  end

  def drop_lookups do
    receive do
      {[:caravan, :lookup, _], _, _} -> drop_lookups()
    after
      0 -> :ok
    end
  end
end
