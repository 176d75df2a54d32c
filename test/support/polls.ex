defmodule Caravan.Polls do
  @moduledoc false

  # A membership of the native library's, and its polls, without a topology.

  import ExUnit.Assertions
  alias Caravan.Native

  @doc "A membership that asks `server`; `options` replace those of `config`."
  def membership(server, options) do
    config = %{
      source: :srv,
      nameservers: [server.address],
      transport: :auto,
      timeout: 10_000,
      sname: "app",
      template: "{sname}-{port}@{host}",
      expire_after: 300_000,
      withdraw_after: nil,
      max_members: 100,
      links: nil,
      allow: []
    }

    own = %{own: "app-1024@localhost", long_names: nil, bound: nil, probes: false}
    {:ok, membership, _note} = Native.membership_new(Map.merge(config, Map.new(options)), own)
    membership
  end

  @doc "Begins a poll of the first query for the node `self`; answers with its reference."
  def ask(membership, self) do
    ref = make_ref()
    :ok = Native.poll(membership, 0, ref, self, {0, 1_048_576})
    ref
  end

  @doc "The report of a poll that was begun."
  def report(ref) do
    assert_receive {^ref, {:ok, report}}, 20_000
    report
  end

  @doc "A poll from beginning to end."
  def poll(membership, self), do: membership |> ask(self) |> report()
end
