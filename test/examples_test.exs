defmodule ExamplesTest do
  @moduledoc false
  # Each example as its README tells to run it, on a terminal, with ports that are free. There is no Hex here: what an
  # example has from there comes from a folder.
  use ExUnit.Case, async: true
  alias Caravan.{DnsServer, Generator, Readme, Terminal, Vm}

  @moduletag :builds
  @moduletag timeout: 180_000

  @deadline 120_000

  # Caravan is built once for all, since that takes the longest.
  setup_all do
    folder = Vm.tmp_path("examples")
    File.mkdir_p!(folder)
    on_exit(fn -> File.rm_rf!(folder) end)
    {:ok, folder: folder}
  end

  test "plain", context do
    assert_runs("plain", context.folder)
  end

  test "libcluster", context do
    ebin = System.get_env("LIBCLUSTER_EBIN") || compiled(context.folder, "test/support/cluster.exs")
    assert_runs("libcluster", context.folder, libcluster: ebin)
  end

  @pubsub System.get_env("PHOENIX_PUBSUB_EBIN")
  if @pubsub == nil,
    do: @tag(skip: "needs PHOENIX_PUBSUB_EBIN, a folder of compiled phoenix_pubsub")

  test "phoenix_pubsub", context do
    assert_runs("phoenix_pubsub", context.folder, phoenix_pubsub: @pubsub)
  end

  test "it says what it expects, and when no node runs any more", context do
    script = Path.expand("bin/example")
    assert {1, output} = Vm.command(script, ["hello"])
    assert output =~ "expected one of libcluster phoenix_pubsub plain, got 'hello'"
    assert {1, output} = Vm.command(script, ["plain", "4001"])
    assert output =~ "expected three ports or none, got '4001'"

    # None of these is a port that a node could listen on.
    opts = [env: environment("plain", context.folder, []), timeout: @deadline]
    assert {1, output} = Vm.command(script, ~w(plain 70001 70002 70003), opts)
    assert output =~ "no node runs any more"
  end

  test "their releases have the flags that the generator writes" do
    plan = Generator.plan("systemd", [], Generator.project("my_app"), %{})
    assert [_, _] = files = Enum.filter(plan.files, fn {file, _old, _text} -> file =~ "vm.args" end)

    for example <- File.ls!("examples"),
        {file, _old, text} <- files,
        do: assert(File.read!("examples/#{example}/#{file}") == text)
  end

  defp assert_runs(example, folder, dependencies \\ []) do
    ports = Vm.free_ports(3)
    # Everything that is started has it in its environment, and nothing else has.
    mark = "CARAVAN_EXAMPLE=#{example}-#{System.pid()}-#{hd(ports)}"
    [command, lines] = for %{text: text} <- Readme.blocks(readme(example), example), do: text
    assert command == "bin/example #{example}\n"

    opts = [env: environment(example, folder, dependencies)]
    run = Enum.join(["exec env", mark, String.trim(command) | ports], " ")
    terminal = Terminal.open_port(run, opts, line: 1_000)
    on_exit(fn -> for pid <- marked(mark), do: System.cmd("kill", ["-KILL", pid], stderr_to_stdout: true) end)

    expected = for node <- ports, line <- String.split(lines, "\n", trim: true), do: said(line, node, ports)
    refute await(terminal, expected) =~ "warning:"
    # The script, the DNS server and the nodes.
    assert length(marked(mark)) >= 5

    Port.command(terminal, "\x03")
    assert_receive {^terminal, {:exit_status, 130}}, @deadline
    # The VMs' own helpers end a moment after them.
    Vm.eventually("nothing is left", fn -> marked(mark) == [] end)
  end

  defp readme(example), do: Readme.text("examples/#{example}/README.md")

  # What the README shows of the node on port 4001, as this node has to say it.
  defp said(line, node, ports) do
    own = Map.new(Enum.zip(~w(4001 4002 4003), [node | Enum.sort(ports -- [node])]))
    Regex.replace(~r/400[123]/, line, &to_string(own[&1]))
  end

  # Reads until all that is expected has been said; answers with all that was.
  defp await(terminal, expected, said \\ [], deadline \\ now() + @deadline)
  defp await(_terminal, [], said, _deadline), do: IO.iodata_to_binary(said)

  defp await(terminal, expected, said, deadline) do
    receive do
      {^terminal, {:data, {_, line}}} ->
        # Lines of several nodes may be on one.
        await(terminal, Enum.reject(expected, &String.contains?(line, &1)), [said, line, "\n"], deadline)

      {^terminal, {:exit_status, status}} ->
        flunk("it ended with #{status}, expected: #{Enum.join(expected, ", ")}; it said:\n#{said}")
    after
      max(deadline - now(), 0) -> flunk("not in time, expected: #{Enum.join(expected, ", ")}; it said:\n#{said}")
    end
  end

  defp now, do: System.monotonic_time(:millisecond)

  defp marked(mark) do
    for "/proc/" <> process = path <- Path.wildcard("/proc/[0-9]*/environ"),
        {:ok, environment} <- [File.read(path)],
        mark in String.split(environment, <<0>>),
        do: Path.dirname(process)
  end

  defp environment(example, folder, dependencies) do
    build = Path.join(folder, "build")
    File.rm_rf!(Path.join(build, "lib/my_app"))

    [
      MIX_ENV: "dev",
      MIX_EXS: project(example, folder, dependencies),
      MIX_BUILD_PATH: build,
      CARAVAN_NIF_PATH: Application.app_dir(:caravan, "priv/caravan_nif.so"),
      CARAVAN_NIF_SHA256: nil,
      CARAVAN_DNS: DnsServer.binary()
    ]
  end

  # The example's mix.exs with folders in place of what comes from Hex.
  defp project(example, folder, dependencies) do
    file = Path.join(folder, "#{example}.exs")

    text =
      for {name, ebin} <- dependencies, reduce: File.read!("examples/#{example}/mix.exs") do
        text ->
          from_hex = ~r/\{:#{name}, "~> [\d.]+"\}/
          assert text =~ from_hex
          String.replace(text, from_hex, inspect({name, path: dependency(name, ebin, folder), compile: "true"}))
      end

    File.write!(file, text)
    file
  end

  # Mix takes compiled modules from a folder called ebin in which there is an application.
  defp dependency(name, modules, folder) do
    to = Path.join(folder, "#{name}")
    ebin = Path.join(to, "ebin")
    app = Path.join(ebin, "#{name}.app")
    File.mkdir_p!(to)
    File.cp_r!(modules, ebin)

    unless File.exists?(app) do
      modules = for beam <- Path.wildcard(Path.join(ebin, "*.beam")), do: String.to_atom(Path.basename(beam, ".beam"))

      properties = [
        vsn: ~c"1.0.0",
        modules: modules,
        registered: [],
        applications: [:kernel, :stdlib, :elixir, :logger]
      ]

      File.write!(app, :io_lib.format("~p.~n", [{:application, name, properties}]))
    end

    to
  end

  defp compiled(folder, source) do
    ebin = Path.join(folder, "compiled")
    File.mkdir_p!(ebin)
    assert {0, _} = Vm.command("elixirc", ["-o", ebin, source])
    ebin
  end
end
