defmodule Caravan.Generator.Platforms.Fly do
  @moduledoc false

  alias Caravan.Generator.Platform

  @spec platform(Platform.names()) :: Platform.t()
  def platform(%{label: label}) do
    %Platform{
      host: "FLY_PRIVATE_IP",
      hint: "Fly sets it on its machines; elsewhere set it",
      protocol: "inet6",
      topology: ~s(query: System.fetch_env!("FLY_APP_NAME"\) <> ".internal", type: :aaaa),
      files: [{"fly.toml", toml(label)}],
      notes: [
        "Give all machines the same cookie: fly secrets set RELEASE_COOKIE=\"$(openssl rand -hex 32)\"",
        "The private network reaches every port of a machine: distribution needs no service in fly.toml."
      ]
    }
  end

  defp toml(label) do
    """
    app = "#{label}"
    kill_signal = "SIGTERM"
    kill_timeout = 30
    """
  end
end
