defmodule Caravan.Generator.Platforms.Kubernetes do
  @moduledoc false

  alias Caravan.Generator.Platform

  @spec platform(Platform.names()) :: Platform.t()
  def platform(%{label: label, port: port}) do
    %Platform{
      host: "POD_IP",
      hint: "set it from status.podIP in the manifest",
      topology: ~s(query: "#{label}-headless", type: :a),
      files: [{"kubernetes.yaml", manifest(label, port)}],
      notes: [
        "Make the secret: kubectl create secret generic #{label} --from-literal=cookie=\"$(openssl rand -hex 32)\"",
        "The query is completed with the pod's namespace by its resolv.conf.",
        "If pods have IPv6 addresses only, use type: :aaaa, and -proto_dist inet6_tcp in both vm.args files."
      ]
    }
  end

  defp manifest(label, port) do
    """
    apiVersion: v1
    kind: Service
    metadata:
      name: #{label}-headless
    spec:
      clusterIP: None
      publishNotReadyAddresses: true
      selector:
        app: #{label}
      ports:
        - name: dist
          port: #{port}
    ---
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: #{label}
    spec:
      replicas: 3
      selector:
        matchLabels:
          app: #{label}
      template:
        metadata:
          labels:
            app: #{label}
        spec:
          containers:
            - name: #{label}
              image: #{label}:latest
              ports:
                - name: dist
                  containerPort: #{port}
              env:
                - name: POD_IP
                  valueFrom:
                    fieldRef:
                      fieldPath: status.podIP
                - name: RELEASE_COOKIE
                  valueFrom:
                    secretKeyRef:
                      name: #{label}
                      key: cookie
    """
  end
end
