defmodule Caravan.Link.NodeServerTest do
  # What connected nodes know is tested with real ones, in test/nodes and test/netns.
  use ExUnit.Case, async: true
  alias Caravan.Native

  test "who asks for a host that is not known is told so" do
    reply_to = :erlang.alias()

    for question <- [:where, :linked] do
      send(:caravan, {:caravan, 1, question, reply_to, ~c"nowhere.test", :inet})
      assert_receive {^reply_to, :unknown}
    end
  end

  test "what is no message is ignored" do
    pid = Process.whereis(:caravan)

    for message <- [
          :where,
          {make_ref(), :ok},
          {:caravan, 1, :where, self(), ~c"a", :inet},
          {:caravan, 1, :where, make_ref(), "a", :inet},
          {:caravan, 1, :where, make_ref(), ~c"a", 6},
          {:caravan, 1, :where, make_ref(), [?a | ?b], :inet},
          {:caravan, 1, :listening, :nobody, :nowhere},
          {:caravan, 1, :listening, :nobody, [{10, 77, 0, 1}]},
          {:caravan, 1, :starting, :nobody, [{10, 77, 0, 1}]},
          {:caravan, 1, :something_newer, node()},
          {:caravan, 2, :leaving, node()},
          {:caravan, 1, :where, make_ref(), [0xD800], :inet},
          {:seen, :nobody, make_ref(), {10, 77, 0, 1}, true},
          {:nodeup, "nobody", []},
          {:nodeup, :nobody, :nothing},
          {:"$gen_call", {self(), make_ref()}, :where},
          {:"$gen_cast", :leaving},
          {:nodedown, :nobody, []}
        ],
        do: send(:caravan, message)

    _ = :sys.get_state(:caravan)
    assert Process.whereis(:caravan) == pid
    assert mailbox() == []
  end

  test "it hears of a lost node before anything else has its turn" do
    assert :caravan |> Process.whereis() |> Process.info(:priority) == {:priority, :high}
  end

  test "a node is tried again in whatever case its host is written" do
    refute Native.tried(~c"app-1@Tried.test")
    assert Native.tried(~c"app-1@tRIED.test")
    refute Native.tried(~c"app-2@tried.test")
  end

  test "the local address towards another" do
    assert Native.local_address(~c"127.0.0.1") == {:ok, {127, 0, 0, 1}}

    for odd <- [~c"nowhere", ~c"", [-1], nil, {127, 0, 0, 1}],
        do: assert(Native.local_address(odd) == :error)
  end

  defp mailbox, do: self() |> Process.info(:messages) |> elem(1)
end
