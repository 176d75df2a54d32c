# Real nodes, releases, builds by Mix, real DNS servers, network namespaces, chaos and other people's tools each need
# more time or more of the machine than there may be: `mix test --include nodes` and so on.
ExUnit.start(
  exclude: [:nodes, :releases, :builds, :dns, :netns, :chaos, :tools],
  capture_log: true,
  # On a busy machine a process may wait for its turn for longer than the default, 100 ms.
  assert_receive_timeout: 5_000
)

# Tests run `mix` at the same time and read all that it says. From Elixir 1.18 on one of them may say that it waits for the
# other's lock on the build, which nobody changes here.
System.put_env("MIX_OS_CONCURRENCY_LOCK", "0")

# A topology works only on a distributed node; one that doesn't listen needs no port and no epmd.
unless Node.alive?() do
  {:ok, _} = :net_kernel.start(:"caravan-4999@127.0.0.1", %{name_domain: :longnames, dist_listen: false})
end
