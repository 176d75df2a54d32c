defmodule Caravan.Lookup.TableTest do
  use ExUnit.Case, async: true
  alias Caravan.{Endpoint, Lookup}
  alias Caravan.Lookup.Table

  test "a table of the endpoints" do
    lookup = %Lookup{
      endpoints: [
        %Endpoint{
          host: "n1.test",
          port: 4370,
          weight: 10,
          addresses: [{127, 0, 0, 2}, {0, 0, 0, 0, 0, 0, 0, 1}]
        },
        %Endpoint{host: "a-much-longer-name.test", port: 80, priority: 1},
        %Endpoint{addresses: [{127, 0, 0, 3}]}
      ],
      ttl: 5,
      server: "127.0.0.1:53",
      transport: :tcp,
      elapsed: 1_260,
      refused: [%{reason: :invalid_name, count: 2, example: "a b"}]
    }

    assert Table.text("app.test", lookup, ["no answer in time"]) == """
           3 endpoints for app.test from 127.0.0.1:53 (tcp) in 1.3 ms, TTL 5 s

           HOST                     PORT  PRIORITY  WEIGHT  ADDRESSES
           n1.test                  4370  0         10      127.0.0.2 ::1
           a-much-longer-name.test  80    1         0       does not resolve
           -                        -     0         0       127.0.0.3
           refused: 2 (invalid_name), such as "a b"
           incomplete: no answer in time\
           """
  end

  test "one endpoint is one" do
    lookup = %Lookup{endpoints: [%Endpoint{}], server: "s", transport: :udp}
    assert Table.text("q", lookup) =~ ~r/^1 endpoint for q from s \(udp\) in 0.0 ms/
  end

  test "wrong options are a sentence" do
    assert {:error, "unknown option :nope" <> _} = Caravan.lookup_table("q", nope: 1)
  end
end
