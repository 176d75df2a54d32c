defmodule Caravan.DoctorSteps do
  @moduledoc "Steps for the tests of the doctor, which is asked in VMs of their own."

  alias Caravan.Vm

  @doc "The findings of `Caravan.Doctor.check/1` in a VM, or in the one that the agent `vm` of a context keeps."
  def check(asker, options \\ []), do: ask(asker, "check(#{term(options)})")

  @doc "The same of `Caravan.Doctor.explain/2`."
  def explain(asker, node, options \\ []), do: ask(asker, "explain(#{term("#{node}")}, #{term(options)})")

  defp ask(%Vm{} = vm, call), do: Vm.eval(vm, "'Elixir.Caravan.Doctor':#{call}")
  defp ask(%{vm: agent}, call), do: Agent.get(agent, fn {vm, _, _} -> ask(vm, call) end, 60_000)

  defp term(term), do: "binary_to_term(base64:decode(\"#{term |> :erlang.term_to_binary() |> Base.encode64()}\"))"

  @doc "Where something is wrong, apart from what is wrong with every VM here: it is on loopback and runs no application."
  def wrong(findings) do
    for finding <- findings,
        finding.verdict != :ok,
        finding.kind not in [:loopback_host, :not_started],
        do: {finding.layer, finding.verdict, finding.kind}
  end

  @doc "What the finding of this kind says."
  def said(findings, kind), do: Enum.find(findings, &(&1.kind == kind)).message
end
