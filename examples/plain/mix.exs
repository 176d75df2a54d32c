defmodule MyApp.MixProject do
  use Mix.Project

  def project do
    [
      app: :my_app,
      version: "0.1.0",
      elixir: "~> 1.14",
      start_permanent: Mix.env() == :prod,
      deps: deps()
    ]
  end

  def application, do: [mod: {MyApp.Application, []}, extra_applications: [:logger]]

  defp deps do
    [
      {:caravan, path: "../.."}
    ]
  end
end
