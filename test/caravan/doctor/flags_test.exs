defmodule Caravan.Doctor.FlagsTest do
  use ExUnit.Case, async: true
  alias Caravan.Doctor.Flags

  @ours "-start_epmd false\n-epmd_module caravan_epmd\n"

  defp findings(node, commands, environment \\ "") do
    files = {:release, {"r/vm.args", node}, {"r/remote.vm.args", commands}, environment}
    for finding <- Flags.findings(files, :node), do: {finding.verdict, finding.kind, finding.message}
  end

  test "both files have the flags, in whatever order and among whatever else" do
    other = "# -start_epmd true\n+P 5000 -epmd_module  caravan_epmd # here\n-start_epmd false -mode embedded"
    assert [{:ok, :ok, message}] = findings(@ours, other)
    assert message == "r/vm.args and remote.vm.args have the flags, and the same"
    assert [{:ok, :ok, _}] = findings("", "", "-start_epmd false -epmd_module caravan_epmd")
  end

  test "flags that were forgotten" do
    assert [{:fault, :flags_missing, message}] = findings(@ours, "# nothing\n")

    assert message ==
             "r/remote.vm.args lacks -start_epmd false and -epmd_module caravan_epmd: rpc, remote, stop and the like " <>
               "start an epmd, and can't reach the node"

    assert [{:fault, :flags_missing, message}] = findings("-epmd_module caravan_epmd", @ours)
    assert message == "r/vm.args lacks -start_epmd false: the node asks epmd where its peers are"
    assert [{:fault, :flags_missing, message}] = findings(@ours, nil)
    assert message =~ "r/remote.vm.args doesn't exist"
    assert [{:fault, _, _}, {:fault, _, _}] = findings("#-epmd_module caravan_epmd", "-epmd_module erl_epmd")
  end

  test "a project without the templates: a fault only for who may yet make a release" do
    files = {:project, {"rel/vm.args.eex", nil}, {"rel/remote.vm.args.eex", nil}, ""}
    assert Flags.findings(files, :node) == [] and Flags.findings(nil, :tool) == []
    assert [%{verdict: :warning, kind: :no_vm_args, cure: cure}] = Flags.findings(files, :tool)
    assert cure =~ "mix caravan.gen.release, or mix release.init"
  end

  test "flags that both need alike" do
    a = @ours <> "-caravan base_port 5000 epmd localhost\n-proto_dist inet_tls -caravan hidden_port own"
    assert [{:fault, :flags_differ, base}, {:fault, :flags_differ, protocol}] = Enum.sort(findings(a, @ours))
    assert base == "-caravan base_port is 5000 in r/vm.args and not set in r/remote.vm.args"
    assert protocol == "-proto_dist is inet_tls in r/vm.args and not set in r/remote.vm.args"
    assert [{:ok, _, _}] = findings(a, a)
  end

  test "cookies are compared and never shown" do
    assert [{:fault, :flags_differ, message}] = findings(@ours <> "-setcookie abc", @ours <> "-setcookie xyz")
    assert message == "-setcookie is set to another value in r/vm.args and set to another value in r/remote.vm.args"
  end
end
