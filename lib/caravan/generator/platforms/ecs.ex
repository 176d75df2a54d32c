defmodule Caravan.Generator.Platforms.Ecs do
  @moduledoc false

  alias Caravan.Generator.Platform

  @spec platform(Platform.names()) :: Platform.t()
  def platform(%{label: label, port: port}) do
    query = "#{label}.internal"

    %Platform{
      host: "NODE_IP",
      hint: "ECS tells no address, the network mode is not awsvpc, or the image has neither curl nor wget; set it",
      # The metadata of this container; in other network modes its address is nobody else's.
      find: """
      if [ -z "$NODE_IP" ]; then
        metadata=$(curl -sf -m 5 "$ECS_CONTAINER_METADATA_URI_V4" || wget -q -T 5 -O - "$ECS_CONTAINER_METADATA_URI_V4" || true)
        awsvpc='s/.*"NetworkMode":"awsvpc","IPv4Addresses":\\["\\([0-9.]*\\)".*/\\1/p'
        NODE_IP=$(echo "$metadata" | tr -d '[:space:]' | sed -n "$awsvpc")
      fi
      """,
      topology: ~s(query: "#{query}", type: :a),
      files: [{"task-definition.json", task(label, port)}],
      notes: [
        "Publish the tasks in Cloud Map, in a private namespace called internal: aws servicediscovery create-service " <>
          "--name #{label} --namespace-id NAMESPACE_ID --dns-config 'RoutingPolicy=MULTIVALUE,DnsRecords=[{Type=A,TTL=10}]'",
        "Name that service to ECS: aws ecs create-service ... --service-registries registryArn=ARN",
        "Let the tasks' security group reach TCP port #{port} of itself.",
        "With bridge mode and mapped ports, see the guide to ECS and Docker."
      ]
    }
  end

  defp task(label, port) do
    """
    {
      "family": "#{label}",
      "requiresCompatibilities": ["FARGATE"],
      "networkMode": "awsvpc",
      "cpu": "512",
      "memory": "1024",
      "executionRoleArn": "ROLE_ARN",
      "containerDefinitions": [
        {
          "name": "#{label}",
          "image": "#{label}:latest",
          "portMappings": [{"containerPort": #{port}, "protocol": "tcp"}],
          "secrets": [{"name": "RELEASE_COOKIE", "valueFrom": "SECRET_ARN"}]
        }
      ]
    }
    """
  end
end
