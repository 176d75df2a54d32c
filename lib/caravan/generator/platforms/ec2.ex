defmodule Caravan.Generator.Platforms.Ec2 do
  @moduledoc false

  alias Caravan.Generator.Platform
  alias Caravan.Generator.Platforms.Systemd

  @spec platform(Platform.names()) :: Platform.t()
  def platform(%{app: app, label: label, release: release, port: port}) do
    %Platform{
      host: "NODE_IP",
      hint: "the instance metadata has no local-ipv4; set it",
      # Version 2 of the metadata service, the only one that new instances have.
      find: """
      if [ -z "$NODE_IP" ]; then
        metadata="${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}/latest"
        token=$(curl -sf -m 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$metadata/api/token" || true)
        NODE_IP=$(curl -sf -m 5 -H "X-aws-ec2-metadata-token: $token" "$metadata/meta-data/local-ipv4" || true)
      fi
      """,
      topology: ~s(query: "#{label}.internal", type: :a),
      files: [{"/etc/systemd/system/#{app}.service", Systemd.unit(app, release, nil)}],
      notes: [
        "Publish each instance's private address as an A record of #{label}.internal, in a private zone of Route 53 or " <>
          "with Cloud Map: aws servicediscovery register-instance --service-id SERVICE_ID --instance-id INSTANCE_ID " <>
          "--attributes AWS_INSTANCE_IPV4=ADDRESS",
        Systemd.release(app, release),
        Systemd.cookie(app),
        "Let the instances' security group reach TCP port #{port} of itself.",
        "Start the node: systemctl enable --now #{app}",
        Systemd.commands(app, release, "")
      ]
    }
  end
end
