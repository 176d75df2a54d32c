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

  # From OTP 28 on a regex holds a reference. Elixir 1.18 can't compile one that a module attribute brings into a
  # function there, nor can any on 28.0.
  test "no module attribute holds a regex" do
    files = Path.wildcard("{lib,mix}/**/*.{ex,exs}")
    assert length(files) > 50

    for file <- files do
      {_ast, found} = file |> File.read!() |> Code.string_to_quoted!() |> Macro.prewalk([], &regex_in_attribute/2)
      assert found == [], "#{file} has one, in @#{Enum.join(found, ", @")}: write it where it is used"
    end
  end

  defp regex_in_attribute({:@, _, [{name, _, [value]}]} = attribute, found) do
    {_ast, regex?} =
      Macro.prewalk(value, false, &{&1, &2 or match?({sigil, _, _} when sigil in [:sigil_r, :sigil_R], &1)})

    {attribute, if(regex?, do: [name | found], else: found)}
  end

  defp regex_in_attribute(other, found), do: {other, found}

  defp only(file, regex) do
    assert [[found]] = Regex.scan(regex, File.read!(file), capture: :all_but_first),
           "expected exactly one #{inspect(regex)} in #{file}"

    found
  end
end
