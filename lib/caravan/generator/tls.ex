defmodule Caravan.Generator.Tls do
  @moduledoc false
  # The files for distribution over TLS: those of the guide, made for an application. Pure.

  @guide Path.expand("../../../guides/securing-distribution.md", __DIR__)
  @external_resource @guide
  @text File.read!(@guide)

  block = fn check ->
    [_, text] = Regex.run(~r/^<!-- check: #{check} -->\n```\w+\n(.*?)^```$/ms, @text)
    text
  end

  @conf block.("ssl_dist")
  @any_name block.("verify_fun")
  @authority block.("authority")

  @script """
  #!/bin/sh
  # A certificate authority to try TLS with. Makes a folder for each HOST, which is what a node of that host needs as
  # /etc/my_app. ca-key.pem belongs on no node.
  #
  #   sh AUTHORITY_SH HOST...
  set -eu
  umask 077
  cd "$(dirname "$0")"
  """

  @doc "The paths of the files in the folder of a release's templates: the options, the script, what git must not see."
  @spec paths(String.t()) :: [String.t()]
  def paths(dir), do: for(file <- ~w(dist.conf authority.sh .gitignore), do: Path.join([dir, "tls", file]))

  @doc "Their texts, in the same order."
  @spec texts(String.t(), String.t(), :host | :address) :: [String.t()]
  def texts(app, dir, named_by) do
    for text <- [conf(named_by), script(dir), "*.pem\n"], do: String.replace(text, "my_app", app)
  end

  @doc "Where a node has its files."
  @spec home(String.t()) :: String.t()
  def home(app), do: "/etc/#{app}"

  # What no certificate can name in advance, no node can demand.
  defp conf(:host), do: @conf

  defp conf(:address) do
    [before, rest] = String.split(@conf, "{verify, verify_peer}]}].", parts: 2)
    options = @any_name |> String.trim_trailing() |> String.replace("\n", "\n           ")
    before <> "{verify, verify_peer},\n           " <> options <> "]}]." <> rest
  end

  defp script(dir) do
    [authority, request, certificate] = commands()

    String.replace(@script, "AUTHORITY_SH", Path.join(dir, "tls/authority.sh")) <>
      """

      [ -e ca.pem ] || #{authority}

      for host; do
        case $host in
          *:*) names="DNS:$host,IP:$host" ;;
          *[!0-9.]*) names="DNS:$host" ;;
          *) names="DNS:$host,IP:$host" ;;
        esac

      #{indented(request)}
      #{indented(certificate)}
        rm request.pem
        mkdir -p "$host"
        mv key.pem cert.pem "$host"
        cp ca.pem dist.conf "$host"
      done
      """
  end

  # One each, over as many lines as it takes.
  defp commands do
    for command <- @authority |> String.trim() |> String.split(~r/(?<!\\)\n/),
        do: String.replace(command, "DNS:host1.example.org", "$names")
  end

  defp indented(command), do: String.replace(command, ~r/^/m, "  ")
end
