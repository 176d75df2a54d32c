defmodule Caravan.LiveDashboardTest do
  # Not async: other tests don't have the package.
  use ExUnit.Case, async: false
  alias Caravan.{Error, LiveDashboard}

  @page """
  defmodule Caravan.LiveDashboardTest.Page do
    use Caravan.LiveDashboard
  end
  """

  defp page do
    modules = Code.compile_file("../support/live_dashboard.exs", __DIR__) ++ Code.compile_string(@page, "page.ex")

    on_exit(fn ->
      for {module, _beam} <- modules do
        :code.purge(module)
        :code.delete(module)
        :code.purge(module)
      end
    end)

    {page, _beam} = List.last(modules)
    page
  end

  defp on(node), do: %{assigns: %{page: %{node: node}}}

  test "without the package the error says what to add" do
    error = assert_raise Error, fn -> Code.compile_string(@page, "page.ex") end
    assert error.kind == :not_loaded
    assert error.message =~ "use Caravan.LiveDashboard in Caravan.LiveDashboardTest.Page needs the package"
    assert error.message =~ ~s(add {:phoenix_live_dashboard, "~> 0.8"} to the dependencies in mix.exs)
  end

  test "the page is in the menu of the nodes where Caravan runs" do
    page = page()
    assert {:ok, session, [process: process]} = page.init([])
    assert is_pid(Process.whereis(process))
    assert page.menu_link(session, %{processes: [process]}) == {:ok, "Caravan"}
    assert page.menu_link(session, %{processes: []}) == {:disabled, "Caravan"}
  end

  test "it looks at the node when it is opened, and at each refresh" do
    page = page()
    start_supervised!({Caravan, topologies: [dashboard_test: [nodes: [:"app-1@h"]]]})
    assert {:ok, socket} = page.mount(%{}, %{}, on(node()))
    assert %{dashboard_test: %Caravan.Status{responding: true}} = socket.assigns.statuses
    :ok = stop_supervised(Caravan)
    assert {:noreply, refreshed} = page.handle_refresh(socket)
    refute is_map_key(refreshed.assigns.statuses, :dashboard_test)
  end

  test "its template calls what there is, and has the fields of the rows" do
    assert {template, %{}} = page().render(%{})
    calls = Regex.scan(~r/Caravan\.LiveDashboard\.Rows\.(\w+)\(([^()]*)\)/, template, capture: :all_but_first)
    assert Enum.map(calls, &hd/1) == ~w(cards lookups peers refused)

    for [name, arguments] <- calls do
      arity = arguments |> String.split(",") |> length()
      assert function_exported?(LiveDashboard.Rows, String.to_atom(name), arity), name
    end

    statuses = %{
      app: %Caravan.Status{
        name: :app,
        peers: [%{node: :a@h, state: :connected, pick: true, state_age: 1, attempts: 0, error: nil, next_dial: nil}],
        queries: [
          %{query: "q", outcome: nil, age: nil, ttl: nil, server: nil, transport: nil, endpoints: nil}
          |> Map.merge(%{unresolved: [], incomplete: nil})
        ],
        refused: [%{reason: :no_port, count: 1, example: "x"}]
      }
    }

    [_ | tables] = String.split(template, "<.live_table")
    assert length(tables) == 3

    for table <- tables do
      [function] = Regex.run(~r/Rows\.(\w+)\(/, table, capture: :all_but_first)
      wanted = %{sort_by: :topology, sort_dir: :asc, search: nil, limit: nil}
      {[row], 1} = apply(LiveDashboard.Rows, String.to_atom(function), [statuses, wanted])

      fields =
        for [field] <- Regex.scan(~r/field=\{:(\w+)\}/, table, capture: :all_but_first), do: String.to_atom(field)

      assert Enum.sort(fields) == row |> Map.delete(:keys) |> Map.keys() |> Enum.sort()
    end
  end

  test "a node that doesn't answer has no topologies" do
    assert LiveDashboard.statuses(:"gone-1@nowhere") == %{}
  end
end
