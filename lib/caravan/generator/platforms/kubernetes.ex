defmodule Caravan.Generator.Platforms.Kubernetes do
  @moduledoc false

  alias Caravan.Generator.Platform

  @spec platform(Platform.names()) :: Platform.t()
  def platform(%{label: label, dir: dir, port: port, tls: tls}) do
    %Platform{
      host: "POD_IP",
      hint: "set it from status.podIP in the manifest",
      topology: ~s(query: "#{label}-headless", type: :a),
      files: [{"kubernetes.yaml", manifest(label, port) <> certificate(label, tls)}],
      notes:
        [
          "Make the secret: kubectl create secret generic #{label} --from-literal=cookie=\"$(openssl rand -hex 32)\"",
          if(tls, do: secret(label, dir)),
          "The query is completed with the pod's namespace by its resolv.conf.",
          "If pods have IPv6 addresses only, use type: :aaaa, and -proto_dist inet6_tcp in both vm.args files."
        ] -- [nil]
    }
  end

  defp secret(label, dir),
    do: "Make the other one: kubectl create secret generic #{label}-dist --from-file=#{Path.join(dir, "tls/node")}"

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

  defp certificate(_label, nil), do: ""

  defp certificate(label, folder) do
    """
              volumeMounts:
                - name: dist
                  mountPath: #{folder}
                  readOnly: true
          volumes:
            - name: dist
              secret:
                secretName: #{label}-dist
    """
  end
end
