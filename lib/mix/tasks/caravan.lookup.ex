defmodule Mix.Tasks.Caravan.Lookup do
  @shortdoc "Looks up the endpoints of a DNS name as Caravan does"

  @moduledoc """
  Looks up the endpoints of a DNS name as Caravan does.

      mix caravan.lookup QUERY [--type srv|a|aaaa|ip] [--nameserver ADDRESS]... [--tcp] [--timeout MS]

      mix caravan.lookup _app._tcp.example.org
      mix caravan.lookup app.service.consul --nameserver 127.0.0.1:8600 --tcp

  Prints the endpoints, the TTL, the server, the transport and the duration. On failure it prints a sentence to
  standard error and exits with status 1. In a release:

      bin/app rpc 'Caravan.report("_app._tcp.example.org", type: :srv)'
  """

  use Mix.Task

  @usage "mix caravan.lookup QUERY [--type srv|a|aaaa|ip] [--nameserver ADDRESS]... [--tcp] [--timeout MS]"
  @switches [type: :string, nameserver: :keep, tcp: :boolean, timeout: :integer]
  @types %{"srv" => :srv, "a" => :a, "aaaa" => :aaaa, "ip" => :ip}

  @impl true
  def run(args) do
    with {:ok, query, options} <- parse(args),
         Mix.Task.run("app.config"),
         :ok <- Caravan.Native.load(),
         {:ok, text} <- Caravan.lookup_table(query, options) do
      Mix.shell().info(text)
    else
      {:error, sentence} ->
        Mix.shell().error(sentence)
        exit({:shutdown, 1})
    end
  end

  @doc false
  def parse(args) do
    case OptionParser.parse(args, strict: @switches) do
      {switches, [query], []} ->
        {:ok, query, options(switches)}

      {_, _, [{switch, value} | _]} ->
        {:error, "unknown or invalid option #{String.trim("#{switch} #{value}")}: expected #{@usage}"}

      {_, names, []} ->
        {:error, "expected one name to look up, got #{length(names)}: #{@usage}"}
    end
  end

  # An unknown type is passed on as it is: the check of the options has the sentence for it.
  defp options(switches) do
    servers = for {:nameserver, server} <- switches, do: server

    Enum.flat_map(switches, fn
      {:type, type} -> [type: Map.get(@types, type, type)]
      {:timeout, timeout} -> [timeout: timeout]
      {:tcp, true} -> [transport: :tcp]
      {_, _} -> []
    end) ++ if(servers == [], do: [], else: [nameservers: servers])
  end
end
