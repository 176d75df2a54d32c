defmodule Caravan.VmArgsTest do
  use ExUnit.Case, async: true
  alias Caravan.VmArgs

  test "flags, their first values and their lines" do
    text = "## -start_epmd true\n+P 5000 -epmd_module caravan_epmd # here\n\n-start_epmd\n  false\n-hidden -noinput\n"

    assert VmArgs.flags(text) == [
             {"-epmd_module", "caravan_epmd", 2},
             {"-start_epmd", "false", 4},
             {"-hidden", "", 6},
             {"-noinput", "", 6}
           ]
  end

  test "each parameter of an application is a flag of its own" do
    text = "-caravan base_port 5000 epmd localhost +Q 9\n-kernel connect_all false\n-caravan hidden_port"

    assert VmArgs.flags(text) == [
             {"-caravan base_port", "5000", 1},
             {"-caravan epmd", "localhost", 1},
             {"-kernel connect_all", "false", 2},
             {"-caravan", "hidden_port", 3}
           ]
  end

  test "what follows -extra is not the VM's" do
    assert VmArgs.flags("-a 1\r\n-extra -b 2\n-c 3") == [{"-a", "1", 1}]
  end
end
