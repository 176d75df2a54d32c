# Stands in for the package phoenix_live_dashboard: what `use Phoenix.LiveDashboard.PageBuilder` gives a page.
defmodule Phoenix.LiveDashboard.PageBuilder do
  @moduledoc false

  @callback init(term) :: {:ok, map} | {:ok, map, keyword}
  @callback menu_link(map, map) :: {:ok, String.t()} | {:disabled, String.t()}
  @callback mount(map, map, map) :: {:ok, map}
  @callback handle_refresh(map) :: {:noreply, map}
  @callback render(map) :: term

  defmacro __using__(_options) do
    quote do
      import Phoenix.LiveDashboard.PageBuilder
      @behaviour Phoenix.LiveDashboard.PageBuilder
      def init(options), do: {:ok, options}
      defoverridable init: 1
    end
  end

  def assign(socket, key, value), do: put_in(socket.assigns[key], value)

  # The template itself, where Phoenix's engine would fill it in.
  defmacro sigil_H(template, []) do
    unless Macro.Env.has_var?(__CALLER__, {:assigns, nil}), do: raise("~H needs the variable assigns")

    quote do
      {unquote(template), var!(assigns)}
    end
  end
end
