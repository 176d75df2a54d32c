defmodule Caravan.Nodes.DoctorTlsTest do
  # What the doctor finds between nodes whose distribution uses TLS, and others.
  use ExUnit.Case, async: true
  import Caravan.DoctorSteps
  alias Caravan.{Certificates, Vm}

  @moduletag :nodes
  @moduletag timeout: 120_000
  setup do: Vm.no_epmd()

  setup do
    dir = Vm.tmp_path("tls")
    on_exit(fn -> File.rm_rf!(dir) end)
    %{dir: dir, authority: Certificates.authority()}
  end

  test "there, and plain distribution here, or the other way round", context do
    {plain, name, _} = Vm.start_node()
    {vm, node, port} = tls(context, "peer")
    findings = explain(plain, node)
    assert wrong(findings) == [{:handshake, :fault, :peer_tls}]
    assert said(findings, :peer_tls) =~ "start both with the same -proto_dist"

    findings = explain(vm, name)
    assert wrong(findings) == [{:handshake, :fault, :peer_plain}]
    findings = check(vm)
    assert wrong(findings) == []
    assert Enum.find(findings, &(&1.layer == :distribution)).message == "long names, TLS over IPv4"
    assert Enum.find(findings, &(&1.layer == :port)).message =~ "#{port}, on which this node listens"
  end

  test "there, and this VM isn't a node", context do
    {_vm, node, _port} = tls(context, "peer")
    vm = Vm.start(["-proto_dist", "inet_tls" | Certificates.arguments(context.dir, context.authority)])
    assert {:handshake, :warning, :tls} in wrong(explain(vm, node))
    assert {:handshake, :warning, :peer_tls} in wrong(explain(Vm.start([]), node))
  end

  test "a certificate that has expired, here or there; and all is well", context do
    {good, good_name, _} = tls(context, "good")
    {expired, expired_name, _} = tls(context, "expired", validity: {{2020, 1, 1}, {2021, 1, 1}})

    for {vm, node, who} <- [
          {good, expired_name, "this node rejects the certificate of the node there: it has expired"},
          {expired, good_name, "the node there rejects this node's certificate: it has expired"}
        ] do
      findings = explain(vm, node)
      assert wrong(findings) == [{:handshake, :fault, :certificate}]
      assert said(findings, :certificate) =~ who
    end

    {_vm, node, _} = tls(context, "another")
    findings = explain(good, node)
    assert wrong(findings) == []
    assert Enum.find(findings, &(&1.layer == :handshake)).message =~ "is #{node} and has the same cookie"
  end

  defp tls(context, name, opts \\ []) do
    args = Certificates.arguments(Path.join(context.dir, name), context.authority, opts)
    Vm.start_node(["-proto_dist", "inet_tls" | args])
  end
end
