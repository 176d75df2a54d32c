defmodule Mix.Tasks.Caravan.Names do
  @shortdoc "Lists the nodes that run on a machine"

  @moduledoc """
  Lists the nodes that run on this machine or on another one, as `epmd -names` did.

      mix caravan.names [HOST]

  Asks the first 16 ports from `base_port` on, 4370 to 4385, for the names of the nodes that listen there. A node tells
  its name to everyone, without a cookie, unless it uses TLS. If your nodes have another `base_port`, say so here, too:
  `ERL_FLAGS="-caravan base_port 5000" mix caravan.names`.

  From within a node, `:net_adm.names()` returns the same and the node's peers.
  """

  use Mix.Task
  alias Caravan.{CommandLine, Native, Settings}

  @usage "mix caravan.names [HOST]"
  @ports 16
  @timeout 2_000

  @impl true
  def run(args) do
    with {:ok, host} <- parse(args),
         Mix.Task.run("app.config"),
         :ok <- Native.load(),
         {:ok, text} <- names(host) do
      Mix.shell().info(text)
    else
      {:error, sentence} -> CommandLine.fail(sentence)
    end
  end

  @doc false
  def parse(args) do
    case OptionParser.parse(args, strict: []) do
      {[], [], []} -> {:ok, Settings.family() |> Settings.loopback() |> :inet.ntoa() |> to_string()}
      {[], [host], []} -> host(host)
      {_, _, [{switch, _} | _]} -> {:error, "unknown option #{switch}: expected #{@usage}"}
      {_, hosts, []} -> {:error, "expected one host at most, got #{length(hosts)}: #{@usage}"}
    end
  end

  defp host(text) do
    case String.split(text, "@") do
      [host] when host != "" -> {:ok, host}
      _none_or_a_node -> {:error, "expected a host, such as host1.example.org, got #{inspect(text)}: #{@usage}"}
    end
  end

  defp names(host) do
    scan = &Native.scan(&1, host, @ports, Atom.to_string(node()), @timeout)

    case Native.await(scan, @timeout) do
      {:ok, [], nil} -> {:ok, "no node answers on the first #{@ports} ports of #{host} from base_port on"}
      {:ok, [], why} -> {:error, "#{host} can't be reached: #{reason(why)}"}
      {:ok, nodes, _why} -> {:ok, Enum.map_join(nodes, "\n", fn {name, port} -> "name #{name} at port #{port}" end)}
      {:error, {_kind, sentence}} -> {:error, sentence}
      :overdue -> {:error, "#{host} could not be asked in time; this is a bug in Caravan, please report it"}
    end
  end

  defp reason({_kind, reason}), do: reason
  defp reason(:timeout), do: "no answer within #{@timeout} ms"
end
