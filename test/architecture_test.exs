defmodule Caravan.ArchitectureTest do
  # The rules of the two folders, read from what the compiled modules call: see ARCHITECTURE.md.
  use ExUnit.Case, async: true

  alias Caravan.{Link, Native, Settings}

  # What each module of link/ may call besides :erlang, the library and the others of this table. net_kernel waits for
  # them, or runs them at boot, when Elixir may not be on the code path yet.
  @link %{
    Link.Admission => [:sys],
    Link.Global => [:application, :persistent_term, :sys],
    Link.KernelOptions => [:application],
    Link.Drain => [:persistent_term],
    Link.EpmdServer => [:init, :logger, :net_kernel],
    Link.Messages => [],
    Link.NodeName => [:inet],
    Link.Resolution => [:inet, :lists],
    Link.SetUp => [:application, :inet]
  }

  # An ordinary process of the application and what it knows.
  @ordinary [Link.NodeServer, Link.SetUps, Link.Whereabouts, Link.Whereabouts.Link]

  @boot [
    Native,
    Settings,
    :application,
    :code,
    :erl_prim_loader,
    :erlang,
    :filename,
    :init,
    :lists,
    :maps
  ]

  test "link/ and what the VM calls keep to Erlang and the library" do
    assert for(module <- modules(), below?(module, Link), do: module) |> Enum.sort() ==
             Enum.sort(Map.keys(@link) ++ @ordinary)

    for {module, allowed} <- @link, do: assert(beyond(calls(module), allowed) == [], "#{module}")
    assert beyond(calls(:caravan_epmd), [:application, :inet, :init]) == []
  end

  test "the stubs use nothing of Elixir's before the library is in" do
    for module <- [Native, Settings], do: assert(calls(module) -- @boot == [])
  end

  test "only a topology's process calls into topology/" do
    assert Enum.flat_map(modules(), &trespasses(&1, calls(&1))) == []
  end

  test "no module calls one that calls it, by whatever way" do
    assert circles(Map.new(modules(), &{&1, calls(&1)})) == []
  end

  test "a circle is found, be it made by calls or by captures" do
    for back <- ["Caravan.Planted.A.f(list)", "[&Caravan.Planted.A.f/1 | list]"] do
      bodies = [A: "Caravan.Planted.B.f(list)", B: "Caravan.Planted.C.f(list)", C: back]

      calls =
        for {name, body} <- [{:D, "Caravan.Planted.A.f(list)"} | bodies], into: %{} do
          {Module.concat(Caravan.Planted, name), calls(planted("Caravan.Planted", body))}
        end

      planted = for {name, _body} <- bodies, do: Module.concat(Caravan.Planted, name)
      assert [circle] = circles(calls)
      assert Enum.sort(circle) == planted
      # A module that calls itself is none, nor is a chain.
      assert circles(Map.update!(calls, Caravan.Planted.C, fn _ -> [Caravan.Planted.C] end)) == []
    end
  end

  test "a call that breaks a rule is found, be it a call or a capture" do
    for body <- ["Enum.count(list)", "{list, [&Enum.count/1]}"] do
      assert beyond(calls(planted("Caravan.Link.Planted", body)), [:inet]) == [Enum]
    end

    for body <- ["Caravan.Topology.Peers.members(list)", "{list, &Caravan.Topology.Peers.list/2}"] do
      calls = calls(planted("Caravan.Planted", body))
      assert trespasses(Caravan.Planted, calls) == [{Caravan.Planted, Caravan.Topology.Peers}]
      assert trespasses(Caravan.Topology.Planted, calls) == []
    end

    calls = calls(planted("Caravan.Planted", "Caravan.Topology.Registry.call(list, :members)"))
    assert trespasses(Caravan.Planted, calls) == []
  end

  defp circles(calls) do
    graph = :digraph.new()
    Enum.each(Map.keys(calls), &:digraph.add_vertex(graph, &1))

    for {module, called} <- calls, other <- called, other != module, is_map_key(calls, other) do
      :digraph.add_edge(graph, module, other)
    end

    circles = :digraph_utils.cyclic_strong_components(graph)
    :digraph.delete(graph)
    circles
  end

  defp planted(name, body) do
    source = """
    defmodule #{name}#{System.unique_integer([:positive])} do
      @compile {:no_warn_undefined, [Caravan.Planted.A, Caravan.Planted.B, Caravan.Planted.C]}
      def f(list), do: #{body}
    end
    """

    [{module, beam}] = Code.compile_string(source)
    :code.purge(module)
    :code.delete(module)
    beam
  end

  defp beyond(calls, allowed),
    do: calls -- ([:erlang, Native, Settings | allowed] ++ Map.keys(@link))

  defp trespasses(caller, calls) do
    if caller == Caravan.Topology or private?(caller),
      do: [],
      else: for(called <- calls, private?(called), do: {caller, called})
  end

  # The registry knows the names of the topologies, not their state, and the config is data: both are anyone's.
  defp private?(module),
    do: below?(module, Caravan.Topology) and module not in [Caravan.Topology.Registry, Caravan.Topology.Config]

  defp below?(module, parent), do: String.starts_with?("#{module}", "#{parent}.")

  defp modules do
    {:ok, modules} = :application.get_key(:caravan, :modules)
    support = "test/support/"

    for module <- modules,
        source = module.module_info(:compile)[:source],
        not String.contains?(to_string(source), support),
        do: module
  end

  # The modules that a module calls, or captures a function of.
  defp calls(module) when is_atom(module), do: module |> :code.which() |> calls()

  defp calls(beam) do
    {:ok, {_module, [{:imports, imports}, {~c"LitT", literals}]}} =
      :beam_lib.chunks(beam, [:imports, ~c"LitT"], [:allow_missing_chunks])

    imported = for {module, _function, _arity} <- imports, do: module
    Enum.uniq(imported ++ captured(literals(literals)))
  end

  # <<size of the whole, compressed; or 0, and plain since OTP 28>>: a count, and each literal behind its size.
  defp literals(:missing_chunk), do: []
  defp literals(<<0::32, plain::binary>>), do: each_literal(plain)
  defp literals(<<_size::32, packed::binary>>), do: packed |> :zlib.uncompress() |> each_literal()

  defp each_literal(<<_count::32, literals::binary>>) do
    for <<size::32, literal::binary-size(size) <- literals>>, do: :erlang.binary_to_term(literal)
  end

  defp captured(fun) when is_function(fun), do: [elem(:erlang.fun_info(fun, :module), 1)]
  defp captured([head | tail]), do: captured(head) ++ captured(tail)
  defp captured(tuple) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> captured()
  defp captured(map) when is_map(map), do: map |> Map.to_list() |> captured()
  defp captured(_term), do: []
end
