defmodule Caravan.Machine do
  @moduledoc false

  # A machine with an /etc of its own, a DNS server that knows a few names, and a VM that looks them up there.

  import ExUnit.Callbacks, only: [start_supervised!: 2]
  alias Caravan.{Knot, Namespace, Vm}

  @doc "Its server listens on 127.0.0.1, 127.0.0.2 and all of IPv6; its own domain is b.test."
  def start do
    machine = Namespace.start("node1.b.test")

    Knot.start(
      "",
      """
      short A 127.1.0.9
      app.a.test A 127.1.0.1
      app.b.test A 127.1.0.2
      only.b.test A 127.1.0.3
      x.y A 127.1.0.4
      x.y.a.test A 127.1.0.5
      h1.a.test A 127.1.0.6
      nodata.a.test AAAA ::7
      nodata.b.test A 127.1.0.7
      listed.b.test A 127.1.0.8
      _svc._tcp.a.test SRV 0 0 3434 h1.a.test
      _svc._tcp.a.test SRV 1 0 3434 h2.a.test
      _svc._tcp.a.test SRV 2 0 3434 h3.a.test
      """,
      ~w(127.0.0.1@53 127.0.0.2@53 ::@53),
      Namespace.enter(machine)
    )

    machine
  end

  @doc "A VM there. It is its starter's, and tests are processes of their own: so an agent has it."
  def vm(machine) do
    start = fn -> Vm.start([], within: Namespace.enter(machine)) end
    vm = start_supervised!({Agent, start}, id: machine.pid)
    :ok = eval(vm, "'Elixir.Caravan.Native':load()")
    vm
  end

  @doc "The value of Erlang expressions in the VM."
  def eval(vm, code), do: Agent.get(vm, &Vm.eval(&1, code), 60_000)

  @doc "`Caravan.lookup/2` in the VM."
  def lookup(vm, name, opts \\ [type: :a]) do
    arguments = :io_lib.format("~p, ~p", [name, opts])
    eval(vm, "'Elixir.Caravan':lookup(#{arguments})")
  end

  @doc "The addresses that the VM finds, or the kind of the failure."
  def found(vm, name, type \\ :a) do
    case lookup(vm, name, type: type) do
      {:ok, found} -> for e <- found.endpoints, ip <- e.addresses, do: to_string(:inet.ntoa(ip))
      {:error, error} -> error.kind
    end
  end

  @doc "The IPv4 addresses that the C library finds."
  def getent(machine, name) do
    command = ["ahostsv4", name]

    case Vm.command("getent", command, within: Namespace.enter(machine)) do
      {0, output} ->
        for [ip | _] <- output |> String.split("\n", trim: true) |> Enum.map(&String.split/1),
            uniq: true,
            do: ip

      {2, _nothing} ->
        :none
    end
  end
end
