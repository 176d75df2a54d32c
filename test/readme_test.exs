defmodule Caravan.ReadmeTest do
  use ExUnit.Case, async: true
  alias Caravan.{BlockYaml, Options, Readme}

  @documents Readme.documents() ++ ~w(CONTRIBUTING.md SECURITY.md CHANGELOG.md ARCHITECTURE.md bench/README.md)

  for file <- ["CONTRIBUTING.md" | Readme.documents()], block <- Readme.blocks(Readme.text(file), file) do
    @block block
    test "#{block.at}, a block of #{block.language}", do: Readme.check!(@block)
  end

  describe "the check of" do
    # README.md and the guides once more, with a fault put into them: some block has to fail.
    for {what, text, fault} <- [
          {"topologies", "query: \"my-app.service.consul\"", "qeury: \"my-app.service.consul\""},
          {"children", "topologies: [my_app: [type:", "topologies: [my_app: [typ:"},
          {"the shell's arguments", "mix caravan.shell a-0", "mix caravan.shell a-0 b-1"},
          {"the picture", "97 of 99 peers", "98 of 99 peers"},
          {"the names' arguments", "mix caravan.names host1", "mix caravan.names --host host1"},
          {"values", "transport: :tcp", "transport: :tpc"},
          {"servers", "[\"127.0.0.1:8600\"],\n", "[\"127.0.0.1:86000\"],\n"},
          {"libcluster's configuration", "config: [query:", "config: [qeury:"},
          {"the strategy", "strategy: Caravan.Cluster.DnsStrategy", "strategy: Caravan.Cluster.DNSStrategy"},
          {"dependencies", "{:caravan, path: \"../caravan\"}", "{:caravn, path: \"../caravan\"}"},
          {"results", "iex> Caravan.dist_port(\"my_app-3434@node.test\")",
           "iex> Caravan.dist_port(\"my_app@node.test\")"},
          {"functions", "rpc 'IO.inspect(Caravan.status())'", "rpc 'IO.inspect(Caravan.state())'"},
          {"the task's options", "--nameserver 127.0.0.1:8600", "--server 127.0.0.1:8600"},
          {"shell syntax", "rpc 'IO.inspect(", "rpc IO.inspect("},
          {"scripts", "bin/demo\nbin/test\n", "bin/demo\nbin/tests\n"},
          {"records", "; my_app-3435@host1", "; my_app-3436@host1"},
          {"flags", "-epmd_module caravan_epmd", "-epmd_module epmd_caravan"},
          {"YAML", "  clusterIP: None", " clusterIP: None"},
          {"generated files", "ExecStart=/opt/my_app/bin/my_app start", "ExecStart=/opt/my_app/bin/my_app run"},
          {"the generator's arguments", "caravan.gen.release --for fly", "caravan.gen.release --for flies"},
          {"the manifest", "serviceName: my-app", "serviceName: my_app"},
          {"the manifest's port", "containerPort: 4370", "containerPort: 4371"},
          {"Erlang", "{exclude_apps, [elixir, logger]},", "{exclude_apps, [elixir, logger]}"},
          {"options in Erlang", "[{query, <<", "[{qeury, <<"},
          {"maps", "n2 -.- n3", "n2 --- n3"},
          {"languages", "```zone", "```bind"},
          {"marks", "<!-- check: topology -->", "<!-- no check -->"},
          {"reasons", "<!-- check: topology -->", "<!-- check: none -->"}
        ] do
      test "#{what} finds a fault" do
        sound = everything()
        faulty = String.replace(sound, unquote(text), unquote(fault))
        assert faulty != sound
        assert Enum.any?(Readme.blocks(faulty, "faulty"), &fails?/1)
      end
    end

    defp fails?(block) do
      Readme.check!(block)
      false
    rescue
      ExUnit.AssertionError -> true
    end

    test "a block that can't be checked takes a reason for an answer" do
      assert [block] = Readme.blocks("<!-- check: none; a drawing -->\n```dot\ngraph {}\n```\n", "drawing")
      assert Readme.check!(block)
    end
  end

  test "the manifest's Service is what its topology looks up" do
    assert [service, set] = BlockYaml.parse(Readme.block!("kubernetes").text)
    [block] = Enum.filter(Readme.blocks(), &(&1.marks["of"] == "kubernetes"))
    {[query: query], _} = Code.eval_string(block.text)
    assert [%{"name" => port}] = service["spec"]["ports"]
    domain = "#{service["metadata"]["name"]}.default.svc.cluster.local"
    assert query == "_#{port}._tcp.#{domain}"

    for name <- Readme.pod_names(set),
        do: assert(name =~ ~r/@my-app-\d\.#{Regex.escape(domain)}$/)
  end

  test "the options are all there, with their defaults" do
    [_, section] = String.split(Readme.text(), "\n## Options\n", parts: 2)
    [section | _] = String.split(section, "\n## ", parts: 2)

    rows = fn text, default ->
      for "| `" <> _ = row <- String.split(text, "\n"),
          cells = row |> String.replace("`", "") |> String.split("|") |> Enum.map(&String.trim/1),
          do: {Enum.at(cells, 1), Enum.at(cells, default)}
    end

    assert [_ | _] = documented = rows.(section, 2)
    assert documented == rows.(Options.table(:topology), 3)
  end

  test "the examples of names have these ports" do
    assert [_, _ | _] = examples = Regex.scan(~r/`(\S+)` → (\d+)/, Readme.text(), capture: :all_but_first)

    for [name, port] <- examples,
        do: assert(Caravan.dist_port(name) == {:ok, String.to_integer(port)}, "#{name} → #{port}")

    assert {:error, %{kind: :port_out_of_range}} = Caravan.dist_port("my_app-70000")
    assert {:error, %{kind: :tool_node}} = Caravan.dist_port("rpc-5f3a-my_app-3434")
    assert {:ok, port} = Caravan.dist_port("peer-3-17184")
    assert port in 20_000..32_767

    for name <- ~w(my_app-70000 rpc-5f3a-my_app-3434 peer-3-17184),
        do: assert(Readme.text() =~ "| `#{name}` |")
  end

  test "the functions and modules in its sentences exist" do
    words = Regex.scan(~r/`(Caravan\.[^`]+)`/, prose(everything()), capture: :all_but_first)
    assert [_, _ | _] = words

    for [word] <- words do
      case Code.string_to_quoted!(word) do
        {:__aliases__, _, parts} -> assert Code.ensure_loaded?(Module.concat(parts)), word
        _call -> assert Readme.calls!(word) > 0, word
      end
    end
  end

  for file <- @documents do
    test "the links of #{file} lead somewhere" do
      for [link] <- Regex.scan(~r/\]\(([^)]+)\)/, prose(Readme.text(unquote(file))), capture: :all_but_first),
          not String.starts_with?(link, "http") do
        [path | anchor] = String.split(link, "#")
        to = if path == "", do: unquote(file), else: Path.join(Path.dirname(unquote(file)), path)
        assert File.regular?(to), link
        assert anchor -- anchors(Readme.text(to)) == [], link
      end
    end
  end

  test "the module's documentation is what stands between the marks" do
    assert [_, marked, _] = String.split(Readme.text(), "<!-- MDOC -->")
    assert {:docs_v1, _, _, _, %{"en" => documentation}, _, _} = Code.fetch_docs(Caravan)
    assert String.trim(documentation) == String.trim(marked)
    # They would lead nowhere from there.
    assert Regex.scan(~r/\]\((?!http)[^)]*\)/, marked) == []
  end

  test "the site shows every public module in one group" do
    public =
      for module <- Application.spec(:caravan, :modules),
          not String.starts_with?(inspect(module), ["Mix.Tasks.", "Inspect."]),
          not String.contains?(to_string(module.module_info(:compile)[:source]), "/test/"),
          {:docs_v1, _, _, _, documentation, _, _} <- [Code.fetch_docs(module)],
          documentation != :hidden,
          do: module

    grouped = Mix.Project.config()[:docs][:groups_for_modules] |> Keyword.values() |> Enum.concat()
    assert [_ | _] = public
    assert Enum.sort(grouped) == Enum.sort(public)
  end

  defp everything, do: Enum.map_join(Readme.documents(), "\n", &Readme.text/1)

  # Without the code blocks.
  defp prose(text), do: String.replace(text, ~r/^```.*?^```$/ms, "")

  # As GitHub and ex_doc make them of headings.
  defp anchors(text) do
    for [title] <- Regex.scan(~r/^#+ (.+)$/m, prose(text), capture: :all_but_first),
        do: title |> String.downcase() |> String.replace(~r/[^\w -]/, "") |> String.replace(" ", "-")
  end
end
