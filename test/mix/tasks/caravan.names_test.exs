defmodule Mix.Tasks.Caravan.NamesTest do
  use ExUnit.Case, async: true
  alias Caravan.Vm
  alias Mix.Tasks.Caravan.Names

  @moduletag timeout: 120_000

  test "whom it asks" do
    assert Names.parse([]) == {:ok, "127.0.0.1"}
    assert Names.parse(["host1.example.org"]) == {:ok, "host1.example.org"}
    assert Names.parse(["a", "b"]) == {:error, "expected one host at most, got 2: mix caravan.names [HOST]"}
    for none <- ["", "a-0@host1"], do: assert({:error, "expected a host, such as" <> _} = Names.parse([none]))
    assert {:error, "unknown option --all: expected" <> _} = Names.parse(["--all"])
  end

  # Like a user's own, with other base ports than those of nodes that may run here.
  defp command(base, args \\ []) do
    env = [MIX_ENV: "test", ERL_FLAGS: "-caravan base_port #{base}"]
    Vm.command("mix", ["caravan.names" | args], env: env, timeout: 60_000)
  end

  @tag :nodes
  test "as a command: the nodes there, or a sentence" do
    base = Vm.free_row(16)
    assert {0, output} = command(base)
    assert output =~ "no node answers on the first 16 ports of 127.0.0.1 from base_port on"

    args = &["-name", &1, "-caravan", "base_port", "#{base}"]
    one = Vm.start(args.("a-0@127.0.0.1"))
    two = Vm.start(args.("b-15@127.0.0.1") ++ ["-hidden", "-caravan", "hidden_port", "own"])
    {:ok, stranger} = :gen_tcp.listen(base + 3, ip: {127, 0, 0, 1})

    for host <- [[], ["localhost"]] do
      assert {0, output} = command(base, host)
      assert output == "name a-0@127.0.0.1 at port #{base}\nname b-15@127.0.0.1 at port #{base + 15}\n"
    end

    :gen_tcp.close(stranger)
    # From within, by the short name, like epmd's.
    expected = {:ok, [{~c"a-0", base}, {~c"b-15", base + 15}]}
    # On a busy machine a node may take longer to tell its name than the half second it is given.
    for call <- ["net_adm:names()", "net_adm:names(localhost)"], do: Vm.await(one, call, expected)
    Vm.await(two, "{ok, Names} = net_adm:names(), {ok, lists:sort(Names)}", expected)

    assert {1, output} = command(base, ["no-such-host.invalid"])
    assert output =~ ~r/^no-such-host.invalid can't be reached: /m
  end
end
