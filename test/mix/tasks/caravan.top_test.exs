defmodule Mix.Tasks.Caravan.TopTest do
  use ExUnit.Case, async: true
  alias Mix.Tasks.Caravan.Top

  test "arguments" do
    assert {:ok, %{node: "a-0", long?: false, every: nil, plain: false}} = Top.parse(~w(a-0))
    assert {:ok, %{long?: true, every: 500, plain: true}} = Top.parse(~w(a-0@h.test --every 0.5 --plain))
    assert {:ok, %{long?: true, every: 2_000}} = Top.parse(~w(a-0@fd00::1 --every 2))
    assert {:ok, %{long?: true, cookie: "secret"}} = Top.parse(~w(--name a-0@h --cookie secret))
    assert {:ok, %{long?: false}} = Top.parse(~w(--sname a-0@h.test))

    for {args, sentence} <- [
          {[], "expected one node name, such as a-0, got 0: mix caravan.top NODE"},
          {~w(a b), "expected one node name, such as a-0, got 2"},
          {~w(a-0 --every 0), "expected --every to be from 0.1 to 86400 seconds, got 0.0"},
          {~w(a-0 --every soon), "unknown or invalid option --every soon"},
          {~w(a-0 --hidden), "unknown or invalid option --hidden"},
          {~w(app-70000), "gives port 70000, but ports end at 65535"},
          {~w(rpc-1a-app-3434), "rpc-1a-app-3434"}
        ] do
      assert {:error, message} = Top.parse(args)
      assert message =~ sentence
    end
  end
end
