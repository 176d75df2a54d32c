defmodule Caravan.Doctor.Text do
  @moduledoc false
  # Findings as plain lines, without colors: they end up in terminals, pipes and tickets. Pure.

  alias Caravan.Doctor.Finding

  @layer_width 12

  @spec render([Finding.t()], heading :: String.t()) :: String.t()
  def render(findings, heading) do
    sections = findings |> Enum.chunk_by(& &1.about) |> Enum.map(&section(&1, heading))
    Enum.map_join(sections ++ [[summary(findings)]], "\n\n", &Enum.join(&1, "\n"))
  end

  defp section([first | _] = findings, heading),
    do: [title(first.about, heading) | Enum.flat_map(findings, &lines/1)]

  defp title(:this_node, heading), do: heading
  defp title({:topology, name, nil}, _heading), do: "Topology #{inspect(name)}"
  defp title({:topology, name, query}, _heading), do: "Topology #{inspect(name)}, query #{query}"
  defp title({:query, query}, _heading), do: "Query #{query}"
  defp title({:node, node}, _heading), do: "Node #{node}"

  defp lines(finding) do
    head = "  #{verdict(finding.verdict)}  #{layer(finding.layer)}  #{finding.message}"
    cure = if finding.cure, do: [String.duplicate(" ", @layer_width + 13) <> "-> " <> finding.cure], else: []
    [head | cure]
  end

  defp verdict(:ok), do: "ok     "
  defp verdict(:warning), do: "WARNING"
  defp verdict(:fault), do: "FAULT  "

  defp layer(layer),
    do: layer |> Atom.to_string() |> String.replace("_", " ") |> String.pad_trailing(@layer_width)

  defp summary(findings) do
    case {count(findings, :fault), count(findings, :warning)} do
      {0, 0} ->
        "Nothing is wrong as far as can be seen from here."

      {0, warnings} ->
        "No faults, #{plural(warnings, "warning")}."

      {1, warnings} ->
        "1 fault, #{plural(warnings, "warning")}."

      {faults, warnings} ->
        "#{faults} faults, #{plural(warnings, "warning")}. Begin with the first fault: it may cause the others."
    end
  end

  defp count(findings, verdict), do: Enum.count(findings, &(&1.verdict == verdict))

  defp plural(1, thing), do: "1 #{thing}"
  defp plural(n, thing), do: "#{n} #{thing}s"
end
