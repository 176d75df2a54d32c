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
  alias Caravan.CommandLine

  @usage "mix caravan.lookup QUERY [--type srv|a|aaaa|ip] [--nameserver ADDRESS]... [--tcp] [--timeout MS]"
  @switches [type: :string, nameserver: :keep, tcp: :boolean, timeout: :integer]

  @impl true
  def run(args) do
    with {:ok, query, options} <- parse(args),
         Mix.Task.run("app.config"),
         :ok <- Caravan.Native.load(),
         {:ok, text} <- Caravan.lookup_table(query, options) do
      Mix.shell().info(text)
    else
      {:error, sentence} -> CommandLine.fail(sentence)
    end
  end

  @doc false
  def parse(args) do
    case CommandLine.parse(args, @switches, @usage) do
      {:ok, switches, [query]} -> {:ok, query, options(switches)}
      {:ok, _, names} -> {:error, "expected one name to look up, got #{length(names)}: #{@usage}"}
      {:error, sentence} -> {:error, sentence}
    end
  end

  defp options(switches) do
    servers = Keyword.get_values(switches, :nameserver)
    CommandLine.lookup_options(switches) ++ if(servers == [], do: [], else: [nameservers: servers])
  end
end
