defmodule ExamplesTest do
  @moduledoc false
  # The examples as their README files tell to run them, on ports that are free.
  use ExUnit.Case, async: true
  alias Caravan.{DnsServer, Vm}

  @moduletag :builds
  @moduletag timeout: 180_000

  test "hello: two nodes greet each other" do
    build = Vm.tmp_path("hello")
    on_exit(fn -> File.rm_rf!(build) end)

    server = DnsServer.start()
    [a, b] = ports = Vm.free_ports(2)
    DnsServer.publish(server, "_hello._tcp.test", ports)

    opts = [
      cd: "examples/hello",
      timeout: 120_000,
      env: [
        MIX_ENV: "dev",
        MIX_BUILD_PATH: build,
        ERL_LIBS: Path.join(build, "lib"),
        HELLO_DNS: server.address,
        CARAVAN_NIF_PATH: Application.app_dir(:caravan, "priv/caravan_nif.so"),
        CARAVAN_NIF_SHA256: nil
      ]
    ]

    assert {0, _} = Vm.command("mix", ["compile"], opts)

    # Told in README with the port 4001. What is started ends with its input, as the test's other VMs do.
    start = fn port ->
      command = String.replace(start_command(), "4001", "#{port}")
      script = "#{command} </dev/null & pid=$!; cat >/dev/null; kill -KILL $pid"
      Vm.open("sh", ["-c", script], opts, line: 1_000)
    end

    nodes = for port <- ports, do: start.(port)

    for {node, port, peer} <- Enum.zip([nodes, ports, [b, a]]) do
      assert_said(node, "hello-#{port}@localhost says hello to hello-#{peer}@localhost")
    end
  end

  defp start_command do
    readme = File.read!("examples/hello/README.md")

    assert [[command]] = Regex.scan(~r/^ERL_LIBS=\S+ (elixir .*)$/m, readme, capture: :all_but_first)

    command
  end

  defp assert_said(node, line) do
    assert_receive {^node, {:data, {:eol, said}}}, 60_000
    unless said == line, do: assert_said(node, line)
  end
end
