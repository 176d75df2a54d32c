Code.require_file("mix/target.exs")

defmodule Caravan.Build.TargetTest do
  use ExUnit.Case, async: true

  alias Caravan.Build.Target

  # What VMs, distributions and toolchains call systems, and what Rust does.
  for {name, target, system, cpu, libc} <- [
        {"x86_64-pc-linux-gnu", "x86_64-unknown-linux-gnu", :linux, "x86_64", :glibc},
        {"x86_64-redhat-linux-gnu", "x86_64-unknown-linux-gnu", :linux, "x86_64", :glibc},
        {"x86_64-linux-gnu", "x86_64-unknown-linux-gnu", :linux, "x86_64", :glibc},
        {"amd64-pc-linux-gnu", "x86_64-unknown-linux-gnu", :linux, "x86_64", :glibc},
        {"aarch64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", :linux, "aarch64", :glibc},
        {"aarch64-nerves-linux-gnu", "aarch64-unknown-linux-gnu", :linux, "aarch64", :glibc},
        {"x86_64-alpine-linux-musl", "x86_64-unknown-linux-musl", :linux, "x86_64", :musl},
        {"x86_64-pc-linux-musl", "x86_64-unknown-linux-musl", :linux, "x86_64", :musl},
        {"aarch64-buildroot-linux-musl", "aarch64-unknown-linux-musl", :linux, "aarch64", :musl},
        {"armv7-nerves-linux-gnueabihf", "armv7-unknown-linux-gnueabihf", :linux, "arm", :glibc},
        {"armv7-alpine-linux-musleabihf", "armv7-unknown-linux-musleabihf", :linux, "arm", :musl},
        {"x86_64-pc-linux-gnux32", "x86_64-unknown-linux-gnux32", :linux, "x86_64", :glibc},
        {"riscv64-unknown-linux-gnu", "riscv64gc-unknown-linux-gnu", :linux, "riscv64gc", :glibc},
        {"i686-pc-linux-gnu", "i686-unknown-linux-gnu", :linux, "i686", :glibc},
        {"aarch64-unknown-linux-android", "aarch64-unknown-linux-android", :linux, "aarch64", nil},
        {"s390x-ibm-linux-gnu", "s390x-unknown-linux-gnu", :linux, nil, :glibc},
        {"aarch64-apple-darwin24.1.0", "aarch64-apple-darwin", :darwin, "aarch64", nil},
        {"arm-apple-darwin20.3.0", "aarch64-apple-darwin", :darwin, "aarch64", nil},
        {"x86_64-apple-darwin23.6.0", "x86_64-apple-darwin", :darwin, "x86_64", nil},
        {"win32", "win32", :windows, nil, nil},
        {"x86_64-pc-windows-gnu", "x86_64-pc-windows-gnu", :windows, "x86_64", nil},
        {"amd64-portbld-freebsd14.1", "amd64-portbld-freebsd14.1", :other, "x86_64", nil},
        {"nonsense", "nonsense", :other, nil, nil}
      ] do
    test "#{name} is #{target}" do
      assert Target.parse(unquote(name)) == %Target{
               name: unquote(target),
               system: unquote(system),
               cpu: unquote(cpu),
               libc: unquote(libc)
             }
    end
  end

  test "Rust's own names stay as they are" do
    for name <- ~w(x86_64-unknown-linux-musl aarch64-apple-darwin x86_64-pc-windows-msvc),
        do: assert(Target.parse(name).name == name)
  end

  test "the library's names" do
    for {name, extension, built} <- [
          {"x86_64-pc-linux-gnu", "so", "libcaravan_nif.so"},
          {"aarch64-apple-darwin24.1.0", "so", "libcaravan_nif.dylib"},
          {"win32", "dll", "caravan_nif.dll"}
        ] do
      target = Target.parse(name)
      assert {Target.extension(target), Target.built_name(target)} == {extension, built}
    end
  end
end
