defmodule Caravan.Doctor.Flags do
  @moduledoc false
  # The files that give a release's node and its commands (rpc, remote, stop) their flags: do both have Caravan's, and
  # the same? In a Mix project these are the templates, in a release what came of them.

  alias Caravan.Assignments
  alias Caravan.Doctor.Finding
  alias Caravan.VmArgs

  @required [{"-start_epmd", "false"}, {"-epmd_module", "caravan_epmd"}]
  # What both ends of a link must agree on.
  @alike ~w(-proto_dist -ssl_dist_optfile -setcookie)
  # Those of `-caravan` that only the node itself needs.
  @own ~w(epmd hidden_port)

  @type file :: {path :: String.t(), text :: String.t() | nil}
  @type files :: {:release | :project, node :: file, commands :: file, environment :: String.t()}

  @doc "The files of this VM's release, or those in `templates` of the Mix project in the current folder."
  @spec files(Path.t()) :: files | nil
  def files(templates) do
    release() ||
      if File.regular?("mix.exs"),
        do: {
          :project,
          read(Path.join(templates, "vm.args.eex")),
          read(Path.join(templates, "remote.vm.args.eex")),
          # What these set for all VMs is in no template.
          Enum.map_join([Path.join(templates, "env.sh.eex"), "Dockerfile"], "\n", &environment/1)
        }
  end

  defp environment(path) do
    {_path, text} = read(path)
    for {_, {flag, value, _line}} <- Assignments.flags(path, text || ""), into: "", do: "#{flag} #{value}\n"
  end

  @doc "The files of the release that this VM belongs to."
  @spec release() :: files | nil
  def release do
    case {System.get_env("RELEASE_ROOT"), System.get_env("RELEASE_VSN")} do
      {root, version} when is_binary(root) and is_binary(version) ->
        at = Path.join([root, "releases", version])
        node = System.get_env("RELEASE_VM_ARGS") || Path.join(at, "vm.args")
        commands = System.get_env("RELEASE_REMOTE_VM_ARGS") || Path.join(at, "remote.vm.args")
        {:release, read(node), read(commands), environment()}

      _no_release ->
        nil
    end
  end

  defp read(path) do
    case File.read(path) do
      {:ok, text} -> {path, text}
      {:error, _} -> {path, nil}
    end
  end

  defp environment, do: Enum.map_join(Assignments.variables(), " ", &System.get_env(&1, ""))

  @doc "What is wrong with these files. Whether a project will be a release is for who asks Mix, not a node. Pure."
  @spec findings(files | nil, :node | :tool) :: [Finding.t()]
  def findings(nil, _role), do: []
  def findings({:project, {_, nil}, {_, nil}, _environment}, :node), do: []

  def findings({:project, {node, nil}, {commands, nil}, environment}, :tool) do
    if lacking(flags(environment)) == [],
      do: [Finding.ok(:flags, "env.sh.eex and the Dockerfile give them to a release's node and commands")],
      else: [
        Finding.warning(
          :flags,
          :no_vm_args,
          "there is neither #{node} nor #{commands}, so a release of this project would use epmd",
          "run mix caravan.gen.release, or mix release.init and add these lines to both files: #{required()}"
        )
      ]
  end

  def findings({_kind, {node, node_text}, {commands, commands_text}, environment}, _role) do
    [ours, theirs] = for text <- [node_text, commands_text], do: flags("#{text}\n#{environment}")
    missing = missing(node, node_text, ours, :node) ++ missing(commands, commands_text, theirs, :commands)

    case missing ++ differing(node, ours, commands, theirs) do
      [] -> [Finding.ok(:flags, "#{node} and #{Path.basename(commands)} have the flags, and the same")]
      findings -> findings
    end
  end

  defp missing(path, text, flags, whose) do
    case lacking(flags) do
      [] -> []
      lacking -> [lacking(path, text, Enum.join(lacking, " and "), whose)]
    end
  end

  defp lacking(flags), do: for({flag, value} <- @required, flags[flag] != value, do: "#{flag} #{value}")

  defp lacking(path, text, lacking, whose) do
    what = if text, do: "#{path} lacks #{lacking}", else: "#{path} doesn't exist, and so lacks #{lacking}"

    effect =
      if whose == :node,
        do: "the node asks epmd where its peers are",
        else: "rpc, remote, stop and the like start an epmd, and can't reach the node"

    Finding.fault(:flags, :flags_missing, "#{what}: #{effect}", "add these lines to it: #{required()}")
  end

  defp required, do: Enum.map_join(@required, ", ", fn {flag, value} -> "#{flag} #{value}" end)

  defp differing(node, ours, commands, theirs) do
    keys = Map.keys(ours) ++ Map.keys(theirs)

    for key <- Enum.uniq(keys), not List.keymember?(@required, key, 0), ours[key] != theirs[key] do
      Finding.fault(
        :flags,
        :flags_differ,
        "#{key} is #{shown(key, ours[key])} in #{node} and #{shown(key, theirs[key])} in #{commands}",
        "give it the same value in both files"
      )
    end
  end

  # Cookies are never shown.
  defp shown(_key, nil), do: "not set"
  defp shown("-setcookie", _cookie), do: "set to another value"
  defp shown(_key, value), do: value

  @doc "The flags in a file's text that matter here. Pure."
  @spec flags(String.t()) :: %{String.t() => String.t()}
  def flags(text) do
    for {flag, value, _line} <- VmArgs.flags(text), matters?(flag), into: %{}, do: {flag, value}
  end

  defp matters?("-caravan " <> name), do: name not in @own
  defp matters?(flag), do: flag in @alike or List.keymember?(@required, flag, 0)
end
