defmodule Caravan.Statuses do
  @moduledoc "Made-up statuses of topologies, for tests of what shows them."

  alias Caravan.{Error, Status}

  @refused "nothing listens at 10.0.0.7:3434 (connection refused); start the node, or check that it listens on the port in its name"

  def query(fields \\ []) do
    Map.merge(
      %{
        query: "_my-app._tcp.example.org",
        outcome: :ok,
        age: 1_234,
        ttl: 60,
        server: "10.0.0.2:53",
        transport: :udp,
        endpoints: 3,
        unresolved: [],
        incomplete: nil
      },
      Map.new(fields)
    )
  end

  def failed(message), do: query(outcome: {:error, %Error{kind: :timeout, message: message}})

  def peer(node, fields \\ []) do
    peer = %{node: node, state: :connected, pick: true, state_age: 7_400_000, attempts: 0, error: nil, next_dial: nil}
    Map.merge(peer, Map.new(fields))
  end

  @doc "A peer that can't be reached."
  def missing(node, fields \\ []) do
    defaults = [state: :backing_off, state_age: 12_000, attempts: 3, error: @refused, next_dial: 2_345]
    peer(node, Keyword.merge(defaults, fields))
  end

  @doc "The status of `:my_app` with these peers."
  def status(peers, fields \\ []) do
    connected = Enum.count(peers, &(&1.state == :connected))
    count = length(peers)
    status = %Status{name: :my_app, queries: [query()], members: count, picks: count, links: connected, peers: peers}
    struct!(status, fields)
  end
end
