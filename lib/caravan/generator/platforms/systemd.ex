defmodule Caravan.Generator.Platforms.Systemd do
  @moduledoc false

  alias Caravan.Generator.Platform

  @spec platform(Platform.names()) :: Platform.t()
  def platform(%{app: app, label: label}) do
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
        {"/etc/systemd/system/#{app}@.service", unit(app)},
        {"the zone example.org", "#{query}. 60 IN SRV 0 0 4370 host1.example.org.\n"}
      ],
      notes: [
        "Start a node on port 4370: systemctl enable --now #{app}@4370. Ask it: NODE_PORT=4370 bin/#{app} rpc.",
        "Put the cookie into /etc/#{app}/env, readable by root only: RELEASE_COOKIE=$(openssl rand -hex 32).",
        "The target of a record must be what hostname -f prints on that host, in lower case and with its domain."
      ]
    }
  end

  defp unit(app) do
    """
    [Unit]
    Description=#{app} on port %i
    Wants=network-online.target
    After=network-online.target

    [Service]
    User=#{app}
    EnvironmentFile=/etc/#{app}/env
    Environment=NODE_PORT=%i
    Environment=RELEASE_TMP=/run/#{app}-%i
    RuntimeDirectory=#{app}-%i
    ExecStart=/opt/#{app}/bin/#{app} start
    Restart=always
    RestartSec=1

    [Install]
    WantedBy=multi-user.target
    """
  end
end
