defmodule VersionsTest do
  use ExUnit.Case, async: true

  # The library refuses to be loaded by another version's modules, so the two are released as one.
  test "the library has the version of the modules" do
    version = Mix.Project.config()[:version]
    assert only("Cargo.toml", ~r/^\[workspace\.package\]\nversion = "(.*)"$/m) == version

    # cargo --locked refuses a Cargo.lock that lags behind; of other workspaces' nobody would know before they are built.
    locks = ["Cargo.lock" | Path.wildcard("{native,tools}/**/Cargo.lock")]
    locks = Enum.filter(locks, &(File.read!(&1) =~ ~s(\nname = "caravan_nif"\n)))
    assert "Cargo.lock" in locks

    for lock <- locks,
        do: assert(only(lock, ~r/^name = "caravan_nif"\nversion = "(.*)"$/m) == version, lock)

    assert File.read!("CHANGELOG.md") =~ "\n## #{version} "
  end

  test "the minimum versions are the same wherever they are named" do
    rust = only("Cargo.toml", ~r/^rust-version = "(.*)"$/m)
    assert only("bin/setup", ~r/^ *rust=(.*)$/m) == rust
    assert only("tools/caravan_dns/Cargo.toml", ~r/^rust-version = "(.*)"$/m) == rust
    assert File.read!("native/caravan_nif/Cargo.toml") =~ "\nrust-version.workspace = true\n"

    "~> " <> elixir = Mix.Project.config()[:elixir]
    minimum = %{"Rust" => rust, "Elixir" => elixir, "OTP" => "25"}

    for file <- ~w(bin/setup mix/choice.exs README.md CONTRIBUTING.md), File.exists?(file) do
      named = Regex.scan(~r/(Rust|Elixir|OTP) ([\d.]+\d) or newer/, File.read!(file))
      assert named != [], file

      for [phrase, what, version] <- named,
          do: assert(version == minimum[what], "#{file}: #{phrase}")
    end

    # In other words.
    for file <- ~w(CHANGELOG.md RELEASE.md), File.exists?(file) do
      assert [_ | _] = named = Regex.scan(~r/Rust (1\.\d+)/, File.read!(file), capture: :all_but_first)
      assert Enum.uniq(named) == [[rust]], file
    end
  end

  defp only(file, regex) do
    assert [[found]] = Regex.scan(regex, File.read!(file), capture: :all_but_first),
           "expected exactly one #{inspect(regex)} in #{file}"

    found
  end
end
