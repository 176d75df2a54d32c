defmodule Caravan.Generator.Platforms.Systemd do
  @moduledoc false

  alias Caravan.Generator.Platform

  @spec platform(Platform.names()) :: Platform.t()
  def platform(%{app: app, label: label, release: release}) do
    query = "_#{label}._tcp.example.org"

    %Platform{
      host: "NODE_HOST",
      hint: "hostname -f has no name; set it",
      find: """
      NODE_HOST="${NODE_HOST:-$(hostname -f || true)}"
      """,
      port: "${NODE_PORT:-4370}",
      address: :shared,
      named_by: :host,
      topology: ~s(query: "#{query}"),
      files: [
        {"/etc/systemd/system/#{app}@.service", unit(app, release, "%i")},
        {"the zone example.org", "#{query}. 60 IN SRV 0 0 4370 host1.example.org.\n"}
      ],
      notes: [
        release(app, release),
        cookie(app),
        "The target of a record must be what hostname -f prints on that host, in lower case and with its domain.",
        "Start a node on port 4370: systemctl enable --now #{app}@4370",
        commands(app, release, "NODE_PORT=4370 ")
      ]
    }
  end

  @doc "The unit of one node, or the template of several, each on its own port."
  @spec unit(String.t(), String.t(), port :: String.t() | nil) :: String.t()
  def unit(app, release, port) do
    """
    [Unit]
    Description=#{app}#{if port, do: " on port #{port}"}
    Wants=network-online.target
    After=network-online.target

    [Service]
    User=#{app}
    EnvironmentFile=/etc/#{app}/env
    #{if port, do: "Environment=NODE_PORT=#{port}\n"}Environment=RELEASE_TMP=/run/#{app}#{if port, do: "-#{port}"}
    RuntimeDirectory=#{app}#{if port, do: "-#{port}"}
    ExecStart=/opt/#{app}/bin/#{release} start
    Restart=always
    RestartSec=1

    [Install]
    WantedBy=multi-user.target
    """
  end

  @doc "How the commands of a release get at a node of the unit's, which has its environment from a file."
  @spec commands(String.t(), String.t(), String.t()) :: String.t()
  def commands(app, release, port),
    do: "Ask a node, as root: set -a; . /etc/#{app}/env; #{port}/opt/#{app}/bin/#{release} rpc 'Caravan.doctor()'"

  @doc "What the unit starts, and as whom."
  @spec release(String.t(), String.t()) :: String.t()
  def release(app, release) do
    "On each host, create the user: useradd --system #{app}. Copy the release, _build/prod/rel/#{release}, to " <>
      "/opt/#{app}, where that user can read it."
  end

  @doc "Where the unit has its cookie from."
  @spec cookie(String.t()) :: String.t()
  def cookie(app),
    do:
      "Put the cookie, the same on all hosts, into /etc/#{app}/env, for root only: RELEASE_COOKIE=$(openssl rand -hex 32)"
end
