defmodule Caravan.Generator do
  @moduledoc false
  # What `mix caravan.gen.release` writes, and what it says: from the texts of the files that are there. Pure.

  alias Caravan.Generator.{EnvSh, Flags, Platform, Platforms}

  @platforms %{
    "kubernetes" => Platforms.Kubernetes,
    "compose" => Platforms.Compose,
    "systemd" => Platforms.Systemd
  }

  @caravan [
    {"-start_epmd", "false", "Caravan finds a node's port in its name, and asks no epmd."},
    {"-epmd_module", "caravan_epmd", "Caravan finds a node's port in its name, and asks no epmd."}
  ]

  @type files :: %{(path :: String.t()) => text :: String.t() | nil}
  @type plan :: %{
          files: [{path :: String.t(), old :: String.t() | nil, new :: String.t()}],
          contradictions: [String.t()],
          told: [{heading :: String.t(), text :: String.t()}]
        }

  @spec platforms() :: [String.t()]
  def platforms, do: @platforms |> Map.keys() |> Enum.sort()

  @doc "The files in the folder of a release's templates, and others that are read."
  @spec paths(String.t()) :: [String.t()]
  def paths(dir), do: templates(dir) ++ ["Dockerfile"]

  defp templates(dir), do: for(file <- ~w(env.sh.eex vm.args.eex remote.vm.args.eex), do: Path.join(dir, file))

  @doc "What to do for the application `app`, whose templates are in `dir`. `files` has the texts of `paths/1`."
  @spec plan(String.t(), String.t(), String.t(), files) :: plan
  def plan(platform, app, dir, files) do
    [env_sh, node, commands] = templates(dir)
    env_text = files[env_sh] || ""
    port = EnvSh.port(env_text)
    platform = platform(platform, app, port)
    {env, in_env} = EnvSh.amend(env_sh, env_text, platform)
    elsewhere = EnvSh.flags(env_sh, env_text) ++ EnvSh.flags("Dockerfile", files["Dockerfile"] || "")
    wanted = @caravan ++ fixed_port(platform, port)

    amended =
      for path <- [node, commands] do
        {text, contradictions} = Flags.amend(path, files[path] || "", wanted, elsewhere)
        {{path, files[path], text}, contradictions}
      end

    {texts, in_args} = Enum.unzip(amended)

    %{
      files: [{env_sh, files[env_sh], env} | texts],
      contradictions: Enum.uniq(in_env ++ Enum.concat(in_args)),
      told: told(platform, app, port)
    }
  end

  defp platform(name, app, port) do
    port = if is_integer(port), do: port, else: 4370
    Map.fetch!(@platforms, name).platform(%{app: app, label: String.replace(app, "_", "-"), port: port})
  end

  # Only where no two nodes share an address may they share a port.
  defp fixed_port(%Platform{address: :own}, :chance),
    do: [
      {"-caravan dist_port", "4370",
       "The digits at the end of a node's name are no port: all nodes listen on this one."}
    ]

  defp fixed_port(_platform, _port), do: []

  defp told(platform, app, port) do
    config = """
    # config/runtime.exs
    if config_env() == :prod do
      config :#{app}, :topologies, #{app}: [#{platform.topology}]
    end

    # lib/#{app}/application.ex, before what needs the cluster
    {Caravan, topologies: Application.get_env(:#{app}, :topologies, [])}
    """

    [{"The topology", config} | platform.files] ++
      [{"To do", Enum.map_join(different(platform, port) ++ platform.notes, &"- #{&1}\n")}]
  end

  defp different(%Platform{address: :own}, :chance) do
    ["Peers are named like the node itself: nodes whose names end in different hashes don't find each other."]
  end

  defp different(_platform, _port), do: []
end
