defmodule Caravan.Link.MessagesTest do
  use ExUnit.Case, async: true
  alias Caravan.Link.Messages

  @node :"app-4000@n1.test"
  @ip {10, 77, 0, 1}

  # The words as they go over the wire. Nodes of other releases speak them: none of these lines changes.
  test "what nodes say" do
    ref = make_ref()

    for {message, read} <- [
          {{:caravan, 1, :leaving, @node}, {:leaving, @node}},
          {{:caravan, 1, :staying, @node}, {:staying, @node}},
          {{:caravan, 1, :listening, @node, [@ip]}, {:listening, @node, [@ip]}},
          {{:caravan, 1, :starting, @node, []}, {:starting, @node, []}},
          {{:caravan, 1, :where, ref, ~c"n1.test", :inet}, {:where, ref, ~c"n1.test", :inet}},
          {{:caravan, 1, :linked, ref, ~c"n1.test", :inet6}, {:linked, ref, ~c"n1.test", :inet6}}
        ],
        do: assert(Messages.read(message) == read)
  end

  test "they are sent so" do
    # This process stands in for that of another node: a registered name may be addressed by the own node, too.
    ref = :erlang.alias()
    Messages.reply(ref, {:ok, @ip})
    assert_received {^ref, {:ok, @ip}}
    Messages.reply(ref, :unknown)
    assert_received {^ref, :unknown}
    refute Messages.ask(:"nobody-4000@127.0.0.1", :where, ref, ~c"n1.test", :inet)
    assert Messages.tell([:"nobody-4000@127.0.0.1"], :leaving) == :ok
    assert Messages.tell(:"nobody-4000@127.0.0.1", :listening, [@ip]) == :ok
    assert Node.list(:connected) == []
  end

  test "what isn't known is ignored" do
    ref = make_ref()

    for message <- [
          :leaving,
          {:caravan, 2, :leaving, @node},
          {:caravan, 1, :something_newer, @node},
          {:caravan, 1, :leaving, "app-4000@n1.test"},
          {:caravan, 1, :leaving, @node, 1},
          {:caravan, 1, :listening, @node, @ip},
          {:caravan, 1, :listening, @node, [@ip | @ip]},
          {:caravan, 1, :listening, @node, [{10, 77, 0, 256}]},
          {:caravan, 1, :listening, @node, [{10, 77, 0, 1, 0}]},
          {:caravan, 1, :listening, @node, [{0, 0, 0, 0}]},
          {:caravan, 1, :listening, @node, List.duplicate(@ip, 17)},
          {:caravan, 1, :where, self(), ~c"n1.test", :inet},
          {:caravan, 1, :where, ref, "n1.test", :inet},
          {:caravan, 1, :where, ref, [?a | ?b], :inet},
          {:caravan, 1, :where, ref, [-1], :inet},
          {:caravan, 1, :where, ref, List.duplicate(?a, 256), :inet},
          {:caravan, 1, :where, ref, ~c"n1.test", 6},
          {:caravan, 1, :where, ref, ~c"n1.test", :inet, :newer}
        ],
        do: assert(Messages.read(message) == :ignored)
  end

  test "an address is one of the family that is asked for" do
    assert Messages.address?(@ip, :inet)
    assert Messages.address?({0xFD00, 0, 0, 0, 0, 0, 0, 0xFFFF}, :inet6)

    for {address, family} <- [
          {@ip, :inet6},
          {{0xFD00, 0, 0, 0, 0, 0, 0, 1}, :inet},
          {{0xFD00, 0, 0, 0, 0, 0, 0, 0x10000}, :inet6},
          {{0, 0, 0, 0, 0, 0, 0, 0}, :inet6},
          {{10, 77, 0, -1}, :inet},
          {{10, 77, 0, 1.0}, :inet},
          {~c"10.77.0.1", :inet},
          {nil, :inet}
        ],
        do: refute(Messages.address?(address, family))
  end
end
