defmodule Caravan.OptionsTest do
  use ExUnit.Case, async: true
  alias Caravan.{Error, Options}

  defp refused(options) do
    error = assert_raise Error, fn -> Options.topology!(:app, options) end
    assert error.kind == :invalid_option
    error.message
  end

  test "the defaults" do
    assert Options.topology!(:app, query: "app.test") == %{
             query: ["app.test"],
             type: :srv,
             local_ports: 16,
             nodes: nil,
             node_sname: nil,
             node_name: nil,
             nameservers: :system,
             transport: :auto,
             timeout: 2_000,
             poll_interval: 5_000,
             expire_after: 300_000,
             disconnect: false,
             max_members: 1_000,
             mesh: :full,
             dial_concurrency: 32,
             allow: []
           }
  end

  test "Caravan 1.0's options" do
    options = [query: "app.service.consul", node_sname: "likes-service", poll_interval: 1_000]
    assert %{node_sname: "likes-service", poll_interval: 1_000} = Options.topology!(:app, options)

    assert refused(options ++ [dns_client: Some.Module]) =~
             ":dns_client in topology :app: Caravan does its own lookups"
  end

  test "what each option takes" do
    for {option, value, taken} <- [
          {:query, ~c"app.test", ["app.test"]},
          {:query, ["a", ~c"b", "a"], ["a", "b"]},
          {:nameservers, ["127.0.0.1"], ["127.0.0.1:53"]},
          {:nameservers, ["127.0.0.1:8600"], ["127.0.0.1:8600"]},
          {:nameservers, ["::1"], ["[::1]:53"]},
          {:nameservers, ["fd00::0:1"], ["[fd00::1]:53"]},
          {:nameservers, ["[::1]"], ["[::1]:53"]},
          {:nameservers, ["[::1]:5353", "[::1]:5353"], ["[::1]:5353"]},
          {:node_sname, ~c"app", "app"},
          {:disconnect, [after: 300_000], [after: 300_000]},
          {:disconnect, false, false},
          {:allow, ["10.0.0.0/8"], ["10.0.0.0/8"]},
          {:transport, :tcp, :tcp},
          {:max_members, 500_000, 500_000},
          {:mesh, [links: 2], [links: 2]},
          {:mesh, [links: 64], [links: 64]}
        ] do
      options = Keyword.merge([query: "q"], [{option, value}])
      assert Options.topology!(:app, options)[option] == taken, "#{option}: #{inspect(value)}"
    end
  end

  test "what each option refuses" do
    for {option, values} <- [
          query: [
            "",
            [],
            [""],
            nil,
            :app,
            42,
            ["a" | "b"],
            [nil],
            Enum.map(1..65, &"q#{&1}"),
            "a\0b"
          ],
          type: [:mx, "srv", nil],
          node_sname: ["", 1, ["a"]],
          node_name: ["", :a],
          nameservers:
            [[], nil, "127.0.0.1", [:system], ["localhost"], ["127.0.0.1:0"], ["127.0.0.1:65536"]] ++
              [
                ["127.0.0.1:"],
                ["127.1"],
                ["[127.0.0.1]:53"],
                ["::1:zz"],
                ["[::1"],
                [""],
                ["1.2.3.4:5 "]
              ] ++
              [["[::1]:999999"], ["1.2.3.4\n"], [<<255>>], ["1.2.3.4" | "x"]],
          transport: [:udp, true],
          timeout: [0, -1, 1.5, "5s", :infinity, 4_294_967_296],
          poll_interval: [0, "5s"],
          expire_after: [0, nil],
          disconnect: [true, nil, [after: 0], [after: "1"], [before: 1], [after: 300_001]],
          max_members: [0, 500_001, nil],
          mesh: [nil, 4, :none, [], [links: 1], [links: 65], [links: "4"], [links: 4, more: 1]],
          dial_concurrency: [0, 1_025, 1.0],
          allow: ["10.0.0.0/8", [:a], [""], nil, ["10.0.0.0/8" | "x"]]
        ],
        value <- values do
      message = refused(Keyword.merge([query: "q"], [{option, value}]))
      assert message =~ "option #{inspect(option)} of topology :app: expected "
      assert message =~ inspect(value)
    end
  end

  test "the sentences" do
    assert refused(query: "q", foo: 1, poll_interval: 1) =~
             ~r/^unknown option :foo in topology :app: expected one of :query, :type, /

    assert refused(query: "q", poll_interval: "5s") ==
             "option :poll_interval of topology :app: expected a positive integer " <>
               "(milliseconds, at most 24 days), got \"5s\""

    assert refused([]) =~
             ~r/^option :query of topology :app is missing: expected a name or a list/

    assert refused(:nonsense) =~ "expected a keyword list, got :nonsense"
    assert refused([:query]) =~ "expected a keyword list"
  end

  test "names come from DNS, from a list or from this machine" do
    nodes = [:"a-3434@h1", "a-3434@h2", "a-3434@h1"]
    assert %{query: nil, nodes: ["a-3434@h1", "a-3434@h2"]} = Options.topology!(:app, nodes: nodes)
    assert %{query: nil, local_ports: 4} = Options.topology!(:app, type: :local, local_ports: 4)

    for {options, sentence} <- [
          {[query: "q", nodes: nodes],
           "topology :app: expected one of :query, :nodes and type: :local, got :query and :nodes"},
          {[query: "q", type: :local], "got :query and type: :local"},
          {[nodes: nodes, type: :local], "got :nodes and type: :local"},
          {[type: :a], "or the option :nodes, or type: :local"},
          {[query: "q", local_ports: 4],
           "option :local_ports of topology :app has no effect without type: :local: remove it"},
          {[nodes: nodes, allow: ["::/0"]], "option :allow of topology :app has no effect with :nodes: remove it"},
          {[type: :local, nameservers: :system], "option :nameservers of topology :app has no effect with type: :local"}
        ],
        do: assert(refused(options) =~ sentence)

    for bad <- [[], nil, :"a-3434@h1", [nil], [~c"a-3434@h1"], [""], [1], ["a" | "b"]],
        do: assert(refused(nodes: bad) =~ "option :nodes of topology :app: expected a list of node names")

    for bad <- [0, 257, "16"], do: assert(refused(type: :local, local_ports: bad) =~ "an integer from 1 to 256")

    error = assert_raise Error, fn -> Options.lookup!("q", type: :local) end
    assert error.message =~ "expected one of :srv, :a, :aaaa, :ip, got :local"
  end

  test "look-ups" do
    assert Options.lookup!(~c"app.test", type: :a) == %{
             query: "app.test",
             type: :a,
             nameservers: :system,
             transport: :auto,
             timeout: 2_000
           }

    # The first of two counts, as in a keyword list.
    assert %{type: :a} = Options.lookup!("a", type: :a, type: :srv)

    for {query, options, sentence} <- [
          {"", [], ~s(query of a lookup: expected a non-empty string or charlist, got "")},
          {nil, [], "query of a lookup: expected"},
          {"a", [poll_interval: 1], ~s(unknown option :poll_interval in lookup of "a")},
          {"a", [timeout: 0], ~s(option :timeout of lookup of "a": expected a positive)}
        ] do
      assert_raise Error, ~r/\A#{Regex.escape(sentence)}/, fn ->
        Options.lookup!(query, options)
      end
    end
  end

  test "awaiting" do
    assert Options.await!([]) == %{min: 1, stable_for: 0, timeout: 5_000}
    assert_raise Error, ~r/option :min of await: expected/, fn -> Options.await!(min: -1) end
  end

  test "the documentation has every option" do
    table = Options.table(:topology)
    for {option, _} <- Options.topology!(:app, query: "q"), do: assert(table =~ "| `#{option}` |")
  end
end
