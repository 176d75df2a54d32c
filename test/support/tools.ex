defmodule Caravan.Tools do
  @moduledoc false

  # Other people's programs, on a host of their own, where one node answers on the port of epmd that all of them ask.

  import ExUnit.Assertions
  alias Caravan.{Netns, Vm}

  @flag ~w(-caravan epmd localhost)

  @doc "For `setup`: the host. It has a loopback of its own, and ends with the test."
  def host, do: %{within: Netns.enter(Netns.start(), "hub")}

  @doc "A node there that answers in epmd's place, or waits until it can."
  def node(within, name, args \\ []),
    do: Vm.start(["-name", "#{name}@127.0.0.1" | @flag] ++ args, within: within)

  @doc "A node there without any flag of Caravan's."
  def plain_node(within, name),
    do: Vm.start(["-name", "#{name}@127.0.0.1"], within: within, plain: true)

  @doc "Runs a program there, which has to succeed, and answers with what it said."
  def run(within, executable, args, opts \\ []) do
    assert {0, output} = Vm.command(executable, args, [within: within, timeout: 60_000] ++ opts)
    String.trim(output)
  end

  @doc "The names and ports that `epmd -names` lists; `nil` where nobody answers."
  def names(within) do
    with {0, output} <- Vm.command("epmd", ["-names"], within: within) do
      found = Regex.scan(~r/^name (\S+) at port (\d+)$/m, output, capture: :all_but_first)
      Enum.sort(for [name, port] <- found, do: {name, String.to_integer(port)})
    else
      {1, "epmd: " <> _nobody_or_just_gone} -> nil
    end
  end

  @doc "Waits until `epmd -names` lists exactly these names."
  def await_names(within, expected) do
    Vm.eventually("epmd -names lists #{inspect(expected)}", fn ->
      names = names(within)
      names && Enum.map(names, &elem(&1, 0)) == Enum.sort(expected)
    end)
  end

  @doc "The ids of the system's processes there that are called so."
  def processes(within, name) do
    {_found, output} = Vm.command("ps", ["-C", name, "-o", "stat=,pid="], within: within)

    for line <- String.split(output, "\n", trim: true),
        [state, pid] <- [String.split(line)],
        not String.starts_with?(state, "Z"),
        do: pid
  end

  @doc "Plain nodes start an epmd first, which finds that one answers already, and ends: none may stay."
  def no_epmd_stays(within),
    do: Vm.eventually("no epmd stays", fn -> processes(within, "epmd") == [] end)

  @doc "Copies what a node needs of Caravan to where every user may read it; answers with the folder for `-pa`."
  def readable_copy(dir) do
    for part <- ["ebin", "priv"] do
      to = Path.join([dir, "caravan", part])
      File.mkdir_p!(to)
      File.cp_r!(Application.app_dir(:caravan, part), to)
    end

    {_, 0} = System.cmd("chmod", ["-R", "a+rX", dir])
    Path.join(dir, "caravan/ebin")
  end
end
