defmodule Caravan.NetnsTest do
  @moduledoc false
  # What the other tests in namespaces take for granted.
  use ExUnit.Case, async: true
  alias Caravan.{Netns, Vm}

  @moduletag :netns

  test "all of it is gone with the process that started it" do
    test = self()

    owner =
      spawn(fn ->
        lab = Netns.start()
        Netns.add_host(lab, "n1", 1)
        # One that would go on for ever, and one that is stopped.
        vm = Vm.start([], within: Netns.enter(lab, "n1"), ip: {0, 0, 0, 0})
        Netns.signal(lab, "STOP", Vm.eval(vm, "os:getpid()"))
        send(test, {:pids, [lab.pid | inside(lab.pid)]})
        Process.sleep(:infinity)
      end)

    assert_receive {:pids, pids}, 30_000
    # The holder, the VM and what the VM started itself.
    assert length(pids) >= 3
    Process.exit(owner, :kill)

    Vm.eventually("no process is left", fn ->
      not Enum.any?(pids, &File.exists?("/proc/#{&1}"))
    end)
  end

  test "hosts reach each other unless cut or parted; holes swallow, refusers refuse, bounds count" do
    lab = Netns.start()
    for n <- 1..2, do: Netns.add_host(lab, "n#{n}", n)
    [a, b] = for n <- 1..2, do: Vm.start([], within: Netns.enter(lab, "n#{n}"), ip: {0, 0, 0, 0})
    Vm.eval(b, "{ok, _} = gen_tcp:listen(4370, [])")

    assert connect(a, "{10,77,0,2}") == :ok
    Netns.part(lab, "n1", 2)
    assert connect(a, "{10,77,0,2}") == :timeout
    Netns.join(lab, "n1", 2)
    assert connect(a, "{10,77,0,2}") == :ok
    Netns.cut(lab, "n2")
    assert connect(a, "{10,77,0,2}") == :timeout
    Netns.heal(lab, "n2")
    Vm.eventually("the cable is back", fn -> connect(a, "{10,77,0,2}") == :ok end)

    assert connect(a, "{10,66,1,2}") == :timeout
    assert connect(a, "{10,67,1,2}") == :econnrefused
    assert Netns.trespassers(lab) == 0
    assert connect(a, "{10,99,1,2}") == :timeout
    assert Netns.trespassers(lab) > 0
    Netns.stop(lab)
  end

  test "a command that fails inside says so" do
    lab = Netns.start()

    assert_raise RuntimeError, ~r/false on hub ended with 1/, fn ->
      Netns.run(lab, "hub", ["false"])
    end

    Netns.stop(lab)
  end

  defp connect(vm, ip) do
    Vm.eval(
      vm,
      "case gen_tcp:connect(#{ip}, 4370, [], 1000) of {ok, S} -> gen_tcp:close(S); {error, R} -> R end"
    )
  end

  # The processes of a PID namespace, by the namespace of its first one.
  defp inside(pid) do
    {:ok, namespace} = File.read_link("/proc/#{pid}/ns/pid")

    for path <- Path.wildcard("/proc/[0-9]*"),
        other = Path.basename(path),
        other != pid,
        File.read_link("#{path}/ns/pid") == {:ok, namespace},
        do: other
  end
end
