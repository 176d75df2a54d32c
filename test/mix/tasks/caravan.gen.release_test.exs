defmodule Mix.Tasks.Caravan.Gen.ReleaseTest do
  use ExUnit.Case, async: true
  alias Caravan.Vm
  alias Mix.Tasks.Caravan.Gen.Release

  @moduletag :tmp_dir
  @moduletag timeout: 120_000

  test "its switches" do
    assert Release.parse(["--for", "kubernetes"]) == {:ok, "kubernetes", []}
    assert Release.parse(~w(--tls --for fly --mesh)) == {:ok, "fly", [tls: true, mesh: true]}
    assert {:error, "expected --for with one of compose, " <> sentence} = Release.parse(["--for", "vms"])
    assert sentence =~ ~s(, got "vms": mix caravan.gen.release --for compose|)
    assert {:error, "expected --for with one of" <> _} = Release.parse([])
    assert {:error, "expected no words without a switch, got a b:" <> _} = Release.parse(~w(a b --for compose))
    assert {:error, "unknown or invalid option --to: expected mix" <> _} = Release.parse(~w(--to x))
  end

  test "which application and release, and where the templates are" do
    project = fn config, apps ->
      with {:ok, found} <- Release.project(config, apps), do: {found.app, found.home, found.release, found.dir}
    end

    assert project.([app: :a], %{}) == {"a", "", "a", "rel"}
    assert project.([app: :a, releases: [b: [rel_templates_path: "ops"]]], %{}) == {"a", "", "b", "ops"}
    assert project.([app: :a, releases: [b: [rel_templates_path: Path.expand("ops")]]], %{}) == {"a", "", "b", "ops"}
    assert project.([app: :a, releases: [b: [], c: []], default_release: :c], %{}) == {"a", "", "c", "rel"}

    umbrella = fn -> [applications: [runtime_tools: :permanent, web: :permanent, core: :permanent]] end
    apps = %{core: "apps/core", web: "apps/web"}
    assert project.([app: nil, releases: [b: umbrella]], apps) == {"web", "apps/web", "b", "rel"}
    assert project.([app: nil, releases: [b: fn -> [] end]], apps) == {"b", "", "b", "rel"}
    assert {:error, "expected app: or releases:" <> _} = Release.project([app: nil], %{})
  end

  test "how many releases share the templates" do
    for {releases, count} <- [{[], 1}, {[a: []], 1}, {[a: [], b: []], 2}, {[a: [], b: [rel_templates_path: "b"]], 1}] do
      assert {:ok, %{releases: ^count}} = Release.project([app: :a, releases: releases], %{})
    end
  end

  test "as a command: shows what it changes, changes it once, and leaves what contradicts", %{tmp_dir: dir} do
    File.write!(Path.join(dir, "mix.exs"), """
    defmodule Tiny.MixProject do
      use Mix.Project
      def project, do: [app: :tiny, version: "0.1.0"]
    end
    """)

    command = fn -> Vm.command("mix", ~w(caravan.gen.release --for kubernetes), cd: dir, env: env()) end
    assert {0, output} = command.()
    assert output =~ "--- /dev/null\n+++ rel/vm.args.eex\n@@ -0,0 +1,3 @@\n+# Caravan"
    assert output =~ ~s(config :tiny, :topologies, tiny: [query: "tiny-headless", type: :a])
    assert output =~ "    kind: Deployment\n"

    files = fn ->
      for path <- Path.wildcard(Path.join(dir, "rel/*")), into: %{}, do: {Path.basename(path), File.read!(path)}
    end

    written = files.()
    assert Map.keys(written) == ~w(env.sh.eex remote.vm.args.eex vm.args.eex)
    assert {0, output} = command.()
    assert output =~ "rel/vm.args.eex: nothing to add\n"
    refute output =~ "+++"
    assert files.() == written

    File.write!(Path.join(dir, "rel/vm.args.eex"), "-start_epmd true\n")
    assert {1, output} = command.()
    assert output =~ "rel/vm.args.eex:1: expected -start_epmd false, got -start_epmd true"
    assert files.()["vm.args.eex"] =~ ~r/^-start_epmd true\n\n# .*\n-epmd_module caravan_epmd\n$/
  end

  defp env do
    unset = for name <- ~w(MIX_BUILD_PATH MIX_BUILD_ROOT MIX_EXS MIX_DEPS_PATH), do: {name, nil}
    unset ++ [{"MIX_ENV", "prod"}, {"ERL_LIBS", Application.app_dir(:caravan) |> Path.dirname()}]
  end
end
