defmodule Caravan.Broadcast.FramesTest do
  use ExUnit.Case, async: true
  alias Caravan.Broadcast.Frames

  @longest String.duplicate("x", 255)

  defp frames do
    id = {self(), 7}

    [
      {:gossip, id, {:message, :erlang.term_to_binary(:hello)}},
      {:ihave, [{self(), 2}, id, {self(), 8}]},
      {:graft, []},
      :prune,
      :hello
    ]
  end

  test "the frames of version 1 are fixed" do
    me = self()
    payload = :erlang.term_to_binary(:hello)

    assert Enum.map(frames(), &Frames.encode(&1, :app, me)) == [
             {:caravan, 1, :gossip, :app, me, {me, 7}, :message, payload},
             {:caravan, 1, :ihave, :app, me, [{me, 2, 2}, {me, 7, 8}]},
             {:caravan, 1, :graft, :app, me, []},
             {:caravan, 1, :prune, :app, me},
             {:caravan, 1, :hello, :app, me}
           ]
  end

  test "what is encoded can be read, for that topology" do
    for frame <- frames() do
      encoded = Frames.encode(frame, :app, self())
      assert Frames.read(encoded, :app) == {self(), frame}
      assert Frames.read(encoded, :other) == :ignored
    end
  end

  test "anything else is ignored: each field, one after the other, made into something else" do
    junk = [nil, 0, -1, 1.5, "", <<1::3>>, [], [:a | :b], {}, {self(), 0}, {self(), 1, 1}, %{}]

    runs = [
      [{self(), 1}],
      [{self(), 0, 1}],
      [{self(), 2, 1}],
      [{:a, 1, 1}],
      [{self(), 1, 1} | :more],
      [{self(), 1, 0x8000000000000000}],
      [{self(), 1, 1_025}],
      [{self(), 1, 1_000}, {self(), 2_001, 2_025}],
      List.duplicate({self(), 1, 1}, 1_025)
    ]

    for frame <- frames(),
        encoded = Frames.encode(frame, :app, self()),
        place <- 0..(tuple_size(encoded) - 1),
        bad <- junk ++ runs,
        hostile = put_elem(encoded, place, bad),
        not valid?(hostile) do
      assert Frames.read(hostile, :app) == :ignored, inspect(hostile)
    end

    assert Frames.read(:hello, :app) == :ignored
    assert Frames.read({:caravan, 2, :prune, :app, self()}, :app) == :ignored
    assert Frames.read({:caravan, 1, :prune, :app, self(), 1}, :app) == :ignored

    big = {:caravan, 1, :gossip, :app, self(), {self(), 1}, :message, :binary.copy("x", 1_048_577)}

    assert Frames.read(big, :app) == :ignored
  end

  # Lists that may be empty, channels that may be any atom, payloads that are looked at later.
  defp valid?({:caravan, 1, :gossip, :app, pid, {pid, 7}, channel, payload}),
    do: is_pid(pid) and is_atom(channel) and is_binary(payload)

  defp valid?({:caravan, 1, word, :app, pid, []}), do: word in [:ihave, :graft] and is_pid(pid)
  defp valid?(_other), do: false

  test "a payload is one whole term, and not compressed" do
    assert {:ok, payload} = Frames.payload({:hello, self(), "world"})
    assert Frames.message(payload) == {:ok, {:hello, self(), "world"}}

    bomb = :erlang.term_to_binary(:binary.copy(<<0>>, 10_000_000), compressed: 9)
    assert <<131, 80, _::binary>> = bomb

    for bad <- [
          bomb,
          payload <> "x",
          binary_part(payload, 0, 9),
          "",
          <<131>>,
          "hello",
          <<130, 97, 1>>
        ] do
      assert Frames.message(bad) == :error
    end
  end

  test "a message has at most 1 MiB" do
    # Of these the format takes six bytes.
    assert {:ok, _} = Frames.payload(:binary.copy("x", Frames.most_bytes() - 6))
    assert Frames.payload(:binary.copy("x", Frames.most_bytes() - 5)) == {:error, 1_048_577}
  end

  test "the process of a topology has a name, however long that of the topology is" do
    assert Frames.process(:app) == :caravan_broadcast_app
    assert "caravan_broadcast_" <> _ = Atom.to_string(Frames.process(String.to_atom(@longest)))
    assert Frames.process({:any, "term"}) == :"caravan_broadcast_{:any, \"term\"}"
  end
end
