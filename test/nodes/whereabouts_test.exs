defmodule Caravan.Nodes.WhereaboutsTest do
  # Nodes that tell each other where hosts are. On loopback each address of 127.0.0.0/8 is there, and what dials has the
  # source 127.0.0.1: so a node that listens at another one dials from where it doesn't listen.
  use ExUnit.Case, async: true
  alias Caravan.Vm

  @moduletag :nodes
  @moduletag :tmp_dir
  @moduletag timeout: 90_000
  setup do: Vm.no_epmd()

  @app "{ok, _} = application:ensure_all_started(caravan), ok"

  # A system that knows nothing, and says so at once.
  setup %{tmp_dir: dir} do
    inetrc = Path.join(dir, "inetrc")
    File.write!(inetrc, "{lookup, [file]}.\n")
    env = [env: [ERL_INETRC: inetrc]]
    {asked, asked_name, _} = Vm.start_node(logger(), env)
    {asker, _, _} = Vm.start_node(logger(), env)
    %{asked: asked, asked_name: asked_name, asker: asker}
  end

  test "a node is where it says that it listens, not where it dials from", context do
    Vm.eval(context.asked, @app)
    _elsewhere = dialler(context, {127, 0, 0, 2})
    assert connect(context.asker, context.asked_name)
    await_answer(context, {:ok, {127, 0, 0, 2}})
  end

  test "it says so again to one whose application started only then, or again", context do
    elsewhere = dialler(context, {127, 0, 0, 2})
    assert connect(context.asker, context.asked_name)
    Vm.eval(context.asked, @app)
    await_answer(context, {:ok, {127, 0, 0, 2}})
    Vm.eval(context.asked, "exit(whereis(caravan), kill), ok")
    await_answer(context, {:ok, {127, 0, 0, 2}})

    # And what it said itself is known there, too.
    said = "maps:get(said, maps:get('#{context.asked_name}', #{links()}))"
    Vm.await(elsewhere, said, [{127, 0, 0, 1}])
  end

  test "it says so however late its net_kernel knows of the link", context do
    for vm <- [context.asked, context.asker], do: Vm.eval(vm, @app)
    # Neither end of the link gets on without the net_kernel of the node that is dialled.
    Vm.eval(context.asked, "sys:suspend(net_kernel)")
    dial = "net_kernel:connect_node('#{context.asked_name}')"
    Vm.eval(context.asker, "spawn(fun() -> #{dial} end), ok")
    state = "net_kernel:node_info('#{context.asked_name}', state)"
    Vm.await(context.asker, state, {:ok, :pending})
    Vm.eval(context.asker, "sys:suspend(net_kernel)")
    Vm.eval(context.asked, "sys:resume(net_kernel)")

    # The VM has told of the link, and net_kernel hasn't heard.
    Vm.await(context.asker, "maps:keys(#{links()})", [context.asked_name])
    assert Vm.eval(context.asker, state) == {:ok, :pending}
    Vm.eval(context.asker, "sys:resume(net_kernel)")
    said = "[maps:get(said, Link) || Link <- maps:values(#{links()})]"
    Vm.await(context.asked, said, [[{127, 0, 0, 1}]])
  end

  test "where a node that says nothing dials from is told only if it answers there", context do
    Vm.eval(context.asked, @app)
    for ip <- [{127, 0, 0, 2}, {127, 0, 0, 1}], do: dialler(context, ip, nil)
    assert connect(context.asker, context.asked_name)
    await_answer(context, :unknown)
    await_answer(context, {:ok, {127, 0, 0, 1}}, "127-0-0-1.test")
  end

  test "a hidden node, which may be a C node, is told nothing that it hasn't asked for",
       context do
    Vm.eval(context.asked, @app)
    {hidden, hidden_name, _} = Vm.start_node(["-hidden"])
    Vm.eval(hidden, "register(caravan, self()), ok")
    assert connect(hidden, context.asked_name)
    Vm.await(context.asked, "nodes(hidden)", [hidden_name])
    Vm.eval(context.asked, "'Elixir.Caravan':drain()")
    Vm.eval(context.asked, "{caravan, '#{hidden_name}'} ! last")
    assert Vm.eval(hidden, "receive Any -> Any end") == :last
  end

  test "a set-up asks on for a host that nobody knows yet", context do
    for vm <- [context.asked, context.asker], do: Vm.eval(vm, @app)
    assert connect(context.asker, context.asked_name)
    [port] = Vm.free_ports(1)
    late = :"app-#{port}@127-0-0-2.test"
    # It has booted by then: a set-up takes 6.5 s at most.
    vm = listener({127, 0, 0, 2}, @app, port)

    Vm.eval(
      context.asker,
      "spawn(fun() -> persistent_term:put(link, net_kernel:connect_node('#{late}')) end), ok"
    )

    # The dial is under way by the time that anybody hears of the host.
    Vm.await(context.asker, "net_kernel:node_info('#{late}', state)", {:ok, :pending})
    assert connect(vm, context.asked_name)
    Vm.await(context.asker, "persistent_term:get(link, waiting)", true)
  end

  test "and fails soon where nobody could tell", context do
    connect = "timer:tc(net_kernel, connect_node, ['app-4370@nobody-knows.invalid'])"
    {alone, false} = Vm.eval(context.asker, connect)
    # Who has somebody to ask waits a second for an answer.
    assert alone < 900_000, "took #{alone} µs"

    # One that is connected, but says nothing.
    assert connect(context.asker, context.asked_name)
    {silence, false} = Vm.eval(context.asker, connect)
    # Less than a set-up may take, 6.5 s.
    assert silence < 5_000_000, "took #{silence} µs"
  end

  test "other callers get a quick answer", context do
    for vm <- [context.asked, context.asker], do: Vm.eval(vm, @app)
    assert connect(context.asker, context.asked_name)
    ask = ~S|timer:tc(caravan_epmd, address_please, ["app-4370", "nobody-knows.invalid", inet])|
    assert {time, {:error, :nxdomain}} = Vm.eval(context.asker, ask)
    # Less than they would wait for nodes that say nothing, 2 s.
    assert time < 1_900_000, "took #{time} µs"
  end

  test "each node that was ever linked is remembered from the first moment, tools aren't",
       context do
    Vm.eval(context.asked, @app)
    {visible, visible_name, _} = Vm.start_node()
    {hidden, hidden_name, _} = Vm.start_node(["-hidden"])
    for vm <- [visible, hidden], do: assert(connect(vm, context.asked_name))
    was_linked = &"'Elixir.Caravan.Native':was_linked('#{&1}')"
    Vm.await(context.asked, was_linked.(visible_name), true)
    Vm.stop(visible)
    Vm.await(context.asked, "nodes()", [])
    assert Vm.eval(context.asked, was_linked.(visible_name))
    refute Vm.eval(context.asked, was_linked.(hidden_name))
  end

  # A node that dials the one that is asked.
  defp dialler(context, ip, app \\ @app) do
    vm = listener(ip, app, hd(Vm.free_ports(1)))
    assert connect(vm, context.asked_name)
    vm
  end

  # A node that listens on `ip` only; its host is one that nobody knows.
  defp listener(ip, app, port) do
    vm = Vm.start(["-name", "app-#{port}@#{host(ip)}" | logger()], ip: ip)
    if app, do: Vm.eval(vm, app)
    vm
  end

  defp host(ip), do: (ip |> Tuple.to_list() |> Enum.join("-")) <> ".test"

  defp await_answer(context, answer, host \\ "127-0-0-2.test") do
    ask = """
    (fun() -> R = alias(), {caravan, '#{context.asked_name}'} ! {caravan, 1, where, R, "#{host}", inet},
      receive {R, Answer} -> Answer after 3000 -> silence end end)()
    """

    Vm.await(context.asker, ask, answer)
  end

  defp links, do: "maps:get(links, maps:get(known, sys:get_state(caravan)))"
  defp connect(vm, name), do: Vm.eval(vm, "net_kernel:connect_node('#{name}')")
  defp logger, do: ["-pa", Application.app_dir(:logger, "ebin")]
end
