defmodule Caravan.Survey.Mermaid do
  @moduledoc false
  # A graph as the text of a Mermaid flowchart. Pure.
  #
  # A picture with more than a few dozen lines shows nothing, and Mermaid itself refuses more than 500. So in a graph of
  # many links, nodes that are all linked with each other and have the same lines to others are drawn as one box. A full
  # mesh is one box then, and who lacks a link stands out.

  alias Caravan.Survey.Graph

  # A full mesh of ten.
  @most_single 45
  # Mermaid's default of maxEdges, which a diagram can't raise.
  @most_drawn 500
  @most_named 12

  # Names stay on one line.
  @head """
  %%{init: {"flowchart": {"wrappingWidth": 600}}}%%
  %% Lines are links between nodes, as the nodes tell; dotted ones are missing.
  flowchart LR
  """

  @classes """
    classDef this stroke-width:3px
    classDef silent stroke:#d33,stroke-width:2px,stroke-dasharray:6
    classDef unasked stroke-dasharray:2
    classDef unlinked stroke:#d33,stroke-dasharray:2
  """

  @spec render(Graph.t()) :: String.t()
  def render(graph) do
    boxes = graph |> boxes() |> Enum.with_index(1)
    ids = for {{_standing, nodes}, index} <- boxes, node <- nodes, into: %{}, do: {node, "n#{index}"}
    {drawn, left_out} = graph.edges |> lines(ids) |> Enum.split(@most_drawn)
    text = for {a, b, kind} <- drawn, do: "  #{a} #{stroke(kind)} #{b}\n"
    left_out = left_out(length(left_out))
    IO.iodata_to_binary([@head, Enum.map(boxes, &box/1), text, left_out, @classes, colors(drawn)])
  end

  ## Which boxes

  defp boxes(%{nodes: nodes, edges: edges}) when length(edges) <= @most_single,
    do: for({node, standing} <- nodes, do: {standing, [node]})

  defp boxes(%{nodes: nodes, edges: edges}) do
    ends = for {a, b, kind} <- edges, {node, other} <- [{a, b}, {b, a}], do: {node, {other, kind}}
    lines = Enum.group_by(ends, &elem(&1, 0), &elem(&1, 1))

    # Whoever is linked with the same nodes, itself included, is linked with those alike.
    nodes
    |> Enum.group_by(fn {node, standing} -> {standing, Enum.sort([{node, :linked} | Map.get(lines, node, [])])} end)
    |> Enum.map(fn {{standing, _lines}, alike} -> {standing, for({node, _} <- alike, do: node)} end)
    |> Enum.sort_by(fn {_standing, [first | _]} -> first end)
  end

  # Those that are missing come first: of too many, they are what matters.
  defp lines(edges, ids) do
    lines =
      for {a, b, kind} <- edges, ids[a] != ids[b], uniq: true, do: {min(ids[a], ids[b]), max(ids[a], ids[b]), kind}

    Enum.sort_by(lines, fn {_, _, kind} -> Enum.find_index([:missing, :one_sided, :linked], &(&1 == kind)) end)
  end

  ## Their text

  defp box({{standing, nodes}, index}) do
    text = nodes |> names() |> Kernel.++(remark(standing)) |> Enum.join("<br/>")
    ["  n#{index}[\"", text, "\"]", class(standing), "\n"]
  end

  defp names([node]), do: [escape(node)]

  defp names(nodes) do
    {named, more} = Enum.split(nodes, @most_named)
    more = if more == [], do: [], else: ["and #{length(more)} more"]
    ["#{length(nodes)} nodes, linked with each other:" | Enum.map(named, &escape/1)] ++ more
  end

  defp remark(:this), do: ["this node"]
  defp remark(:answered), do: []
  defp remark(:silent), do: ["no answer"]
  defp remark(:unasked), do: ["not asked"]
  defp remark(:unlinked), do: ["no links"]

  defp class(:answered), do: ""
  defp class(standing), do: ":::#{standing}"

  defp stroke(:linked), do: "---"
  defp stroke(:one_sided), do: "-. at one end only .-"
  defp stroke(:missing), do: "-.-"

  # Mermaid counts the lines.
  defp colors(drawn) do
    case for {{_, _, :missing}, index} <- Enum.with_index(drawn), do: index do
      [] -> ""
      missing -> "  linkStyle #{Enum.join(missing, ",")} stroke:#d33,stroke-width:3px\n"
    end
  end

  defp left_out(0), do: ""
  defp left_out(count), do: "  more[\"#{count} more lines are left out\"]\n"

  # Mermaid's notation of characters that have a meaning there, in HTML or in Markdown.
  defp escape(node) do
    for <<char::utf8 <- Atom.to_string(node)>>, into: "" do
      if char in ?0..?9 or char in ?A..?Z or char in ?a..?z or char in ~c"@._-", do: <<char>>, else: "##{char};"
    end
  end
end
