defmodule VersionsTest do
  use ExUnit.Case, async: true

  # The library refuses to be loaded by another version's modules, so the two are released as one.
  test "the library has the version of the modules" do
    version = Mix.Project.config()[:version]

    assert [_, ^version] =
             Regex.run(~r/^\[workspace\.package\]\nversion = "(.*)"$/m, File.read!("Cargo.toml"))

    # cargo --locked refuses a Cargo.lock that lags behind; of the fuzz targets' nobody would know before bin/fuzz.
    for lock <- ["Cargo.lock", "tools/fuzz/Cargo.lock"] do
      assert [_, ^version] =
               Regex.run(~r/^name = "caravan_nif"\nversion = "(.*)"$/m, File.read!(lock)),
             lock
    end

    assert File.read!("CHANGELOG.md") =~ "\n## #{version} "
  end
end
