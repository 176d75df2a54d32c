defmodule Caravan.Nodes.BootTest do
  use ExUnit.Case, async: true
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

  test "-caravan listen_port is where a node listens that peers dial elsewhere" do
    [outer, inner] = Vm.free_ports(2)
    _vm = Vm.start(~w(-name app-#{outer}@127.0.0.1 -caravan listen_port #{inner}))
    assert Vm.listening?(inner) and not Vm.listening?(outer)
  end

  test "-caravan listen_port with a name that has no port", %{tmp_dir: dir} do
    line = refused(dir, ~w(-name app@127.0.0.1 -caravan listen_port 3434))
    assert line =~ ~s(node name "app") and line =~ "no port for its peers to dial"
  end

  test "a hidden node listens anywhere, whatever its name, unless it is to have its own port" do
    [port] = Vm.free_ports(1)
    vm = Vm.start(~w(-hidden -name app-#{port}@127.0.0.1))
    assert Vm.eval(vm, "is_alive()") and not Vm.listening?(port)
    assert Vm.eval(Vm.start(~w(-hidden -name lb-6f3e70001@127.0.0.1)), "is_alive()")
    _vm = Vm.start(~w(-hidden -name app-#{port}@127.0.0.1 -caravan hidden_port own))
    assert Vm.listening?(port)
  end

  test "-caravan hidden_port has one value", %{tmp_dir: dir} do
    for {value, got} <- [{["any"], ~s("any")}, {[], "no value"}] do
      line = refused(dir, ~w(-name app-1@127.0.0.1 -caravan hidden_port) ++ value)
      assert line =~ "flag -caravan hidden_port: expected own, got #{got}"
    end
  end

  test "an unknown flag of -caravan", %{tmp_dir: dir} do
    line = refused(dir, ~w(-name app-1@127.0.0.1 -caravan base_prot 4370))

    assert line =~
             ~s(expected one of base_port N, dist_port N, listen_port N, hidden_port own, epmd ADDRESS, got "base_prot")
  end

  test "a name whose number is no port", %{tmp_dir: dir} do
    line = refused(dir, ~w(-name app-70000@127.0.0.1))
    assert line =~ "app-70000" and line =~ "65535" and line =~ "-caravan dist_port"
    assert refused(dir, ~w(-name lb-6f3e70001@127.0.0.1)) =~ "the digits at the end of a hash"
    assert refused(dir, ~w(-name app-20261126@127.0.0.1)) =~ "the date at its end"
  end

  test "a port that is taken", %{tmp_dir: dir} do
    {_vm, name, port} = Vm.start_node()
    line = refused(dir, ~w(-name #{name}))
    assert line =~ "port #{port}, but another process listens there already"
    assert line =~ "ss -ltnp" and line =~ "-hidden or -dist_listen false"
    # In nobody's way: another address, a tool, a node that doesn't listen.
    other = ~w(-name app-#{port}@127.0.0.2)
    assert Vm.eval(Vm.start(other, ip: {127, 0, 0, 2}), "is_alive()")

    for flags <- [~w(-hidden), ~w(-dist_listen false)],
        do: assert(Vm.eval(Vm.start(~w(-name console-#{port}@127.0.0.1) ++ flags), "is_alive()"))
  end

  test "a port that is taken, over IPv6", %{tmp_dir: dir} do
    {:ok, listener} = :gen_tcp.listen(0, [:inet6, ip: {0, 0, 0, 0, 0, 0, 0, 1}])
    {:ok, port} = :inet.port(listener)
    args = ~w(-proto_dist inet6_tcp -name app-#{port}@::1)
    line = refused(dir, args, ip: {0, 0, 0, 0, 0, 0, 0, 1})
    assert line =~ "port #{port}, but another process listens there already"
  end

  test "a node that is made later, on a port that is taken, is told, and the VM lives" do
    {_vm, _name, port} = Vm.start_node()
    vm = Vm.start([])
    start = "net_kernel:start('app-#{port}@127.0.0.1', \#{name_domain => longnames})"
    assert {:error, _} = Vm.eval(vm, start)
    refute Vm.eval(vm, "is_alive()")
    [free] = Vm.free_ports(1)
    start = "net_kernel:start('app-#{free}@127.0.0.1', \#{name_domain => longnames})"
    assert {:ok, _} = Vm.eval(vm, start)
  end

  for flag <- ~w(base_port dist_port listen_port), value <- ~w(abc 0 65536) do
    test "-caravan #{flag} #{value}", %{tmp_dir: dir} do
      line = refused(dir, ~w(-name app-1@127.0.0.1 -caravan #{unquote(flag)} #{unquote(value)}))

      assert line =~ unquote(flag) and line =~ unquote(value)
    end
  end

  for flag <- ~w(base_port dist_port listen_port) do
    test "-caravan #{flag} without a value", %{tmp_dir: dir} do
      line = refused(dir, ~w(-name app-1@127.0.0.1 -caravan #{unquote(flag)}))

      assert line =~
               "flag -caravan #{unquote(flag)}: expected a port from 1 to 65535, got no value"
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
             "{{127,0,0,1},4369}, got no value"
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

    assert {:port, ^other, 6} = Vm.eval(plain, "erl_epmd:port_please(\"plain\", {0,0,0,0,0,0,0,1})")
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
    assert line =~ "caravan_nif.so can't be loaded on this system. If it is for another one, run `mix deps.compile"

    # One for this system, with other functions, as another version's would be.
    File.cp!(Path.join(:code.priv_dir(:crypto), "lib/crypto.so"), library)
    line = refused(dir, ~w(-name app-1@127.0.0.1), ebin: ebin)
    assert line =~ "caravan_nif.so belongs to another version of Caravan"
  end

  test "a library of another version, whose functions are the same", %{tmp_dir: dir} do
    ebin = copy(dir)
    File.cp_r!(Application.app_dir(:caravan, "priv"), Path.join(dir, "caravan/priv"))
    args = ~w(-name app-#{hd(Vm.free_ports(1))}@127.0.0.1)
    Vm.stop(Vm.start(args, ebin: ebin))

    pretend_version(Path.join(ebin, "Elixir.Caravan.Native.beam"), "2.0.0-another")
    line = refused(dir, args, ebin: ebin)
    assert line =~ "caravan_nif.so belongs to another version of Caravan"
  end

  # Compiles a module anew with `version` wherever it had Caravan's.
  defp pretend_version(beam, version) do
    {:ok, {module, [debug_info: {:debug_info_v1, backend, data}]}} = :beam_lib.chunks(~c"#{beam}", [:debug_info])

    {:ok, forms} = backend.debug_info(:erlang_v1, module, data, [])
    this = to_charlist(Mix.Project.config()[:version])
    changed = replace(forms, {:string, this}, {:string, to_charlist(version)})
    assert changed != forms
    {:ok, ^module, binary} = :compile.forms(changed, [:binary, :return_errors])
    File.write!(beam, binary)
  end

  # Erlang's abstract form of a text, wherever it stands.
  defp replace({:string, line, text}, {:string, text}, {:string, other}),
    do: {:string, line, other}

  defp replace(form, old, new) when is_tuple(form),
    do: form |> Tuple.to_list() |> replace(old, new) |> List.to_tuple()

  defp replace([form | forms], old, new), do: [replace(form, old, new) | replace(forms, old, new)]
  defp replace(form, _old, _new), do: form

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
