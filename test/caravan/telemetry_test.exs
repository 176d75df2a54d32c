defmodule Caravan.TelemetryTest do
  use ExUnit.Case, async: true
  require Logger
  alias Caravan.Telemetry
  alias Caravan.Topology.Log

  @topology __MODULE__
  @reasons ~w(invalid_name not_allowed other_family short_name long_name no_port max_members atom_limit)a

  # Every sentence and event once, with what each of them is given.
  defp tell_everything do
    Log.tell(@topology, {:lookup_started, "q"})
    Log.tell(@topology, {:unlisted, "no"})

    refused =
      for reason <- @reasons ++ [:new],
          do: refused(reason)

    report = %{
      endpoints: 1,
      members: 1,
      ttl: 1,
      server: "127.0.0.1:53",
      transport: :udp,
      refused: refused
    }

    found = %{
      query: "q",
      result: {:ok, report},
      duration: 1,
      outcome_changed?: true,
      newly_refused: Enum.map(refused, & &1.reason),
      newly_cut?: false,
      alias: "other@h"
    }

    Log.tell(@topology, {:looked_up, found})
    error = %Caravan.Error{kind: :timeout, query: "q", message: "no answer"}
    Log.tell(@topology, {:looked_up, %{found | result: {:error, error}}})
    for change <- [:added, :expired], do: Log.tell(@topology, {:member, :a@h, change})

    for event <- [
          :up,
          :leaving,
          :forgotten,
          {:down, "gone", true},
          {:dial_failed, :probe, "no", true}
        ],
        do: Log.tell(@topology, {:peer, :a@h, event})

    Log.tell(@topology, {:disconnecting, :a@h, 1})
    Log.tell(@topology, :alone)

    for note <- [{:by_host, nil}, {:capitals, "H"}, {:other_name, "b@h"}],
        do: Log.tell(@topology, {:ill_named, :a@H, note})
  end

  defp refused(reason), do: %{reason: reason, count: 2, example: "x y"}

  @tag :capture_log
  test "what is emitted is what is documented, all of it" do
    :telemetry.listen(@topology)
    tell_everything()
    documented = Map.new(Telemetry.list(), fn {event, m, d, _} -> {event, {m, d}} end)
    emitted = received()
    assert Enum.sort(Enum.uniq(Enum.map(emitted, &elem(&1, 0)))) == Enum.sort(Telemetry.events())

    for {event, measurements, metadata} <- emitted do
      {documented_measurements, documented_metadata} = documented[event]
      assert Enum.sort(Map.keys(measurements)) == Enum.sort(documented_measurements)
      assert Enum.sort(Map.keys(metadata)) == Enum.sort(documented_metadata)
      for {_, value} <- measurements, do: assert(is_integer(value))
    end
  end

  test "each of them is in the module's documentation" do
    {:docs_v1, _, _, _, %{"en" => doc}, _, _} = Code.fetch_docs(Telemetry)
    for event <- Telemetry.events(), do: assert(doc =~ "| `#{inspect(event)}` |")
  end

  test "every line names the topology, and the peer if there is one" do
    Logger.metadata(teller: "this test")

    log =
      ExUnit.CaptureLog.capture_log([metadata: [:node, :teller]], fn ->
        # Other tests log at the same time.
        Task.await(Task.async(fn -> Logger.warning("another test's line") end))
        tell_everything()
      end)

    lines = for line <- String.split(log, "\n"), line =~ "teller=this test", do: line

    assert length(lines) == 22
    for line <- lines, do: assert(line =~ "[caravan #{@topology}] ")
    assert Enum.count(lines, &(&1 =~ "node=a@h")) == 5
  end

  defp received do
    receive do
      {[:caravan | _], _, _} = event -> [event | received()]
    after
      0 -> []
    end
  end
end
