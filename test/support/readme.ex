defmodule Caravan.Readme do
  @moduledoc """
  README.md and the guides as tests see them, and CONTRIBUTING.md: the code blocks, and what each of them has to hold.

  The language of a block's fence says how it is checked. Where that leaves a choice, a comment on the line before does,
  as in `<!-- check: topology -->`. A block that nothing can check has to say so and why: `<!-- check: none; REASON -->`.
  """

  import ExUnit.Assertions
  alias Caravan.{BlockYaml, Generator, Options, Statuses, Top, Topology}

  @root Path.expand("../..", __DIR__)

  defmodule Block do
    @moduledoc "A fenced block: `at` is its file and line, `marks` what the comment before it says."
    defstruct [:at, :language, :text, marks: %{}]
  end

  @doc "README.md and the guides, which tell users everything, each thing once."
  def documents, do: ["README.md" | Path.wildcard("guides/*.md")]

  def text(file \\ "README.md"), do: File.read!(Path.join(@root, file))

  @doc "The fenced blocks of README.md and the guides."
  def blocks, do: Enum.flat_map(documents(), &blocks(text(&1), &1))

  @doc "The fenced blocks of a text, in their order."
  def blocks(text, file),
    do: text |> String.split("\n") |> outside({file, 1}, nil, [])

  defp outside([], _place, _before, blocks), do: Enum.reverse(blocks)

  defp outside(["```" <> language | lines], {file, line}, before, blocks) do
    {inside, rest} = Enum.split_while(lines, &(&1 != "```"))
    assert rest != [], "#{file}:#{line}: the block has no end"
    text = Enum.map_join(inside, &(&1 <> "\n"))
    block = %Block{at: "#{file}:#{line}", language: language, text: text, marks: marks(before)}
    outside(tl(rest), {file, line + length(inside) + 2}, nil, [block | blocks])
  end

  defp outside([text | lines], {file, line}, _before, blocks),
    do: outside(lines, {file, line + 1}, text, blocks)

  defp marks("<!-- " <> comment) do
    for mark <- comment |> String.trim_trailing(" -->") |> String.split("; "), into: %{} do
      case String.split(mark, ": ", parts: 2) do
        [key, value] -> {key, value}
        [reason] -> {"reason", reason}
      end
    end
  end

  defp marks(_no_comment), do: %{}

  @doc "The one block with this check."
  def block!(check) do
    assert [block] = Enum.filter(blocks(), &(&1.marks["check"] == check))
    block
  end

  @doc "Raises where a block doesn't hold."
  def check!(block) do
    check(block.language, block.marks["check"], block)
  rescue
    error in ExUnit.AssertionError ->
      reraise error, __STACKTRACE__

    error ->
      reraise ExUnit.AssertionError,
              [message: "#{block.at}: #{Exception.message(error)}"],
              __STACKTRACE__
  end

  defp check(_language, "none", block) do
    assert block.marks["reason"], "#{block.at}: why is this block not checked?"
  end

  # What mix caravan.gen.release writes or prints for a platform.
  defp check(_language, "generated", block) do
    plan = Generator.plan(block.marks["of"], [], Generator.project("my_app"), %{})
    texts = for({_path, _old, text} <- plan.files, do: text) ++ for {_heading, text} <- plan.told, do: text
    # env.sh has it indented.
    unindented = &String.replace(&1, ~r/^ +/m, "")
    assert Enum.any?(texts, &String.contains?(unindented.(&1), unindented.(block.text))), block.at
  end

  defp check("elixir", "deps", block) do
    assert [options] = tuples(block.text, :caravan)
    assert Keyword.keyword?(options) and Keyword.keys(options) -- [:path, :git, :tag] == []
  end

  defp check("elixir", "children", block) do
    assert [_ | _] = found = tuples(block.text, Caravan)

    for options <- found,
        {name, topology} <- Options.supervisor!(options).topologies,
        do: options!(name, topology)
  end

  defp check("elixir", "config", block) do
    config = Config.Reader.eval!("README.md", block.text)
    assert [_ | _] = topologies = config[:libcluster][:topologies]

    for {name, topology} <- topologies do
      assert Code.ensure_loaded?(topology[:strategy])
      options!(name, topology[:config])
    end
  end

  defp check("elixir", "topology", block), do: options!(:my_app, evaluate(block.text))
  defp check("elixir", "syntax", block), do: calls!(block.text)

  # The shell of a node is what it takes, and test/netns/readme_test.exs has two.
  defp check("iex", "first" <> _, block), do: for({code, _} <- examples(block), do: calls!(code))

  defp check("iex", nil, block) do
    for {code, expected} <- examples(block),
        do: assert(evaluate(code) == evaluate(expected), "#{block.at}: #{code}")
  end

  # test/tools/rebar3_test.exs makes releases of them.
  defp check("erlang", "rebar3", block) do
    file = block.marks["file"]
    parse = if Path.extname(file) == ".erl", do: &:erl_parse.parse_form/1, else: &:erl_parse.parse_term/1
    {:ok, tokens, _line} = block.text |> to_charlist() |> :erl_scan.string()

    parsed =
      for form <- forms(tokens) do
        assert {:ok, parsed} = parse.(form)
        parsed
      end

    if Path.basename(file) == "sys.config",
      do: for({name, options} <- hd(parsed)[:my_app][:topologies], do: options!(name, options))
  end

  defp check("sh", _any, block) do
    assert {_, 0} = System.cmd("bash", ["-n", "-c", block.text], stderr_to_stdout: true)
    for command <- commands(block), do: command!(OptionParser.split(command))
  end

  defp check("zone", nil, block) do
    for line <- String.split(block.text, "\n", trim: true) do
      assert [_, port, host, base, named_host] =
               Regex.run(~r/^_\S+\. \d+ IN SRV \d+ \d+ (\d+) (\S+)\. ; (\S+)@(\S+)$/, line)

      assert named_host == host
      assert Caravan.dist_port(base) == {:ok, String.to_integer(port)}
    end
  end

  # test/nodes/guides_test.exs makes the certificates and boots nodes with them.
  defp check("erlang", "ssl_dist", block) do
    {:ok, tokens, _} = block.text |> String.to_charlist() |> :erl_scan.string()
    assert {:ok, [server: server, client: client]} = :erl_parse.parse_term(tokens)
    assert server[:verify] == :verify_peer and server[:fail_if_no_peer_cert] and client[:verify] == :verify_peer
  end

  # The same nodes show whom it lets in.
  defp check("erlang", "verify_fun", block) do
    assert {:verify_fun, {verify, state}} = block.text |> String.trim() |> Kernel.<>(".") |> expression()
    assert verify.(:certificate, {:bad_cert, :hostname_check_failed}, state) == {:valid, state}
    assert verify.(:certificate, {:bad_cert, :unknown_ca}, state) == {:fail, :unknown_ca}
    assert verify.(:certificate, {:extension, :any}, state) == {:unknown, state}
    for event <- [:valid, :valid_peer], do: assert(verify.(:certificate, event, state) == {:valid, state})
  end

  # test/netns/readme_test.exs and test/nodes/guides_test.exs boot nodes with them.
  # What mix caravan.top draws of a hundred nodes, two of which are away, in a window that is as high.
  defp check("text", "top", block) do
    drawn = block.text |> String.trim_trailing("\n") |> String.split("\n")
    host = &"my_app-3434@host#{&1}.example.org"

    away = fn n, fields ->
      error =
        "nothing listens at 10.0.0.#{n}:3434 (connection refused); start the node, or check that it listens on the port in its name"

      Statuses.missing(host.(n), Keyword.merge([attempts: 9, error: error], fields))
    end

    peers = for n <- 2..100, n not in [42, 79], do: Statuses.peer(host.(n))
    peers = [away.(42, next_dial: 4_100), away.(79, state_age: 3_000, next_dial: 1_500) | peers]
    status = Statuses.status(peers, queries: [Statuses.query(endpoints: 100)])
    view = %{node: host.(1), statuses: Top.Triage.statuses(%{my_app: status}), gone: nil}
    view = Map.merge(view, %{clock: "14:03:07", note: "every 2 s, q quits"})
    lines = for line <- Top.Picture.lines(view, 80, length(drawn)), do: String.trim_trailing(Top.Text.plain(line))
    assert lines == drawn
  end

  defp check("text", vm_args, block) when vm_args in ["vm.args", "tls vm.args", "inet6 vm.args"] do
    flags = block.text |> String.split("\n", trim: true) |> Enum.map(&String.split/1)

    assert ["-start_epmd", "false"] in flags
    assert [module] = for(["-epmd_module", module] <- flags, do: module)
    assert Code.ensure_loaded?(String.to_atom(module))
  end

  defp check("yaml", "kubernetes", block) do
    assert [service, set] = BlockYaml.parse(block.text)
    assert {service["kind"], set["kind"]} == {"Service", "StatefulSet"}
    assert service["spec"]["clusterIP"] == "None"
    assert set["spec"]["serviceName"] == service["metadata"]["name"]
    labels = set["spec"]["template"]["metadata"]["labels"]

    assert labels == service["spec"]["selector"] and
             labels == set["spec"]["selector"]["matchLabels"]

    assert [%{"containerPort" => port}] = container(set)["ports"]
    assert [%{"port" => ^port}] = service["spec"]["ports"]

    for name <- pod_names(set),
        do: assert(Caravan.dist_port(name) == {:ok, String.to_integer(port)})
  end

  # Three nodes, of which two aren't linked.
  defp check("mermaid", "map", block) do
    [a, b, c] = for host <- 1..3, do: :"my_app-3434@host#{host}.example.org"
    edges = [{a, b, :linked}, {a, c, :linked}, {b, c, :missing}]
    graph = %Caravan.Survey.Graph{nodes: [{a, :this}, {b, :answered}, {c, :answered}], edges: edges}
    assert block.text == Caravan.Survey.Mermaid.render(graph), block.at
  end

  defp check(language, check, block) do
    flunk(
      "#{block.at}: no check for a block of #{inspect(language)} marked #{inspect(check)}; add one to " <>
        "Caravan.Readme, or mark the block <!-- check: none; REASON -->"
    )
  end

  # The value of an Erlang expression.
  defp expression(text) do
    {:ok, tokens, _} = text |> String.to_charlist() |> :erl_scan.string()
    {:ok, [expression]} = :erl_parse.parse_exprs(tokens)
    {:value, value, _bindings} = :erl_eval.expr(expression, [])
    value
  end

  @doc "The names of a StatefulSet's pods, as its environment gives them."
  def pod_names(set) do
    for ordinal <- 0..(String.to_integer(set["spec"]["replicas"]) - 1) do
      pod = "#{set["metadata"]["name"]}-#{ordinal}"

      Enum.find(container(set)["env"], &(&1["name"] == "RELEASE_NODE"))["value"]
      |> String.replace("$(POD_NAME)", pod)
    end
  end

  # Each with the dot at its end.
  defp forms(tokens) do
    Enum.chunk_while(
      tokens,
      [],
      fn
        {:dot, _} = dot, form -> {:cont, Enum.reverse([dot | form]), []}
        token, form -> {:cont, [token | form]}
      end,
      fn
        [] -> {:cont, []}
        form -> {:cont, Enum.reverse(form), []}
      end
    )
  end

  defp container(set) do
    assert [container] = set["spec"]["template"]["spec"]["containers"]
    container
  end

  @doc "The examples of an iex block: `{code, result}`."
  def examples(block) do
    [_, _ | _] = parts = String.split(block.text, ~r/^iex(\(\d+\))?> /m)

    for part <- tl(parts) do
      [code, expected] = String.split(part, "\n", parts: 2)
      {code, expected}
    end
  end

  @doc "The commands of a shell block, those that go on over several lines in one."
  def commands(block),
    do: block.text |> String.replace("\\\n", " ") |> String.split("\n", trim: true)

  @doc "Every call of a function of Caravan's in Elixir code is one that exists; answers with how many there are."
  def calls!(code) do
    code |> Code.string_to_quoted!() |> Macro.prewalk(0, &call!/2) |> elem(1)
  end

  defp call!(
         {{:., _, [{:__aliases__, _, [:Caravan | _] = parts}, function]}, _, arguments} = ast,
         count
       ) do
    module = Module.concat(parts)
    arity = length(arguments)
    assert Code.ensure_loaded?(module), "there is no #{inspect(module)}"

    assert function_exported?(module, function, arity),
           "there is no #{inspect(module)}.#{function}/#{arity}"

    {ast, count + 1}
  end

  defp call!(ast, count), do: {ast, count}

  defp command!(["bin/my_app", "rpc", code]), do: assert(calls!(code) > 0)
  defp command!(["bin/my_app" | _]), do: :ok

  defp command!(["bin/" <> _ = script | _]),
    do: assert(File.regular?(script), "there is no #{script}")

  defp command!(["mix", "caravan.shell" | arguments]),
    do: assert({:ok, _arguments} = Mix.Tasks.Caravan.Shell.parse(arguments))

  defp command!(["mix", "caravan.top" | arguments]),
    do: assert({:ok, _options} = Mix.Tasks.Caravan.Top.parse(arguments))

  defp command!(["mix", "caravan.gen.release" | arguments]),
    do: assert({:ok, _platform, _options} = Mix.Tasks.Caravan.Gen.Release.parse(arguments))

  defp command!(["mix", "caravan.names" | arguments]),
    do: assert({:ok, _host} = Mix.Tasks.Caravan.Names.parse(arguments))

  defp command!(["mix", "caravan.lookup" | arguments]) do
    assert {:ok, query, options} = Mix.Tasks.Caravan.Lookup.parse(arguments)
    Options.lookup!(query, options)
  end

  defp command!(["mix", "caravan.doctor" | arguments]),
    do: assert({:ok, _node, _options} = Mix.Tasks.Caravan.Doctor.parse(arguments))

  defp command!(_anything), do: :ok

  defp options!(name, options), do: Topology.Config.new!(name, options)

  # The second elements of all pairs in the code that begin with `key`, evaluated.
  defp tuples(code, key) do
    {_, found} =
      code
      |> Code.string_to_quoted!()
      |> Macro.prewalk([], fn
        {first, second} = ast, found ->
          if key?(first, key), do: {ast, [second | found]}, else: {ast, found}

        ast, found ->
          {ast, found}
      end)

    for ast <- found, do: ast |> Code.eval_quoted() |> elem(0)
  end

  defp key?({:__aliases__, _, parts}, key), do: Module.concat(parts) == key
  defp key?(first, key), do: first == key

  defp evaluate(code), do: code |> Code.eval_string() |> elem(0)
end
