defmodule Mix.Tasks.Caravan.Gen.Release do
  @shortdoc "Makes a release cluster on your platform"

  @moduledoc """
  Makes a release cluster on your platform: adds to `rel/` what its nodes need, and prints what goes elsewhere.

      mix caravan.gen.release --for PLATFORM [--tls] [--mesh]

      mix caravan.gen.release --for kubernetes
      mix caravan.gen.release --for fly --tls

  PLATFORM is #{Enum.join(Caravan.Generator.platforms(), ", ")}.

  `rel/vm.args.eex` and `rel/remote.vm.args.eex` get the flags, `rel/env.sh.eex` the name of a node. The task shows
  each change as a diff. It adds only what is missing, so a second run changes nothing, and it asks nothing. If a line
  of yours contradicts, the task leaves it, says what it expected and, when done, exits with status 1.

  Run it where you run `mix release`: in an umbrella, in its root. Of several releases it takes the default one, or the
  first.

  It prints the topology for your configuration, and the platform's own file: a manifest, a job or a unit.

    * `--tls`: distribution over TLS, with certificates that both sides verify. `rel/tls/` gets its options and a script
      that makes certificates, to try it.
    * `--mesh`: each node keeps four links, instead of one to each other node. For hundreds of nodes.
  """

  use Mix.Task
  alias Caravan.{CommandLine, Generator}
  alias Caravan.Generator.Diff

  @usage "mix caravan.gen.release --for #{Enum.join(Generator.platforms(), "|")} [--tls] [--mesh]"
  @switches [for: :string, tls: :boolean, mesh: :boolean]

  @impl true
  def run(args) do
    with {:ok, platform, options} <- parse(args),
         {:ok, project} <- project(Mix.Project.config(), Mix.Project.apps_paths() || %{}) do
      plan = Generator.plan(platform, options, project, Map.new(Generator.paths(project.dir), &{&1, read(&1)}))
      Enum.each(plan.files, &write/1)
      for {heading, text} <- plan.told, do: Mix.shell().info("\n#{heading}:\n\n#{indented(text)}")
      if plan.contradictions != [], do: CommandLine.fail(Enum.join(["" | plan.contradictions], "\n"))
    else
      {:error, sentence} -> CommandLine.fail(sentence)
    end
  end

  @doc false
  @spec parse([String.t()]) :: {:ok, String.t(), keyword} | {:error, String.t()}
  def parse(args) do
    case CommandLine.parse(args, @switches, @usage) do
      {:ok, switches, []} -> switches |> Keyword.pop(:for) |> platform()
      {:ok, _, words} -> {:error, "expected no words without a switch, got #{Enum.join(words, " ")}: #{@usage}"}
      {:error, sentence} -> {:error, sentence}
    end
  end

  defp platform({name, options}) do
    if name in Generator.platforms(),
      do: {:ok, name, options},
      else:
        {:error,
         "expected --for with one of #{Enum.join(Generator.platforms(), ", ")}, got #{inspect(name)}: #{@usage}"}
  end

  @doc false
  # An umbrella has only releases: what clusters is the first application of its own that a release starts.
  @spec project(keyword, %{atom => Path.t()}) :: {:ok, Generator.project()} | {:error, String.t()}
  def project(config, apps) do
    releases = CommandLine.releases(config)

    case {config[:app], List.first(releases)} do
      {nil, nil} ->
        {:error, "expected app: or releases: in mix.exs, and found neither: in an umbrella, define a release first"}

      {nil, {name, options}} ->
        app = Enum.find(Keyword.keys(options[:applications] || []), name, &is_map_key(apps, &1))
        {:ok, project(app, apps[app] || "", name, options, releases)}

      {app, chosen} ->
        {name, options} = chosen || {app, []}
        {:ok, project(app, "", name, options, releases)}
    end
  end

  defp project(app, home, name, options, releases) do
    same = Enum.count(releases, fn {_, other} -> other[:rel_templates_path] == options[:rel_templates_path] end)

    %{
      app: "#{app}",
      home: home,
      release: "#{name}",
      releases: max(same, 1),
      dir: CommandLine.templates(options)
    }
  end

  defp read(path) do
    case File.read(path) do
      {:ok, text} -> text
      {:error, :enoent} -> nil
      {:error, reason} -> Mix.raise("#{path} can't be read: #{:file.format_error(reason)}")
    end
  end

  defp write({path, text, text}), do: Mix.shell().info("#{path}: nothing to add")

  defp write({path, old, new}) do
    Mix.shell().info(Diff.unified(path, old, new))
    File.mkdir_p!(Path.dirname(path))
    File.write!(path, new)
  end

  defp indented(text), do: String.replace(text, ~r/^(?=.)/m, "    ")
end
