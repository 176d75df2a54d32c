defmodule Caravan.Survey.MermaidTest do
  use ExUnit.Case, async: true
  alias Caravan.Survey.{Graph, Mermaid}

  defp node_name(i), do: :"app-#{4370 + i}@h"

  # A full mesh, but for `missing` pairs of numbers.
  defp mesh(count, missing \\ []) do
    edges = for a <- 1..count, b <- 1..count, a < b, do: {node_name(a), node_name(b), kind({a, b}, missing)}
    %Graph{nodes: for(i <- 1..count, do: {node_name(i), if(i == 1, do: :this, else: :answered)}), edges: edges}
  end

  defp kind(pair, missing), do: if(pair in missing, do: :missing, else: :linked)

  defp lines(text), do: for(line <- String.split(text, "\n"), line =~ ~r/^  \w+ (---|-\.)/, do: String.trim(line))
  defp boxes(text), do: Regex.scan(~r/^  (\w+)\["(.*)"\](|:::\w+)$/m, text, capture: :all_but_first)

  test "reads as a flowchart" do
    graph = %Graph{
      nodes: [a@h: :this, b@h: :answered, c@h: :silent, d@h: :unasked, e@h: :unlinked],
      edges: [
        {:a@h, :b@h, :linked},
        {:a@h, :c@h, :linked},
        {:a@h, :e@h, :missing},
        {:b@h, :c@h, :one_sided},
        {:b@h, :d@h, :linked},
        {:b@h, :e@h, :missing}
      ]
    }

    assert Mermaid.render(graph) == """
           %%{init: {"flowchart": {"wrappingWidth": 600}}}%%
           %% Lines are links between nodes, as the nodes tell; dotted ones are missing.
           flowchart LR
             n1["a@h<br/>this node"]:::this
             n2["b@h"]
             n3["c@h<br/>no answer"]:::silent
             n4["d@h<br/>not asked"]:::unasked
             n5["e@h<br/>no links"]:::unlinked
             n1 -.- n5
             n2 -.- n5
             n2 -. at one end only .- n3
             n1 --- n2
             n1 --- n3
             n2 --- n4
             classDef this stroke-width:3px
             classDef silent stroke:#d33,stroke-width:2px,stroke-dasharray:6
             classDef unasked stroke-dasharray:2
             classDef unlinked stroke:#d33,stroke-dasharray:2
             linkStyle 0,1 stroke:#d33,stroke-width:3px
           """
  end

  test "whatever is in a name, nothing of it is Mermaid's, HTML or Markdown" do
    names = [:"x\"]; click n1@h", :"<b>&amp;@h", :"`*a*`@h", :"%%{init}%%@h", :"#35;@h", :"a\nb@h", :"höst-世@h", :end@h]
    graph = %Graph{nodes: for(name <- Enum.sort(names), do: {name, :answered}), edges: []}
    boxes = boxes(Mermaid.render(graph))
    assert for([id, _, _] <- boxes, do: id) == for(i <- 1..8, do: "n#{i}")

    for {[_, text, _], name} <- Enum.zip(boxes, Enum.sort(names)) do
      assert text =~ ~r/^([A-Za-z0-9@._-]|#\d+;)+$/
      decoded = Regex.replace(~r/#(\d+);/, text, fn _, code -> <<String.to_integer(code)::utf8>> end)
      assert decoded == Atom.to_string(name)
    end
  end

  test "a full mesh of ten is drawn line by line, and of eleven as one box beside this node's" do
    assert length(boxes(Mermaid.render(mesh(10)))) == 10
    assert length(lines(Mermaid.render(mesh(10)))) == 45
    text = Mermaid.render(mesh(11))
    assert [[_, "app-4371@h<br/>this node", ":::this"], [_, others, ""]] = boxes(text)
    assert others == "10 nodes, linked with each other:<br/>" <> Enum.map_join(2..11, "<br/>", &"#{node_name(&1)}")
    assert lines(text) == ["n1 --- n2"]
  end

  test "in a large one those that lack a link stand out" do
    text = Mermaid.render(mesh(40, [{2, 3}, {2, 30}]))
    assert [_this, [n2, "app-4372@h", ""], [n3, pair, ""], [n4, rest, ""]] = boxes(text)
    assert pair == "2 nodes, linked with each other:<br/>app-4373@h<br/>app-4400@h"
    assert rest =~ "36 nodes, linked with each other:<br/>app-4374@h<br/>" and rest =~ "<br/>and 24 more"
    lines = lines(text)
    assert hd(lines) == "#{n2} -.- #{n3}"
    assert "#{n2} --- #{n4}" in lines and "#{n3} --- #{n4}" in lines
    assert Enum.uniq(lines) == lines and length(lines) == 6
  end

  test "nodes that differ in more than their links don't share a box" do
    graph = mesh(12)
    nodes = for {node, standing} <- graph.nodes, do: {node, if(node == node_name(5), do: :silent, else: standing)}

    assert Enum.any?(
             boxes(Mermaid.render(%{graph | nodes: nodes})),
             &match?([_, "app-4375@h<br/>no answer", ":::silent"], &1)
           )
  end

  test "what Mermaid would refuse is cut, those that are missing last, and says so" do
    missing = for a <- 1..60, b <- 1..60, a < b, rem(:erlang.phash2({a, b}), 4) == 0, do: {a, b}
    graph = mesh(60, missing)
    text = Mermaid.render(graph)
    lines = lines(text)
    assert length(lines) == 500
    assert Enum.count(lines, &(&1 =~ "-.-")) == length(missing)
    assert [_, left_out] = Regex.run(~r/more\["(\d+) more lines are left out"\]/, text)
    assert String.to_integer(left_out) > 0
  end
end
