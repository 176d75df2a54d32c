defmodule Caravan.Nodes.BoundTest do
  # OTP is asked where it listens, with the address told in each way that it takes.
  use ExUnit.Case, async: true
  alias Caravan.Vm

  @moduletag :nodes
  @moduletag timeout: 60_000
  setup do: Vm.no_epmd()

  @loopback6 {0, 0, 0, 0, 0, 0, 0, 1}

  # No sockaddr is here without a port: OTP takes it from there, and then the node listens on any.
  for {family, host, forms} <- [
        {"inet_tcp", "127.0.0.1",
         [
           use_interface: {127, 0, 0, 2},
           use_interface: :loopback,
           use_interface: :any,
           use_interface: {0, 0, 0, 0},
           listen_options: [],
           listen_options: [ip: {127, 0, 0, 2}],
           listen_options: [ip: :loopback],
           listen_options: [ifaddr: {127, 0, 0, 2}],
           listen_options: [ifaddr: :loopback],
           listen_options: [ip: {127, 0, 0, 2}, ip: {127, 0, 0, 3}],
           listen_options: [ip: {127, 0, 0, 2}, ifaddr: {127, 0, 0, 3}],
           listen_options: [ip: {127, 0, 0, 2}, ip: :any]
         ]},
        {"inet6_tcp", "::1", [use_interface: @loopback6, use_interface: :loopback, use_interface: :any]}
      ] do
    test "the address that #{family} listens on" do
      [port] = Vm.free_ports(1)
      vm = start(~w(-proto_dist #{unquote(family)}))

      for {option, value} <- unquote(Macro.escape(forms)) do
        assert_bound(vm, "app-#{port}@#{unquote(host)}", port, option, value)
      end
    end
  end

  test "an address in a sockaddr" do
    [port] = Vm.free_ports(1)
    vm = start([])

    for address <- [{127, 0, 0, 2}, :loopback, :any] do
      options = [ifaddr: %{family: :inet, addr: address, port: port}]
      assert_bound(vm, "app-#{port}@127.0.0.1", port, :listen_options, options)
    end
  end

  test "inet_dist_use_interface counts before an address in inet_dist_listen_options" do
    [port] = Vm.free_ports(1)
    vm = start(["-kernel", "inet_dist_listen_options", "[{ip,{127,0,0,2}}]"])
    assert_bound(vm, "app-#{port}@127.0.0.1", port, :use_interface, :any)
  end

  # Not a node yet, and not told where to listen.
  defp start(args) do
    vm = Vm.start(args)
    Vm.eval(vm, "application:unset_env(kernel, inet_dist_use_interface)")
    vm
  end

  defp assert_bound(vm, name, port, option, value) do
    value = :io_lib.format("~w", [value])
    Vm.eval(vm, "application:set_env(kernel, inet_dist_#{option}, #{value})")
    assert {:ok, _} = Vm.eval(vm, "net_kernel:start(['#{name}', longnames])")
    asked = Vm.eval(vm, "'Elixir.Caravan.Settings':bound()")

    [address] =
      Vm.eval(vm, """
      [Ip || P <- erlang:ports(), erlang:port_info(P, name) =:= {name, "tcp_inet"},
             {ok, {Ip, #{port}}} <- [inet:sockname(P)]]
      """)

    expected = if address in [{0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 0}], do: nil, else: address
    assert {value, asked} == {value, expected}
    Vm.eval(vm, "net_kernel:stop()")
    Vm.eval(vm, "application:unset_env(kernel, inet_dist_#{option})")
  end
end
