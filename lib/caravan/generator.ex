defmodule Caravan.Generator do
  @moduledoc false
  # What `mix caravan.gen.release` writes, and what it says: from the texts of the files that are there. Pure.

  alias Caravan.Assignments
  alias Caravan.Generator.{EnvSh, Flags, Platform, Platforms, Tls}

  @platforms %{
    "kubernetes" => Platforms.Kubernetes,
    "nomad" => Platforms.Nomad,
    "ecs" => Platforms.Ecs,
    "fly" => Platforms.Fly,
    "compose" => Platforms.Compose,
    "ec2" => Platforms.Ec2,
    "systemd" => Platforms.Systemd
  }

  @caravan [
    {"-start_epmd", "false", "Caravan finds a node's port in its name, and asks no epmd."},
    {"-epmd_module", "caravan_epmd", "Caravan finds a node's port in its name, and asks no epmd."}
  ]

  @typedoc """
  The application that clusters and its folder, the release that starts it, and the folder of that one's templates. More
  than one release may be made from these templates.
  """
  @type project :: %{
          app: String.t(),
          home: String.t(),
          release: String.t(),
          releases: pos_integer,
          dir: String.t()
        }
  @type files :: %{(path :: String.t()) => text :: String.t() | nil}
  @type plan :: %{
          files: [{path :: String.t(), old :: String.t() | nil, new :: String.t()}],
          contradictions: [String.t()],
          told: [{heading :: String.t(), text :: String.t()}]
        }

  @spec platforms() :: [String.t()]
  def platforms, do: @platforms |> Map.keys() |> Enum.sort()

  @doc "The project of an application whose release has its name, as Mix makes one unless told otherwise."
  @spec project(String.t()) :: project
  def project(app), do: %{app: app, home: "", release: app, releases: 1, dir: "rel"}

  @doc "The files that are read, and written in part: a release's templates, in `dir`, and the rest."
  @spec paths(String.t()) :: [String.t()]
  def paths(dir), do: templates(dir) ++ Tls.paths(dir) ++ ["Dockerfile"]

  defp templates(dir), do: for(file <- ~w(env.sh.eex vm.args.eex remote.vm.args.eex), do: Path.join(dir, file))

  @doc """
  What to do for a project. `files` has the texts of `paths/1`; options are `tls: true` and `mesh: true`.
  """
  @spec plan(String.t(), keyword, project, files) :: plan
  def plan(platform, options, %{app: app, dir: dir} = project, files) do
    [env_sh | args] = templates(dir)
    env_text = files[env_sh] || ""
    port = EnvSh.port(env_text)
    platform = platform(platform, options, project, port)
    {env, in_env} = EnvSh.amend(env_sh, env_text, platform)
    elsewhere = Assignments.flags(env_sh, env_text) ++ Assignments.flags("Dockerfile", files["Dockerfile"] || "")
    both = @caravan ++ protocol(platform, options, app) ++ fixed_port(platform, port)

    amended =
      for {path, wanted} <- Enum.zip(args, [both ++ mesh(options), both]) do
        {text, contradictions} = Flags.amend(path, files[path] || "", wanted, elsewhere)
        {{path, files[path], text}, contradictions}
      end

    {texts, in_args} = Enum.unzip(amended)

    %{
      files: [{env_sh, files[env_sh], env} | texts] ++ tls(platform, options, app, dir, files),
      contradictions: Enum.uniq(in_env ++ Enum.concat(in_args)),
      told: told(platform, options, project, port)
    }
  end

  defp platform(name, options, %{app: app, release: release, dir: dir}, port) do
    port = if is_integer(port), do: port, else: 4370
    tls = if options[:tls], do: Tls.home(app)

    Map.fetch!(@platforms, name).platform(%{
      app: app,
      label: label(app),
      release: release,
      dir: dir,
      port: port,
      tls: tls
    })
  end

  # DNS knows neither underscores nor, as Kubernetes checks its names, capitals or hyphens at an end.
  defp label(app), do: app |> String.downcase() |> String.replace("_", "-") |> String.trim("-")

  defp protocol(%Platform{protocol: family}, options, app) do
    case {family, options[:tls]} do
      {_, true} ->
        why = "Distribution over TLS, with certificates that both sides verify."
        [{"-proto_dist", "#{family}_tls", why}, {"-ssl_dist_optfile", "#{Tls.home(app)}/dist.conf", why}]

      {"inet6", _} ->
        [{"-proto_dist", "inet6_tcp", "The nodes' addresses are IPv6 ones."}]

      {"inet", _} ->
        []
    end
  end

  # Only where no two nodes share an address may they share a port.
  defp fixed_port(%Platform{address: :own}, :chance),
    do: [
      {"-caravan dist_port", "4370",
       "The digits at the end of a node's name are no port: all nodes listen on this one."}
    ]

  defp fixed_port(_platform, _port), do: []

  # For the node only: a release's commands are linked with nobody else.
  defp mesh(options) do
    if options[:mesh],
      do: [{"-connect_all", "false", "Caravan bounds the links; global would link all with all."}],
      else: []
  end

  # They are the user's from then on.
  defp tls(platform, options, app, dir, files) do
    if options[:tls],
      do:
        for(
          {path, text} <- Enum.zip(Tls.paths(dir), Tls.texts(app, dir, platform.named_by)),
          do: {path, files[path], files[path] || text}
        ),
      else: []
  end

  defp told(platform, options, %{app: app} = project, port) do
    mesh = if options[:mesh], do: ", mesh: [links: 4]", else: ""

    config = """
    # config/runtime.exs
    import Config

    if config_env() == :prod do
      config :#{app}, :topologies, #{app}: [#{platform.topology}#{mesh}]
    end

    # #{within(project, "lib/#{app}/application.ex")}, before what needs the cluster
    {Caravan, topologies: Application.get_env(:#{app}, :topologies, [])}
    """

    notes = releases(project) ++ different(platform, port) ++ certificates(platform, options, project) ++ platform.notes
    [{"The topology", config} | platform.files] ++ [{"To do", Enum.map_join(notes, &"- #{&1}\n")}]
  end

  defp within(%{home: ""}, path), do: path
  defp within(%{home: home}, path), do: Path.join(home, path)

  defp releases(%{releases: 1}), do: []

  defp releases(%{dir: dir}) do
    [
      "Nodes are named after their release, and look for peers of the same name: each release is a cluster of its " <>
        "own. To make one of them all, write one name for <%= @release.name %> in #{Path.join(dir, "env.sh.eex")}."
    ]
  end

  defp different(%Platform{address: :own}, :chance) do
    ["Peers are named like the node itself: nodes whose names end in different hashes don't find each other."]
  end

  defp different(_platform, _port), do: []

  defp certificates(platform, options, %{app: app, dir: dir} = project) do
    script = "sh " <> Path.join(dir, "tls/authority.sh")

    made =
      case platform.named_by do
        :host -> "Make a certificate for each host: #{script} host1.example.org host2.example.org"
        :address -> "Make the nodes' certificate, which they share, since it can't name their addresses: #{script} node"
      end

    if options[:tls] do
      [
        "Add :ssl to extra_applications in #{within(project, "mix.exs")}: without it, the VM lacks the protocol.",
        "#{made}. That does for a trial; in production, have an authority of your own sign them.",
        "Give each node the folder that the script makes as #{Tls.home(app)}, readable by its user; never ca-key.pem."
      ]
    else
      []
    end
  end
end
