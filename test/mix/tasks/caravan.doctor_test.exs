defmodule Mix.Tasks.Caravan.DoctorTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureIO
  alias Caravan.{DnsServer, Vm}
  alias Mix.Tasks.Caravan.Doctor

  test "arguments become the node and a topology's options" do
    assert Doctor.parse([]) == {:ok, nil, []}

    args =
      ~w(app-1@h --query a.test --query b.test --nameserver 127.0.0.1 --allow 10.0.0.0/8 --type a --tcp) ++
        ~w(--timeout 500 --node-name {sname}@{ip} --node-sname app)

    assert {:ok, "app-1@h", options} = Doctor.parse(args)

    assert Enum.sort(options) == [
             allow: ["10.0.0.0/8"],
             nameservers: ["127.0.0.1"],
             node_name: "{sname}@{ip}",
             node_sname: "app",
             query: ["a.test", "b.test"],
             timeout: 500,
             transport: :tcp,
             type: :a
           ]

    assert {:error, "expected at most one node, got 2: mix caravan.doctor " <> _} = Doctor.parse(~w(a@h b@h))
    assert {:error, "unknown or invalid option --nope: expected mix caravan" <> _} = Doctor.parse(~w(--nope))
  end

  test "prints what it finds; a fault is status 1" do
    server = DnsServer.start()
    [port] = Vm.free_ports(1)
    DnsServer.publish(server, "app.test", [port], "127.0.0.1")
    args = ["app-#{port}@127.0.0.1", "--query", "app.test", "--nameserver", server.address, "--node-sname", "app"]
    output = capture_io(fn -> assert catch_exit(Doctor.run(args)) == {:shutdown, 1} end)

    # The name that this VM has is another one.
    assert output =~ ~r/^Query app.test\n  FAULT    name          this node's name is caravan-4999@127.0.0.1, but/m
    assert output =~ ~r/^  ok       dns           1 endpoint from #{server.address} \(udp\), TTL 1 s: app-#{port}@/m
    assert output =~ ~r/^Node app-#{port}@127.0.0.1\n  ok       dns           listed by app.test$/m
    assert output =~ ~r/^  FAULT    tcp           nothing listens at 127.0.0.1:#{port} \(connection refused\); start/m
    assert output =~ ~r/^3 faults, \d warnings. Begin with the first/m
    refute output =~ "\e["
  end

  test "wrong options are told" do
    assert capture_io(:stderr, fn -> assert catch_exit(Doctor.run(["--nope"])) == {:shutdown, 1} end) =~ "--nope"
    output = capture_io(fn -> assert catch_exit(Doctor.run(~w(--query a.test --type mx))) == {:shutdown, 1} end)
    assert output =~ "FAULT    topology      option :type of topology :doctor: expected one of :srv, :a,"
  end
end
