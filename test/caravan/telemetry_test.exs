defmodule Caravan.TelemetryTest do
  use ExUnit.Case, async: true
  alias Caravan.{Events, Telemetry}

  @topology __MODULE__
  @reasons ~w(invalid_name not_allowed other_family short_name long_name no_port max_members atom_limit)a

  # Every sentence and event once, with what each of them is given.
  defp tell_everything do
    Events.lookup_started(@topology, "q")
    Events.unlisted(@topology, "no")

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
      turned?: true,
      newly_refused: Enum.map(refused, & &1.reason),
      alias: "other@h"
    }

    Events.looked_up(@topology, found)
    error = %Caravan.Error{kind: :timeout, query: "q", message: "no answer"}
    Events.looked_up(@topology, %{found | result: {:error, error}})
    for change <- [:added, :expired], do: Events.member(@topology, :a@h, change)

    for event <- [
          :up,
          :leaving,
          :forgotten,
          {:down, "gone", true},
          {:dial_failed, :probe, "no", true}
        ],
        do: Events.peer(@topology, :a@h, event)

    Events.disconnecting(@topology, :a@h, 1)
    Events.alone(@topology)

    for note <- [{:by_host, nil}, {:capitals, "H"}, {:other_name, "b@h"}],
        do: Events.ill_named(@topology, :a@H, note)
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
    log = ExUnit.CaptureLog.capture_log([metadata: [:node]], &tell_everything/0)

    lines =
      for line <- String.split(log, "\n"), line =~ ~r/\[(info|notice|warn|warning)\]/, do: line

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
