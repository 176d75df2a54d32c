defmodule Caravan.Link.NodeNameTest do
  use ExUnit.Case, async: true
  alias Caravan.Link.NodeName

  test "a name falls apart at its first @, and is put together again" do
    for {name, base, host} <- [
          {:"app-1@10.0.0.1", ~c"app-1", ~c"10.0.0.1"},
          {~c"app@a@b", ~c"app", ~c"a@b"},
          {~c"app", ~c"app", []},
          {~c"@host", [], ~c"host"},
          {[], [], []}
        ] do
      assert {NodeName.base(name), NodeName.host(name)} == {base, host}
    end

    assert NodeName.join(:app, ~c"host") == ~c"app@host"
    assert NodeName.join(~c"app", {127, 0, 0, 1}) == ~c"app@127.0.0.1"
  end

  test "what is no text is none" do
    for term <- [{1}, 1, "binary", %{}, self()], do: assert(NodeName.text(term) == [])
    assert NodeName.text({0, 0, 0, 0, 0, 0, 0, 1}) == ~c"::1"
  end
end
