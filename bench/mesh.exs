# Caravan beside the rivals whose compiled code is found in the folders of PEERS_EBIN: how fast nodes come together, and
# what holds them there. Real VMs, each on an address of its own in one network namespace (see bin/bench), with
# caravan_dns as their only name server. The VMs and their names are the same for all. None has an epmd: Caravan's nodes
# have :caravan_epmd, those of the rivals a fixed port (-erl_epmd_port). All intervals are the defaults, 5 s.

require = &Code.require_file("mesh/#{&1}.exs", __DIR__)
nodes_code = Enum.flat_map(~w(subject quiet node), require)
Enum.each(~w(table dns vm scenarios), require)

defmodule Bench.Mesh do
  alias Bench.Mesh.{Dns, Scenarios, Subject, Table, Vm}

  @rounds 3

  def run(scenarios, nodes_code) do
    folders = String.split(System.get_env("PEERS_EBIN", ""), ":", trim: true)
    all = Subject.all(folders)
    found = Subject.found(all)
    Vm.prepare("/run/mesh", nodes_code)
    {:ok, _} = Dns.start_link()
    Scenarios.warm_up(found)
    IO.puts("medians of #{@rounds} rounds, in which the subjects take turns")
    Enum.each(scenarios, &scenario(&1, all, found))
  end

  defp scenario("formation", all, found) do
    rows = Scenarios.formation(found, [2, 8, 16, 32], @rounds)
    rows = for {size, values} <- rows, do: {"#{size} nodes", values}
    Table.print("released at once, until the full mesh", all, rows, &Table.seconds/1)
  end

  defp scenario("addition", all, found) do
    labels = %{own: "and looks itself", found: "and is only found"}
    rows = for {kind, values} <- Scenarios.addition(found, @rounds), do: {labels[kind], values}
    Table.print("a node is added to DNS, until 8 see it", all, rows, &Table.seconds/1)
  end

  defp scenario("holes", all, found) do
    rows = for {n, values} <- Scenarios.holes(found, [0, 2, 8], @rounds), do: {"#{n} of them", values}

    heading = "8 nodes, black-holed addresses first, until the full mesh (once, if over 10 s)"
    Table.print(heading, all, rows, &Table.seconds/1)
  end

  defp scenario("silence", all, found) do
    {lost, back} = Scenarios.silence(found)
    heading = "8 nodes, DNS silent for 30 s (once)"
    Table.print(heading, all, [{"links lost, of 28", lost}], &Table.count/1)
    Table.print("until whole again", all, [{"after the first answer", back}], &Table.seconds/1)
  end

  defp scenario("quiet", all, found) do
    rows = Scenarios.quiet(found, [10, 100, 1_000, 10_000], @rounds)
    rows = for {size, values} <- rows, do: {"#{size} members", values}

    Table.print(
      "CPU of a poll that finds nothing new, whole VM",
      all,
      rows,
      &Table.milliseconds/1
    )
  end
end

all = ~w(formation addition holes silence quiet)
Bench.Mesh.run(if(System.argv() == [], do: all, else: System.argv()), nodes_code)
