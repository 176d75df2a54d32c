defmodule Caravan.Generator.FlagsTest do
  use ExUnit.Case, async: true
  alias Caravan.Generator.Flags

  @path "rel/vm.args.eex"
  @wanted [
    {"-start_epmd", "false", "No epmd."},
    {"-epmd_module", "caravan_epmd", "No epmd."},
    {"-caravan dist_port", "4370", "One port."}
  ]
  @block "# No epmd.\n-start_epmd false\n-epmd_module caravan_epmd\n\n# One port.\n-caravan dist_port 4370\n"

  defp amend(text, elsewhere \\ []), do: Flags.amend(@path, text, @wanted, elsewhere)

  test "adds what is missing behind what is there" do
    assert amend("") == {@block, []}

    for text <- ["## +Q 65536\n", "## +Q 65536", "## +Q 65536\n\n"],
        do: assert(amend(text) == {"## +Q 65536\n\n" <> @block, []})

    text = "-epmd_module caravan_epmd\n-caravan base_port 5000\n"
    assert amend(text) == {text <> "\n# No epmd.\n-start_epmd false\n\n# One port.\n-caravan dist_port 4370\n", []}
  end

  test "changes nothing when all is there, in whatever form" do
    for text <- [@block, "-caravan listen_port 1 dist_port 4370 -epmd_module\n caravan_epmd -start_epmd false"],
        do: assert(amend(text) == {text, []})

    connect = [{"-connect_all", "false", "Why."}]
    assert {"-kernel connect_all false", []} = Flags.amend(@path, "-kernel connect_all false", connect)
  end

  test "comments are no flags" do
    assert amend("## -start_epmd false\n") == {"## -start_epmd false\n\n" <> @block, []}
  end

  test "what is for the program stays behind what is for the VM" do
    text = "+P 5000\n# für\n-extra -start_epmd false\n"
    assert {amended, []} = amend(text)
    assert amended == "+P 5000\n# für\n\n" <> @block <> "\n-extra -start_epmd false\n"
    assert amend(amended) == {amended, []}
  end

  test "a line that contradicts stays and is told" do
    text = "+P 5000\n-epmd_module erl_epmd\n-start_epmd true -caravan dist_port 5000\n"

    assert {^text, contradictions} = amend(text)

    assert contradictions == [
             "rel/vm.args.eex:3: expected -start_epmd false, got -start_epmd true",
             "rel/vm.args.eex:2: expected -epmd_module caravan_epmd, got -epmd_module erl_epmd",
             "rel/vm.args.eex:3: expected -caravan dist_port 4370, got -caravan dist_port 5000"
           ]
  end

  test "flags from elsewhere count" do
    elsewhere = [{"rel/env.sh.eex", {"-start_epmd", "false", 7}}, {"rel/env.sh.eex", {"-epmd_module", "erl_epmd", 8}}]

    assert amend("", elsewhere) == {
             "# One port.\n-caravan dist_port 4370\n",
             ["rel/env.sh.eex:8: expected -epmd_module caravan_epmd, got -epmd_module erl_epmd"]
           }
  end

  test "a name in vm.args contradicts" do
    text = @block <> "-setcookie abc\n-name app@127.0.0.1\n"
    assert {^text, [sentence]} = amend(text)
    assert sentence =~ "rel/vm.args.eex:8: expected no -name, since RELEASE_NODE has the node's name, got -name app@"
  end

  test "-proto_dist may be given once only" do
    wanted = [{"-proto_dist", "inet6_tcp", "IPv6."}]
    text = "-proto_dist inet6_tcp\n"
    elsewhere = [{"rel/env.sh.eex", {"-proto_dist", "inet6_tcp", 7}}]
    assert Flags.amend(@path, "", wanted, elsewhere) == {"", []}
    assert {^text, [sentence]} = Flags.amend(@path, text, wanted, elsewhere)
    assert sentence =~ "rel/env.sh.eex:7: expected -proto_dist once, got it here and in rel/vm.args.eex:1"
  end
end
