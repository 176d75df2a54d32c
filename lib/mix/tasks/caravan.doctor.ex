defmodule Mix.Tasks.Caravan.Doctor do
  @shortdoc "Finds out why nodes don't connect"

  @moduledoc """
  Finds out why nodes don't connect: what `Caravan.doctor/1` and `Caravan.explain/2` do in a running node.

      mix caravan.doctor [NODE] [--query QUERY]... [--type srv|a|aaaa|ip|local] [--nameserver ADDRESS]... [--tcp]
                         [--timeout MS] [--allow NETWORK]... [--node-name TEMPLATE] [--node-sname NAME]
                         [--cookie COOKIE]

      mix caravan.doctor
      mix caravan.doctor my_app-3434@host1.example.org
      mix caravan.doctor --type local
      mix caravan.doctor --query my-app.service.consul --nameserver 127.0.0.1:8600 --tcp

  Checks the native library and the flags of the project's releases; looks up the queries or, if there are none, those of
  libcluster's topologies in the project's configuration; and asks NODE, or the nodes that DNS lists, who they are. The
  options are those of a topology (`Caravan.Options`).

  Mix itself isn't a node, so it has no name to compare with DNS: with `--node-sname`, or NODE, it knows what nodes are
  called, and asks those that DNS lists. It compares their cookie with that of `--cookie` or, without that, the one in
  `RELEASE_COOKIE` or else in `~/.erlang.cookie`. A running node knows more:

      bin/app rpc 'Caravan.doctor()'

  Exits with status 1 if there is a fault.
  """

  use Mix.Task
  alias Caravan.CommandLine

  @usage "mix caravan.doctor [NODE] [--query QUERY]... [--type srv|a|aaaa|ip|local] [--nameserver ADDRESS]... [--tcp] " <>
           "[--timeout MS] [--allow NETWORK]... [--node-name TEMPLATE] [--node-sname NAME] [--cookie COOKIE]"
  @switches [
    query: :keep,
    type: :string,
    nameserver: :keep,
    tcp: :boolean,
    timeout: :integer,
    allow: :keep,
    node_name: :string,
    node_sname: :string,
    cookie: :string
  ]

  @impl true
  def run(args) do
    case parse(args) do
      {:ok, node, options} ->
        Mix.Task.run("app.config")
        {_release, release} = Mix.Project.config() |> CommandLine.releases() |> List.first({nil, []})
        role = if Node.alive?(), do: :node, else: :tool
        options = [role: role, templates: CommandLine.templates(release)] ++ options
        if run_for(node, options) == :fault, do: exit({:shutdown, 1})

      {:error, sentence} ->
        CommandLine.fail(sentence)
    end
  end

  defp run_for(nil, options), do: Caravan.doctor(options)
  defp run_for(node, options), do: Caravan.explain(node, options)

  @doc false
  def parse(args) do
    case CommandLine.parse(args, @switches, @usage) do
      {:ok, switches, nodes} when length(nodes) <= 1 -> {:ok, List.first(nodes), options(switches)}
      {:ok, _, nodes} -> {:error, "expected at most one node, got #{length(nodes)}: #{@usage}"}
      {:error, sentence} -> {:error, sentence}
    end
  end

  defp options(switches) do
    lists = [query: :query, nameservers: :nameserver, allow: :allow]

    for({option, switch} <- lists, [_ | _] = values <- [Keyword.get_values(switches, switch)], do: {option, values}) ++
      CommandLine.lookup_options(switches) ++ Keyword.take(switches, [:node_name, :node_sname, :cookie])
  end
end
