defmodule Caravan.LiveDashboard do
  @moduledoc """
  A page of [Phoenix LiveDashboard](https://hexdocs.pm/phoenix_live_dashboard) that shows the topologies of a node:
  members, links, lookups, each peer with its state and last error, and refused names.

  Define it in your application, and add it to the dashboard:

      defmodule MyAppWeb.CaravanPage do
        use Caravan.LiveDashboard
      end

      live_dashboard "/dashboard", additional_pages: [caravan: MyAppWeb.CaravanPage]

  It shows the node that is chosen in the dashboard, and is refreshed with it. On a node without Caravan its entry in the
  menu is disabled.

  Caravan is compiled without `phoenix_live_dashboard`, and works with version 0.8: `use` compiles the page where the
  dashboard is a dependency.
  """

  @timeout 5_000

  @doc """
  Makes the module a page, see `Phoenix.LiveDashboard.PageBuilder`.
  """
  defmacro __using__(_options) do
    page = "use Caravan.LiveDashboard in #{inspect(__CALLER__.module)}"
    Caravan.Error.need_package!(page, Phoenix.LiveDashboard.PageBuilder, {:phoenix_live_dashboard, "~> 0.8"})

    quote do
      use Phoenix.LiveDashboard.PageBuilder

      @impl true
      def init(_options), do: {:ok, %{}, process: :caravan}

      @impl true
      def menu_link(_session, %{processes: processes}),
        do: if(:caravan in processes, do: {:ok, "Caravan"}, else: {:disabled, "Caravan"})

      @impl true
      def mount(_params, _session, socket), do: {:ok, look(socket)}

      @impl true
      def handle_refresh(socket), do: {:noreply, look(socket)}

      defp look(socket), do: assign(socket, :statuses, Caravan.LiveDashboard.statuses(socket.assigns.page.node))

      @impl true
      def render(var!(assigns)) do
        unquote(template())
      end
    end
  end

  # For the engine of the dashboard's own version.
  defp template do
    quote do
      ~H"""
      <.card :if={@statuses == %{}} title="Caravan">No topology runs on this node, or it does not answer.</.card>
      <div :for={{title, figures} <- Caravan.LiveDashboard.Rows.cards(@statuses)}>
        <.card_title title={title} />
        <.row>
          <:col :for={{name, figure} <- figures}><.card inner_title={name}><%= figure %></.card></:col>
        </.row>
      </div>
      <.live_table
        id="caravan-lookups"
        page={@page}
        title="Lookups"
        row_fetcher={fn wanted, _node -> Caravan.LiveDashboard.Rows.lookups(@statuses, wanted) end}
        search={false}
        limit={false}
      >
        <:col field={:topology} sortable={:asc} />
        <:col field={:query} sortable={:asc} />
        <:col field={:outcome} />
        <:col field={:age} sortable={:asc} text_align="right" />
        <:col field={:endpoints} sortable={:desc} text_align="right" />
        <:col field={:ttl} header="TTL" text_align="right" />
        <:col field={:server} />
      </.live_table>
      <.live_table
        id="caravan-peers"
        page={@page}
        title="Peers"
        default_sort_by={:state}
        row_fetcher={fn wanted, _node -> Caravan.LiveDashboard.Rows.peers(@statuses, wanted) end}
      >
        <:col field={:node} sortable={:asc} />
        <:col field={:topology} sortable={:asc} />
        <:col field={:state} sortable={:asc} />
        <:col field={:for} sortable={:asc} text_align="right" />
        <:col field={:attempts} header="Failed" sortable={:desc} text_align="right" />
        <:col field={:next_dial} header="Next dial in" sortable={:desc} text_align="right" />
        <:col field={:error} header="Last error" />
      </.live_table>
      <.live_table
        :if={Enum.any?(@statuses, fn {_name, status} -> status.refused != [] end)}
        id="caravan-refused"
        page={@page}
        title="Refused names"
        row_fetcher={fn wanted, _node -> Caravan.LiveDashboard.Rows.refused(@statuses, wanted) end}
        search={false}
        limit={false}
      >
        <:col field={:topology} sortable={:asc} />
        <:col field={:reason} sortable={:asc} />
        <:col field={:count} sortable={:desc} text_align="right" />
        <:col field={:example} />
      </.live_table>
      """
    end
  end

  @doc false
  # What runs on the node, which has 5 s to answer.
  @spec statuses(node) :: %{atom => Caravan.Status.t()}
  def statuses(node) do
    for {name, status} <- :erpc.call(node, Caravan, :status, [], @timeout),
        into: %{},
        do: {name, Caravan.Status.known(name, status)}
  catch
    # It is gone or frozen, or Caravan isn't started there.
    _kind, _reason -> %{}
  end
end
