defmodule Caravan.Nodes.BootTest do
  use ExUnit.Case, async: false
  alias Caravan.Vm

  @moduletag :nodes
  @moduletag :tmp_dir
  @moduletag timeout: 60_000
  setup do: Vm.no_epmd()

  test "-caravan base_port is what ordinals are added to" do
    [port] = Vm.free_ports(1)
    _vm = Vm.start(~w(-name app-1@127.0.0.1 -caravan base_port #{port - 1}))
    assert Vm.listening?(port)
  end

  test "-caravan base_port is the port of a name without digits" do
    [port] = Vm.free_ports(1)
    _vm = Vm.start(~w(-name app@127.0.0.1 -caravan base_port #{port}))
    assert Vm.listening?(port)
  end

  test "-caravan dist_port is the port of every node" do
    [port] = Vm.free_ports(1)
    flags = ~w(-caravan dist_port #{port})
    a = Vm.start(~w(-name app-1@127.0.0.2) ++ flags, ip: {127, 0, 0, 2})
    _b = Vm.start(~w(-name app-2@127.0.0.3) ++ flags, ip: {127, 0, 0, 3})
    assert Vm.listening?(port, {127, 0, 0, 2}) and Vm.listening?(port, {127, 0, 0, 3})
    assert Vm.eval(a, "net_kernel:connect_node('app-2@127.0.0.3')") == true
  end

  test "a name whose number is no port", %{tmp_dir: dir} do
    line = refused(dir, ~w(-name app-70000@127.0.0.1))
    assert line =~ "app-70000" and line =~ "65535"
  end

  for flag <- ~w(base_port dist_port), value <- ~w(abc 0 65536) do
    test "-caravan #{flag} #{value}", %{tmp_dir: dir} do
      line = refused(dir, ~w(-name app-1@127.0.0.1 -caravan #{unquote(flag)} #{unquote(value)}))

      assert line =~ unquote(flag) and line =~ unquote(value)
    end
  end

  for flag <- ~w(base_port dist_port) do
    test "-caravan #{flag} without a value", %{tmp_dir: dir} do
      line = refused(dir, ~w(-name app-1@127.0.0.1 -caravan #{unquote(flag)}))

      assert line =~
               "flag -caravan #{unquote(flag)}: expected a port from 1 to 65535, got nothing"
    end
  end

  # The third would keep a release from booting: the VM reads the values of these flags as terms.
  for value <- ["4369", "{127,0,0,256}", "127.0.0.1", "{localhost,0}"] do
    test "-caravan epmd #{value}", %{tmp_dir: dir} do
      line = refused(dir, ["-name", "app-1@127.0.0.1", "-caravan", "epmd", unquote(value)])

      assert line =~
               ~s(flag -caravan epmd: expected localhost, an address such as {127,0,0,1}, or one with a port such as ) <>
                 ~s({{127,0,0,1},4369}, got "#{unquote(value)}")
    end
  end

  test "-caravan epmd without a value", %{tmp_dir: dir} do
    assert refused(dir, ~w(-name app-1@127.0.0.1 -caravan epmd)) =~
             "{{127,0,0,1},4369}, got nothing"
  end

  test "-caravan epmd on IPv6, on another port than epmd's" do
    [port, epmd] = Vm.free_ports(2)
    loopback = {0, 0, 0, 0, 0, 0, 0, 1}
    ipv6 = ~w(-proto_dist inet6_tcp)
    flags = ["-caravan", "epmd", "{localhost,#{epmd}}"]
    node = Vm.start(["-name", "app-#{port}@::1" | ipv6 ++ flags], ip: loopback)
    plain = ["-name", "plain@::1", "-start_epmd", "false" | ipv6]
    plain = Vm.start(plain, plain: true, env: [ERL_EPMD_PORT: epmd])
    assert Vm.listening?(epmd, loopback) and not Vm.listening?(epmd)
    assert Vm.eval(plain, "net_kernel:connect_node('app-#{port}@::1')") == true
    # The plain one has registered.
    Vm.await(node, "nodes()", [:"plain@::1"])
    assert {:ok, names} = Vm.eval(plain, "erl_epmd:names({0,0,0,0,0,0,0,1})")
    assert [{~c"app-" ++ _, ^port}, {~c"plain", other}] = Enum.sort(names)

    assert {:port, ^other, 6} =
             Vm.eval(plain, "erl_epmd:port_please(\"plain\", {0,0,0,0,0,0,0,1})")
  end

  test "a missing library", %{tmp_dir: dir} do
    line = refused(dir, ~w(-name app-1@127.0.0.1), ebin: copy(dir))
    assert line =~ "caravan_nif.so is missing"
  end

  test "a library for another platform, and one of another version", %{tmp_dir: dir} do
    ebin = copy(dir)
    library = Path.join(dir, "caravan/priv/caravan_nif.so")
    File.mkdir_p!(Path.dirname(library))
    File.write!(library, "no library at all\n")
    line = refused(dir, ~w(-name app-1@127.0.0.1), ebin: ebin)
    assert line =~ "caravan_nif.so is no library for this system"

    # One for this system, with other functions, as another version's would be.
    File.cp!(Path.join(:code.priv_dir(:crypto), "lib/crypto.so"), library)
    line = refused(dir, ~w(-name app-1@127.0.0.1), ebin: ebin)
    assert line =~ "caravan_nif.so is not the library of this version"
  end

  # Caravan's beams without its library.
  defp copy(dir) do
    ebin = Path.join(dir, "caravan/ebin")
    File.mkdir_p!(ebin)
    File.cp_r!(Application.app_dir(:caravan, "ebin"), ebin)
    ebin
  end

  # The one line that a VM that can't boot leaves behind.
  defp refused(dir, args, opts \\ []) do
    assert {1, output} = Vm.run_to_exit(["-noinput" | args], [cd: dir] ++ opts)
    assert [line] = String.split(output, ~r/\R/, trim: true), "expected one line: #{output}"
    # Nobody's term: tuples only as they are to be written.
    plain = String.replace(line, ~r/\{[\w,]*\}|\{\{[\d,]*\},\d+\}/, "")
    assert String.length(line) > 20 and not String.contains?(plain, ["{", "#", "<<"]), line
    line
  end
end
