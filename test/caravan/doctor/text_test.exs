defmodule Caravan.Doctor.TextTest do
  use ExUnit.Case, async: true
  alias Caravan.Doctor.{Finding, Text}

  test "a section for each thing that was checked, and a summary" do
    findings = [
      Finding.ok(:library, "loaded"),
      Finding.fault(:epmd_module, :no_epmd_module, "missing", "add it"),
      %{Finding.warning(:dns, :incomplete, "half") | about: {:topology, :app, "app.test"}},
      %{Finding.fault(:tcp, :refused, "nobody there") | about: {:node, "a@h"}}
    ]

    assert Text.render(findings, "Node b@h") == """
           Node b@h
             ok       library       loaded
             FAULT    epmd module   missing
                                    -> add it

           Topology :app, query app.test
             WARNING  dns           half

           Node a@h
             FAULT    tcp           nobody there

           2 faults, 1 warning. Begin with the first fault: it may cause the others.\
           """
  end

  test "the summary and the worst verdict" do
    fine = Finding.ok(:library, "loaded")
    warning = Finding.warning(:dns, :incomplete, "half")
    fault = Finding.fault(:dns, :nxdomain, "no")
    last = &(&1 |> Text.render("x") |> String.split("\n") |> List.last())
    assert {Finding.worst([fine]), last.([fine])} == {:ok, "Nothing is wrong as far as can be seen from here."}
    assert {Finding.worst([fine, warning]), last.([fine, warning])} == {:warning, "No faults, 1 warning."}
    assert {Finding.worst([warning, fault]), last.([warning, fault])} == {:fault, "1 fault, 1 warning."}
  end
end
