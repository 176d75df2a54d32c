defmodule Caravan.Topology.TransitionsTest do
  # The rules of what happens in a topology, with no process, no clock and no link.
  use ExUnit.Case, async: true
  alias Caravan.Topology.{Config, Connector, Peers, State, Transitions}

  @a :"a-1@h"
  @b :"b-1@h"
  @interval 5_000

  defp state(options \\ [], functions \\ %{}) do
    config = Config.new!(:transitions_test, [query: "app.test"] ++ options)
    state = State.new(:transitions_test, config, Connector.new(functions), :"self-1@h", 0)
    %{state | poll_at: @interval}
  end

  defp polled, do: state([], %{list_nodes: {__MODULE__, :nobody_calls_this, []}})

  defp facts(changes \\ []),
    do: Enum.into(changes, %{now: 100, linked: [], others_want?: fn _ -> false end})

  defp found(changes) do
    nobody = Map.merge(admitted([]), %{members: 2, returned: [], moved: [], withdrawn: []})
    %{query: "app.test", result: {:ok, Enum.into(changes, nobody)}}
  end

  defp admitted(changes),
    do: Enum.into(changes, %{added: [], expired: [], spared: [], linked: [], joined: false})

  defp answered(state), do: put_in(state.queries.by_index[0].outcome, :ok)
  defp peer(state, node), do: Enum.find(Peers.list(state.peers, 0), &(&1.node == node))

  defp up(state, node) do
    {_, peers} = Peers.add(state.peers, 0, node, true)
    %{state | peers: peers}
  end

  defp dialling(state, node) do
    {[], peers} = Peers.add(state.peers, 0, node, false)
    {[^node], peers} = Peers.due(peers, 0, 1)
    %{state | peers: peers}
  end

  describe "a look-up" do
    test "adds members; who is linked already is up, and the library knows" do
      outcome = found(added: ["#{@a}", "#{@b}"])
      {effects, state} = Transitions.looked_up(state(), facts(linked: [@b]), outcome)

      assert effects == [
               log: {:looked_up, outcome},
               log: {:member, @a, :added},
               log: {:member, @b, :added},
               log: {:peer, @b, :up},
               linked: @b
             ]

      assert %{state: :idle} = peer(state, @a)
      assert %{state: :connected} = peer(state, @b)
    end

    test "that failed changes nothing and is told" do
      outcome = %{query: "app.test", result: {:error, :any}}

      assert Transitions.looked_up(state(), facts(), outcome) ==
               {[log: {:looked_up, outcome}], state()}
    end

    test "forgets who has expired, unless it is live" do
      state = state() |> up(@b) |> Map.update!(:peers, &elem(Peers.add(&1, 0, @a, false), 1))

      {effects, state} = Transitions.admitted(state, facts(), admitted(expired: ["#{@a}", "#{@b}"]))

      assert effects == [
               log: {:member, @a, :expired},
               log: {:member, @b, :expired},
               log: {:peer, @a, :forgotten}
             ]

      assert %{state: :connected} = peer(state, @b)
    end
  end

  describe "a round of disconnects" do
    @withdrawn %{withdrawn: ["#{@a}"]}

    defp round(state, facts), do: Transitions.looked_up(state, facts, found(@withdrawn))
    defp disconnects({effects, _state}), do: for({:disconnect, node} <- effects, do: node)

    test "comes only where the option asks for it, and is told once" do
      without = state() |> up(@a) |> answered()
      assert disconnects(round(without, facts())) == []

      asked = state(disconnect: [after: 300]) |> up(@a) |> answered()
      {effects, state} = round(asked, facts())
      assert {:log, {:disconnecting, @a, 300}} in effects and {:disconnect, @a} in effects

      # The next comes after a poll interval.
      assert disconnects(round(state, facts(now: 99 + @interval))) == []
      {effects, _} = round(state, facts(now: 100 + @interval))
      assert {:disconnect, @a} in effects and {:log, {:disconnecting, @a, 300}} not in effects
    end

    test "needs an answer to every query, and nobody else who wants the peer" do
      state = state(disconnect: [after: 300]) |> up(@a)
      assert disconnects(round(state, facts())) == []
      assert disconnects(round(answered(state), facts(others_want?: &(&1 == @a)))) == []
      assert disconnects(round(answered(state), facts())) == [@a]
    end

    test "that can't disconnect a peer says so the first time" do
      state = state(disconnect: [after: 300]) |> up(@a) |> answered()
      {_, state} = round(state, facts())
      told = [log: {:not_disconnected, @a, "no"}]
      assert {^told, ^state} = Transitions.disconnected(state, @a, {:error, "no"})
      {_, again} = round(state, facts(now: 100 + @interval))
      assert {[], ^again} = Transitions.disconnected(again, @a, {:error, "no"})
    end
  end

  describe "a dial" do
    test "that is done is a link only where there is one still" do
      state = dialling(state(), @a)
      {effects, up} = Transitions.dialled(state, facts(linked: [@a]), @a, :ok)
      assert effects == [log: {:peer, @a, :up}, linked: @a]
      assert %{state: :connected} = peer(up, @a)

      assert {[log: {:peer, @a, {:dial_failed, :dial, reason, true}}], failed} =
               Transitions.dialled(state, facts(), @a, :ok)

      assert reason =~ "the connection dropped immediately"
      assert %{state: :backing_off} = peer(failed, @a)

      # What list_nodes has not told yet may be there.
      state = dialling(polled(), @a)
      assert {[{:log, {:peer, @a, :up}} | _], _} = Transitions.dialled(state, facts(), @a, :ok)
    end

    test "whose link was heard of first is old news" do
      state = up(state(), @a)
      assert Transitions.dialled(state, facts(), @a, :ok) == {[], state}
    end
  end

  describe "a link" do
    test "that is lost has the next look-up come soon, but not more than one a second" do
      {effects, state} =
        Transitions.link(up(state(), @a), facts(), :nodedown, @a, %{
          nodedown_reason: :net_tick_timeout
        })

      assert effects == [log: {:peer, @a, {:down, "net_tick_timeout", true}}]
      assert state.poll_at == 1_000

      {_, expired} = Transitions.admitted(up(state(), @a), facts(), admitted(expired: ["#{@a}"]))

      {_, gone} = Transitions.link(expired, facts(), :nodedown, @a, nodedown_reason: {:a, 1})
      assert gone.poll_at == @interval
    end

    test "is for list_nodes to tell, where that isn't Erlang's own" do
      state = up(polled(), @a)
      assert Transitions.link(state, facts(), :nodedown, @a, %{}) == {[:list_nodes], state}
      assert Transitions.link(state, facts(), :nodeup, @b, %{}) == {[:list_nodes], state}
      # It may have been down between two listings.
      assert Transitions.link(state, facts(), :nodeup, @a, %{}) == {[:list_nodes, linked: @a], state}

      assert Transitions.reconcile(state()) == {[], state()}
    end

    test "that list_nodes names or no longer names is up or down" do
      state = polled() |> up(@a) |> dialling(@b)
      assert Transitions.unlisted?(state)
      {effects, state} = Transitions.listed(state, facts(), {:ok, [@b]}, 50)

      assert [
               {:log, {:peer, @b, :up}},
               {:linked, @b},
               {:log, {:peer, @a, {:down, reason, true}}}
             ] = effects

      assert reason =~ "no longer connected"
      refute Transitions.unlisted?(state)
    end

    test "stays as it is where list_nodes fails, which is told once" do
      state = up(polled(), @a)

      assert {[log: {:unlisted, "no"}], failed} = Transitions.listed(state, facts(), {:error, "no"}, 50)

      assert %{state: :connected} = peer(failed, @a)
      refute Transitions.unlisted?(failed)
      assert {[], ^failed} = Transitions.listed(failed, facts(), {:error, "no"}, 60)
    end
  end

  test "who says good-bye is linked, whether list_nodes has told of that or not" do
    state = dialling(polled(), @a)
    {effects, state} = Transitions.leaving(state, facts(), @a)
    assert effects == [log: {:peer, @a, :up}, linked: @a, log: {:peer, @a, :leaving}]
    assert {[{:log, {:peer, @a, :up}} | _], _} = Transitions.staying(state, facts(), @a)
  end

  describe "where it picks whom to be linked with" do
    defp picking, do: state(mesh: [links: 2])

    defp perform({effects, state}), do: {for({:reach, heard} <- effects, do: heard), state}

    test "the library hears what becomes of peers" do
      {heard, state} =
        picking()
        |> dialling(@a)
        |> Transitions.dialled(facts(linked: [@a]), @a, :ok)
        |> perform()

      assert heard == [[{@a, :linked}]]

      {heard, state} = state |> Transitions.link(facts(), :nodedown, @a, %{nodedown_reason: :x}) |> perform()

      assert heard == [[{@a, :unlinked}]]
      {[@a], peers} = Peers.due(state.peers, 1_000, 1)
      failed = {:error, :probe, "nobody", nil}
      {heard, _} = %{state | peers: peers} |> Transitions.dialled(facts(), @a, failed) |> perform()
      assert heard == [[{@a, :out_of_reach}]]

      assert {[[{@a, :out_of_reach}]], _} = picking() |> up(@a) |> Transitions.leaving(facts(), @a) |> perform()
    end

    test "it hears nothing of a full mesh" do
      {effects, _} = Transitions.link(up(state(), @a), facts(), :nodedown, @a, %{nodedown_reason: :x})

      assert {[], _} = perform({effects, nil})
      assert {[], _} = Transitions.link(state(), facts(), :nodeup, @b, %{})
    end

    test "a stranger that is linked may be a spare, which is a peer until it is gone" do
      assert {[[{@b, :linked}]], state} = picking() |> Transitions.link(facts(), :nodeup, @b, %{}) |> perform()

      assert peer(state, @b) == nil
      {effects, state} = Transitions.admitted(state, facts(), admitted(linked: ["#{@b}"]))
      assert {:log, {:peer, @b, :up}} in effects and {:linked, @b} in effects
      assert %{state: :connected, pick: false} = peer(state, @b)
      assert {Peers.members(state.peers), Peers.picks(state.peers)} == {[@b], 0}
      {_, picked} = Transitions.admitted(state, facts(), admitted(added: ["#{@b}"]))
      assert %{state: :connected, pick: true} = peer(picked, @b)
      {_, state} = Transitions.link(state, facts(), :nodedown, @b, %{nodedown_reason: :x})
      assert peer(state, @b) == nil
    end

    test "one that was given up while it was dialled is linked all the same" do
      state = picking() |> dialling(@a)
      {_, state} = Transitions.admitted(state, facts(), admitted(expired: ["#{@a}"]))

      {[[{@a, :linked}] | _], state} = state |> Transitions.link(facts(), :nodeup, @a, %{}) |> perform()

      assert %{state: :connected, pick: false} = peer(state, @a)
    end

    test "one that is spared is not dialled any more, and keeps its link" do
      {_, peers} = Peers.add(up(picking(), @b).peers, 0, @a, false)
      spared = admitted(spared: ["#{@a}", "#{@b}"])
      {_, state} = Transitions.admitted(%{picking() | peers: peers}, facts(), spared)
      assert peer(state, @a) == nil
      assert %{state: :connected, pick: false} = peer(state, @b)
      assert {[], _} = Peers.due(state.peers, 1_000_000, 9)
    end

    test "when members have joined the library is asked of those that are linked" do
      facts = facts(linked: [@a, @b])

      assert {[[{@b, :linked}]], _} =
               picking()
               |> up(@a)
               |> Transitions.admitted(facts, admitted(joined: true))
               |> perform()
    end
  end

  describe "a full mesh of many" do
    defp crowd(state, members), do: Transitions.looked_up(state, facts(), found(members: members))

    test "is warned of once, where global looks after it" do
      global = %{state() | connect_all?: true}
      {effects, state} = crowd(global, 60)
      refute Enum.any?(effects, &match?({:log, {:crowded, _}}, &1))
      {effects, state} = crowd(state, 61)
      assert {:log, {:crowded, 61}} in effects
      {effects, _} = crowd(state, 62)
      refute Enum.any?(effects, &match?({:log, {:crowded, _}}, &1))
      {effects, _} = crowd(%{state() | connect_all?: false}, 61)
      refute Enum.any?(effects, &match?({:log, {:crowded, _}}, &1))
    end
  end
end
