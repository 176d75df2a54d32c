defmodule Caravan.Topology.Queries.QueryTest do
  # What of a look-up is news.
  use ExUnit.Case, async: true
  alias Caravan.Error
  alias Caravan.Topology.Queries.Query

  @keep 1_000
  @self :"app-1@10.0.0.1"
  @failed {:error, Error.new({:timeout, "no answer"}, "app.test")}

  defp answer(changes \\ %{}) do
    report = %{
      ttl: 5,
      server: "127.0.0.1:53",
      transport: :udp,
      endpoints: 1,
      refused: [],
      unresolved: [],
      itself: [],
      incomplete: nil,
      cut: false
    }

    {:ok, Map.merge(report, Map.new(changes))}
  end

  # The look-ups at these times, with these results: the last outcome, and the query after it.
  defp run(results) do
    Enum.reduce(results, {nil, %Query{query: "app.test"}}, fn {now, result}, {_, query} ->
      Query.ended(query, result, @self, now, 7, @keep)
    end)
  end

  defp outcome(results), do: results |> run() |> elem(0)

  test "the first failure is news, and the first answer after it" do
    assert %{outcome_changed?: false, query: "app.test", duration: 7} = outcome([{0, answer()}])
    assert outcome([{0, @failed}]).outcome_changed?
    refute outcome([{0, @failed}, {1, @failed}]).outcome_changed?
    assert outcome([{0, @failed}, {1, @failed}, {2, answer()}]).outcome_changed?
    assert outcome([{0, answer()}, {1, @failed}]).outcome_changed?
  end

  test "a reason for refusing names is news again only after it was not seen for a while" do
    refused = answer(refused: [%{reason: :no_port, count: 2, example: "x"}])
    assert outcome([{0, refused}]).newly_refused == [:no_port]
    assert outcome([{0, refused}, {1, answer()}, {2, refused}]).newly_refused == []
    # A failure says nothing of it.
    assert outcome([{0, refused}, {2 * @keep, @failed}, {2 * @keep, refused}]).newly_refused == []
    {gone, query} = run([{0, refused}, {@keep, answer()}])
    assert {gone.newly_refused, query.refused} == {[], %{}}

    assert outcome([{0, refused}, {@keep, answer()}, {@keep, refused}]).newly_refused == [
             :no_port
           ]
  end

  test "a cut answer is news again only after none was for a while" do
    cut = answer(cut: true)
    assert outcome([{0, cut}]).newly_cut?
    refute outcome([{0, cut}, {1, answer()}, {2, cut}]).newly_cut?
    refute outcome([{0, cut}, {600, cut}, {1_200, cut}]).newly_cut?
    assert outcome([{0, cut}, {1_000, cut}]).newly_cut?
  end

  test "what an answer calls this node is news where that is not its name" do
    own = answer(itself: ["#{@self}"])
    other = answer(itself: ["#{@self}", "app-1@alias"])
    assert outcome([{0, own}]).alias == nil
    assert outcome([{0, other}]).alias == "app-1@alias"
    assert outcome([{0, other}, {1, other}]).alias == nil
    assert outcome([{0, other}, {1, own}, {2, other}]).alias == "app-1@alias"

    assert {_, %{itself: %{since: 3, alias: "app-1@alias"}}} = run([{3, own}, {4, other}, {5, @failed}])

    assert {_, %{itself: nil}} = run([{3, own}, {4, answer()}])
  end

  test "a failure hides nothing of the last answer" do
    {_, query} = run([{10, answer()}, {20, @failed}])

    assert %{outcome: {:error, %Error{kind: :timeout}}, age: 5, ttl: 5, endpoints: 1} = Query.status(query, 25)

    assert %{outcome: nil, age: nil, ttl: nil, server: nil} = Query.status(%Query{query: "app.test"}, 25)
  end
end
