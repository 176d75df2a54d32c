defmodule Mix.Tasks.Compile.Caravan do
  @moduledoc false
  # Each mix command of each user reads this file. What the task does is loaded only when it is run.

  use Mix.Task.Compiler

  @impl true
  def run(args), do: build().run(args)

  @impl true
  def manifests, do: build().manifests()

  @impl true
  def clean, do: build().clean()

  defp build do
    # Since Elixir 1.15 Mix takes what the project doesn't use off the code path, and build.exs uses it.
    if function_exported?(Mix, :ensure_application!, 1), do: apply(Mix, :ensure_application!, [:crypto])
    Code.require_file("mix/build.exs", __DIR__)
    Caravan.Build
  end
end

defmodule Caravan.MixProject do
  use Mix.Project

  # For users. RELEASE.md and bench/README.md are for who works in this repository.
  @documents ~w(README.md ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE)
  @guides Enum.sort(Path.wildcard("guides/*.md"))

  def project do
    [
      app: :caravan,
      version: "2.0.0",
      elixir: "~> 1.14",
      compilers: [:caravan | Mix.compilers()],
      elixirc_paths: elixirc_paths(Mix.env()),
      start_permanent: Mix.env() == :prod,
      deps: [],
      name: "Caravan",
      description: "Distributed Erlang and Elixir without epmd: ports from node names, nodes from DNS",
      package: package(),
      docs: docs()
    ]
  end

  def application do
    # The tests make certificates.
    [
      mod: {Caravan.Application, []},
      extra_applications: if(Mix.env() == :test, do: [:logger, :ssl], else: [:logger])
    ]
  end

  defp elixirc_paths(:test), do: ["lib", "test/support"]
  defp elixirc_paths(_), do: ["lib"]

  # Only data: bin/docs writes it into a file. ExDoc leaves out the modules that are internal (`@moduledoc false`).
  defp docs do
    [
      main: "readme",
      assets: %{"guides/images" => "guides/images"},
      extras: ["README.md" | @guides] ++ tl(@documents),
      groups_for_extras: [Guides: @guides, Project: tl(@documents)],
      groups_for_modules: [
        Clusters: [Caravan, Caravan.Cluster.DnsStrategy, Caravan.PubSub, Caravan.Options],
        Operating: [
          Caravan.Status,
          Caravan.Telemetry,
          Caravan.LiveDashboard,
          Caravan.Doctor,
          Caravan.Doctor.Finding,
          Caravan.Error
        ],
        "DNS and handshakes": [Caravan.Lookup, Caravan.Endpoint, Caravan.Handshake],
        Distribution: [:caravan_epmd]
      ],
      # It tells of the internal modules.
      skip_undefined_reference_warnings_on: ["ARCHITECTURE.md"]
    ]
  end

  defp package do
    [
      licenses: ["Apache-2.0"],
      links: %{},
      files: ~w(lib native .cargo Cargo.toml Cargo.lock mix mix.exs .formatter.exs guides) ++ @documents
    ]
  end
end
