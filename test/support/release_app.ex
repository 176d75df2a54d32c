defmodule Caravan.ReleaseApp do
  @moduledoc "A small application with Caravan as its dependency, made into a release, for tests."

  alias Caravan.Vm

  @name "tiny"

  @mix """
  defmodule Tiny.MixProject do
    use Mix.Project

    def project do
      [app: :tiny, version: "0.1.0", deps: [{:caravan, path: System.fetch_env!("CARAVAN_CHECKOUT")}]]
    end

    # For distribution over TLS.
    @ssl if System.get_env("TINY_SSL"), do: [:ssl], else: []
    def application, do: [mod: {Tiny, []}, extra_applications: [:logger | @ssl]]
  end
  """

  @application """
  defmodule Tiny do
    use Application

    def start(_type, _args) do
      topologies =
        case System.get_env("TINY_TOPOLOGIES") do
          nil -> [tiny: topology()]
          code -> code |> Code.eval_string() |> elem(0)
        end

      with {:ok, pid} <- Supervisor.start_link([{Caravan, topologies: topologies}], strategy: :one_for_one) do
        IO.puts("started \#{node()}")
        {:ok, pid}
      end
    end

    defp topology do
      [
        query: "tiny.test",
        node_name: "{sname}-{port}@{ip}",
        nameservers: [System.fetch_env!("TINY_NAMESERVER")],
        poll_interval: 200,
        mesh:
          case System.get_env("TINY_LINKS") do
            nil -> :full
            n -> [links: String.to_integer(n)]
          end
      ]
    end
  end
  """

  @flags """
  -start_epmd false
  -epmd_module caravan_epmd
  """

  # Keeps the tests on this machine.
  @loopback "-kernel inet_dist_use_interface {127,0,0,1}\n"

  defstruct [:bin, :env, :node, within: []]

  @doc """
  Builds the release in `dir` with the library that is built already. `flags` come into its `vm.args` and its
  `remote.vm.args`, besides those of Caravan. Answers with the path of its script.
  """
  def build(dir, flags \\ @loopback) do
    write_project(dir)
    for file <- ~w(vm.args.eex remote.vm.args.eex), do: write(Path.join([dir, "rel", file]), @flags <> flags)
    release(dir)
  end

  @doc "Writes the application to `dir`, without what a release needs. `TINY_TOPOLOGIES` has its topologies, as Elixir code."
  def write_project(dir),
    do:
      for(
        {path, content} <- [{"mix.exs", @mix}, {"lib/tiny.ex", @application}],
        do: write(Path.join(dir, path), content)
      )

  @doc "Builds the release in `dir`, with more in the environment. Answers with the path of its script."
  def release(dir, env \\ []) do
    case Vm.command("mix", ["release"], cd: dir, env: build_env() ++ env, timeout: 180_000) do
      {0, _} -> Path.join(dir, "_build/prod/rel/#{@name}/bin/#{@name}")
      {status, output} -> raise "mix release ended with #{status}: #{output}"
    end
  end

  defp write(path, content) do
    File.mkdir_p!(Path.dirname(path))
    File.write!(path, content)
  end

  @doc "The application in `iex -S mix`, as README tells it: the command and its environment. Built by `build/1` already."
  def iex(dir, port, nameserver) do
    flags = (@flags <> @loopback) |> String.split() |> Enum.join(" ")
    command = "iex --name #{@name}-#{port}@127.0.0.1 --erl '#{flags}' -S mix"
    libs = Path.join(dir, "_build/prod/lib")
    {command, [{"ERL_LIBS", libs}, {"TINY_NAMESERVER", nameserver} | build_env()]}
  end

  @doc """
  One instance of the release, with folders of its own in `dir`. Not started yet. `host` is that of its name, `within` goes
  before its commands.
  """
  def instance(bin, dir, port, nameserver, opts \\ []) do
    node = "#{@name}-#{port}@#{Keyword.get(opts, :host, "127.0.0.1")}"
    dir = Path.join(dir, "instance-#{port}")
    File.mkdir_p!(dir)

    env = [
      {"RELEASE_NODE", node},
      {"RELEASE_DISTRIBUTION", "name"},
      {"RELEASE_TMP", dir},
      {"TINY_NAMESERVER", nameserver}
    ]

    %__MODULE__{bin: bin, env: env, node: node, within: Keyword.get(opts, :within, [])}
  end

  @doc "Starts the instance in the foreground and waits until its application is up."
  def start(app) do
    Vm.start_command(app.bin, ["start"], "started #{app.node}", env: app.env, within: app.within)
  end

  @doc "Runs a command of the release's script: `{exit status, output}`."
  def run(app, args),
    do: Vm.command(app.bin, args, env: app.env, within: app.within, timeout: 30_000)

  @doc "What the instance prints for an expression; `nil` while it can't be asked."
  def rpc(app, code) do
    with {status, _} when status != 0 <- run(app, ["rpc", "IO.puts(inspect(#{code}))"]) do
      nil
    else
      {0, output} -> String.trim(output)
    end
  end

  @doc """
  The environment to build such an application in. What the surrounding `mix test` was told about its own build is not for
  this one.
  """
  def build_env do
    unset = for name <- ~w(MIX_BUILD_PATH MIX_BUILD_ROOT MIX_EXS MIX_DEPS_PATH), do: {name, nil}

    unset ++
      [
        {"MIX_ENV", "prod"},
        {"CARAVAN_CHECKOUT", File.cwd!()},
        {"CARAVAN_NIF_PATH", Application.app_dir(:caravan, "priv/caravan_nif.so")},
        {"CARAVAN_NIF_SHA256", nil}
      ]
  end
end
