defmodule ExamplesTest do
  @moduledoc false
  # Each example as bin/example runs it, on a terminal, where Ctrl-C is typed in the end. The nodes have to say what the
  # example's README shows. Hex isn't needed: what comes from there is replaced by a folder with the same application.
  use ExUnit.Case, async: true
  alias Caravan.{Readme, Vm}

  @moduletag :builds
  @moduletag timeout: 180_000

  @deadline 120_000

  # They share a build, which has compiled Caravan once.
  setup_all do
    folder = Vm.tmp_path("examples")
    File.mkdir_p!(folder)
    on_exit(fn -> File.rm_rf!(folder) end)
    {:ok, folder: folder}
  end

  test("plain", %{folder: folder}, do: run("plain", folder, []))

  test "libcluster", %{folder: folder} do
    files =
      case System.get_env("LIBCLUSTER_EBIN") do
        nil -> ["test/support/cluster.exs"]
        ebin -> Path.wildcard(Path.join(ebin, "*.beam"))
      end

    run("libcluster", folder, libcluster: dependency(folder, :libcluster, "3.5.0", [], files))
  end

  @pubsub System.get_env("PHOENIX_PUBSUB_EBIN")
  if @pubsub == nil,
    do: @tag(skip: "needs PHOENIX_PUBSUB_EBIN, a folder of compiled phoenix_pubsub")

  test "phoenix_pubsub", %{folder: folder} do
    beams = Path.wildcard(Path.join(@pubsub, "*.beam"))
    application = [mod: {Phoenix.PubSub.Application, []}]
    run("phoenix_pubsub", folder, phoenix_pubsub: dependency(folder, :phoenix_pubsub, "2.2.0", application, beams))
  end

  test "what is no example is an error that says what there is" do
    assert {1, said} = Vm.command(Path.expand("bin/example"), ["hello"])
    assert said =~ "expected an example, one of libcluster, phoenix_pubsub, plain, got 'hello'"
    assert {1, said} = Vm.command(Path.expand("bin/example"), ["plain", "4001"])
    assert said =~ "expected three ports or none, got '4001'"
  end

  defp run(example, folder, dependencies) do
    ports = Enum.sort(Vm.free_ports(3))
    # In the environment of everything that is started, and nothing else.
    mark = "CARAVAN_EXAMPLE=#{example}-#{System.pid()}-#{hd(ports)}"
    command = Enum.join(["exec env", mark, "bin/example", example | ports], " ")

    opts = [
      env: [
        MIX_ENV: "dev",
        MIX_EXS: project(example, folder, dependencies),
        MIX_BUILD_PATH: Path.join(folder, "build"),
        CARAVAN_NIF_PATH: Application.app_dir(:caravan, "priv/caravan_nif.so"),
        CARAVAN_NIF_SHA256: nil,
        CARAVAN_DNS: System.get_env("CARAVAN_DNS")
      ]
    ]

    terminal =
      Vm.open("env", ["--default-signal=HUP", "script", "-q", "-e", "-c", command, "/dev/null"], opts, line: 1_000)

    on_exit(fn -> for pid <- marked(mark), do: System.cmd("kill", ["-KILL", pid], stderr_to_stdout: true) end)

    for line <- greetings(example, ports), reduce: [] do
      said -> await(terminal, line, said)
    end

    assert [_, _, _, _ | _] = marked(mark)
    Port.command(terminal, "\x03")
    assert_receive {^terminal, {:exit_status, 130}}, @deadline
    assert marked(mark) == []
  end

  # For each node, with the ports of the README replaced by those that are free here.
  defp greetings(example, ports) do
    assert [told] =
             for(
               block <- Readme.blocks(Readme.text("examples/#{example}/README.md"), example),
               block.marks["check"] == "example",
               do: block.text
             )

    for line <- String.split(told, "\n", trim: true), do: assert(line in said(example, [4001, 4002, 4003]))
    said(example, ports)
  end

  defp said(example, ports) do
    nodes = for port <- ports, do: "my_app-#{port}@localhost"

    case example do
      "phoenix_pubsub" -> for node <- nodes, other <- nodes -- [node], do: "#{node} is greeted by #{other}"
      _ -> for node <- nodes, do: "#{node} says hello to #{Enum.join(nodes -- [node], " and ")}"
    end
  end

  # Reads on until the line has been said; returns all that was. What switches colours may stand before it.
  defp await(terminal, line, said) do
    if Enum.any?(said, &String.ends_with?(&1, line)) do
      said
    else
      receive do
        {^terminal, {:data, {:eol, text}}} -> await(terminal, line, [String.trim(text) | said])
        {^terminal, {:exit_status, status}} -> flunk("it ended with #{status}:\n#{Enum.join(Enum.reverse(said), "\n")}")
      after
        @deadline -> flunk("expected #{line}, got:\n#{Enum.join(Enum.reverse(said), "\n")}")
      end
    end
  end

  defp marked(mark) do
    for "/proc/" <> rest = path <- Path.wildcard("/proc/[0-9]*/environ"),
        {:ok, environment} <- [File.read(path)],
        mark in String.split(environment, <<0>>),
        do: Path.dirname(rest)
  end

  # The example's project, in which what comes from Hex comes from a folder.
  defp project(example, folder, dependencies) do
    project = File.read!("examples/#{example}/mix.exs")

    replaced =
      for {name, path} <- dependencies, reduce: project do
        text -> String.replace(text, ~r/{:#{name}, "[^"]+"}/, "{:#{name}, path: #{inspect(path)}}")
      end

    assert dependencies == [] == (replaced == project)
    file = Path.join(folder, "#{example}.exs")
    File.write!(file, replaced)
    file
  end

  # A folder that Mix takes for the application, with these files as its sources or, compiled already, its modules.
  defp dependency(folder, name, version, application, files) do
    path = Path.join(folder, "#{name}")
    File.mkdir_p!(Path.join(path, "lib"))
    File.mkdir_p!(Path.join(path, "beams"))

    for file <- files do
      to = if Path.extname(file) == ".beam", do: "beams", else: "lib"
      File.cp!(file, Path.join([path, to, String.replace_suffix(Path.basename(file), ".exs", ".ex")]))
    end

    module = Macro.camelize("#{name}")

    File.write!(Path.join(path, "mix.exs"), """
    defmodule Mix.Tasks.Compile.#{module}Beams do
      use Mix.Task.Compiler

      def run(_args) do
        File.cp_r!("beams", Mix.Project.compile_path())
        {:ok, []}
      end
    end

    defmodule #{module}.MixProject do
      use Mix.Project

      def project do
        [app: :#{name}, version: "#{version}", compilers: [:elixir, :#{name}_beams, :app]]
      end

      def application, do: #{inspect(application)}
    end
    """)

    path
  end
end
