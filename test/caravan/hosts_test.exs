defmodule Caravan.HostsTest do
  # What connected nodes know is tested with real ones, in test/netns.
  use ExUnit.Case, async: true
  alias Caravan.{Hosts, Native}

  test "who asks for a host that is not known is told so" do
    reply_to = :erlang.alias()

    for question <- [:where, :linked] do
      send(Hosts, {Hosts, question, reply_to, ~c"nowhere.test", :inet})
      assert_receive {^reply_to, :unknown}
    end
  end

  test "what is no question is ignored" do
    pid = Process.whereis(Hosts)

    for question <- [
          :where,
          {Hosts, :where, self(), ~c"a", :inet},
          {Hosts, :where, make_ref(), "a", :inet},
          {Hosts, :where, make_ref(), ~c"a", 6}
        ],
        do: send(Hosts, question)

    _ = :sys.get_state(Hosts)
    assert Process.whereis(Hosts) == pid
    assert mailbox() == []
  end

  test "a host is tried again in whatever case it is written" do
    refute Native.tried(~c"Tried.test")
    assert Native.tried(~c"tRIED.test")
  end

  defp mailbox, do: self() |> Process.info(:messages) |> elem(1)
end
