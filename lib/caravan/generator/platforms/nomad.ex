defmodule Caravan.Generator.Platforms.Nomad do
  @moduledoc false

  alias Caravan.Generator.Platform

  @spec platform(Platform.names()) :: Platform.t()
  def platform(%{label: label}) do
    %Platform{
      host: "NOMAD_IP_dist",
      hint: "the job needs a port labelled dist; set it",
      port: "${NOMAD_HOST_PORT_dist}",
      address: :shared,
      topology:
        ~s(query: "#{label}.service.consul", nameservers: ["127.0.0.1:8600"], transport: :tcp, ) <>
          ~s(node_name: "{sname}-{port}@{ip}"),
      files: [{"#{label}.nomad.hcl", job(label)}],
      notes: [
        "Make the cookie: nomad var put nomad/jobs/#{label} cookie=\"$(openssl rand -hex 32)\"",
        "In a network of its own, where 127.0.0.1 isn't the host, the task needs an address of Consul's that it reaches.",
        "A port with `to` is another one inside: see the guide to ECS and Docker, mapped ports."
      ]
    }
  end

  defp job(label) do
    """
    job "#{label}" {
      group "#{label}" {
        count = 3

        network {
          port "dist" {}
        }

        service {
          name = "#{label}"
          port = "dist"

          check {
            type     = "tcp"
            interval = "5s"
            timeout  = "2s"
          }
        }

        task "#{label}" {
          driver = "docker"

          config {
            image        = "#{label}:latest"
            network_mode = "host"
          }

          template {
            destination = "secrets/env"
            env         = true
            data        = <<-EOF
              RELEASE_COOKIE={{ with nomadVar "nomad/jobs/#{label}" }}{{ .cookie }}{{ end }}
            EOF
          }
        }
      }
    }
    """
  end
end
