defmodule Caravan.Generator.Platforms.Compose do
  @moduledoc false

  alias Caravan.Generator.Platform

  @spec platform(Platform.names()) :: Platform.t()
  def platform(%{label: label, dir: dir, tls: tls}) do
    %Platform{
      host: "NODE_IP",
      hint: "hostname -i has no IPv4 address; set it",
      find: """
      NODE_IP="${NODE_IP:-$(hostname -i | tr ' ' '\\n' | grep -m 1 '^[0-9.]*$' || true)}"
      """,
      topology: ~s(query: "#{label}", type: :a),
      files: [{"compose.yaml", compose(label) <> certificate(dir, tls)}],
      notes: ["Put the cookie into .env: echo \"RELEASE_COOKIE=$(openssl rand -hex 32)\" >>.env"]
    }
  end

  defp compose(label) do
    """
    services:
      #{label}:
        image: #{label}:latest
        environment:
          RELEASE_COOKIE: ${RELEASE_COOKIE:?set it in .env}
        deploy:
          replicas: 3
    """
  end

  defp certificate(_dir, nil), do: ""

  defp certificate(dir, folder) do
    """
        volumes:
          - type: bind
            source: ./#{Path.join(dir, "tls/node")}
            target: #{folder}
            read_only: true
    """
  end
end
