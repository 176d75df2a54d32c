defmodule Caravan.Polls do
  @moduledoc false

  # A membership of the native library's, and its polls, without a topology.

  import ExUnit.Assertions
  alias Caravan.Native

  @doc "A membership that asks `server`; `options` are those of `Caravan.Native.membership_new/1`."
  def membership(server, options) do
    spec = %{
      type: :srv,
      nameservers: [server.address],
      transport: :auto,
      timeout: 10_000,
      own: "app-1024@localhost",
      long_names: nil,
      bound: nil,
      sname: "app",
      template: "{sname}-{port}@{host}",
      expire_after: 300_000,
      withdraw_after: nil,
      max_members: 100,
      allow: []
    }

    {:ok, membership, _note} = Native.membership_new(Map.merge(spec, Map.new(options)))
    membership
  end

  @doc "Begins a poll of the first query for the node `self`; answers with its reference."
  def ask(membership, self) do
    ref = make_ref()
    :ok = Native.poll(membership, 0, ref, self)
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
