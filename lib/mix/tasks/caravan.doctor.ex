defmodule Mix.Tasks.Caravan.Doctor do
  @shortdoc "Finds out why nodes don't connect"

  @moduledoc """
  Finds out why nodes don't connect: what `Caravan.doctor/1` and `Caravan.explain/2` do in a running node.

      mix caravan.doctor [NODE] [--query QUERY]... [--type srv|a|aaaa|ip|local] [--nameserver ADDRESS]... [--tcp]
                         [--timeout MS] [--allow NETWORK]... [--node-name TEMPLATE] [--node-sname NAME]

      mix caravan.doctor
      mix caravan.doctor my_app-3434@host1.example.org
      mix caravan.doctor --type local
      mix caravan.doctor --query my-app.service.consul --nameserver 127.0.0.1:8600 --tcp

  Checks the native library and the flags of the project's releases; looks up the queries or, if there are none, those of
  libcluster's topologies in the project's configuration; and asks NODE, or the nodes that DNS lists, who they are. The
  options are those of a topology (`Caravan.Options`).

  Mix itself isn't a node, so it has no name to compare with DNS: with `--node-sname`, or NODE, it knows what nodes are
  called, and asks those that DNS lists. It compares their cookie with RELEASE_COOKIE or, without that, the one in
  `~/.erlang.cookie`. A running node knows more:

      bin/app rpc 'Caravan.doctor()'

  Exits with status 1 if there is a fault.
  """

  use Mix.Task

  @usage "mix caravan.doctor [NODE] [--query QUERY]... [--type srv|a|aaaa|ip|local] [--nameserver ADDRESS]... [--tcp] " <>
           "[--timeout MS] [--allow NETWORK]... [--node-name TEMPLATE] [--node-sname NAME]"
  @switches [
    query: :keep,
    type: :string,
    nameserver: :keep,
    tcp: :boolean,
    timeout: :integer,
    allow: :keep,
    node_name: :string,
    node_sname: :string
  ]
  @types %{"srv" => :srv, "a" => :a, "aaaa" => :aaaa, "ip" => :ip, "local" => :local}

  @impl true
  def run(args) do
    case parse(args) do
      {:ok, node, options} ->
        Mix.Task.run("app.config")
        options = [role: if(Node.alive?(), do: :node, else: :tool)] ++ options
        if run_for(node, options) == :fault, do: exit({:shutdown, 1})

      {:error, sentence} ->
        Mix.shell().error(sentence)
        exit({:shutdown, 1})
    end
  end

  defp run_for(nil, options), do: Caravan.doctor(options)
  defp run_for(node, options), do: Caravan.explain(node, options)

  @doc false
  def parse(args) do
    case OptionParser.parse(args, strict: @switches) do
      {switches, nodes, []} when length(nodes) <= 1 ->
        {:ok, List.first(nodes), options(switches)}

      {_, _, [{switch, value} | _]} ->
        {:error, "unknown or invalid option #{String.trim("#{switch} #{value}")}: expected #{@usage}"}

      {_, nodes, []} ->
        {:error, "expected at most one node, got #{length(nodes)}: #{@usage}"}
    end
  end

  # An unknown type is passed on as it is: the check of the options has the sentence for it.
  defp options(switches) do
    lists = [query: :query, nameservers: :nameserver, allow: :allow]

    for({option, switch} <- lists, [_ | _] = values <- [Keyword.get_values(switches, switch)], do: {option, values}) ++
      Enum.flat_map(switches, fn
        {:type, type} -> [type: Map.get(@types, type, type)]
        {:tcp, true} -> [transport: :tcp]
        {key, value} when key in [:timeout, :node_name, :node_sname] -> [{key, value}]
        {_, _} -> []
      end)
  end
end
