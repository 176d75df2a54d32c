defmodule Caravan.Topology.Queries.Query do
  @moduledoc false
  # One query of a topology and the outcomes of its lookups. Pure; `now` is in ms.

  alias Caravan.{Error, Lookup, Status}

  @enforce_keys [:query]
  defstruct [:query, :outcome, :at, :report, :cut_at, :itself, refused: %{}]

  @type t :: %__MODULE__{
          query: String.t(),
          # The last lookup's outcome, and its time.
          outcome: :ok | {:error, Error.t()} | nil,
          at: integer | nil,
          # The report of the last successful lookup.
          report: report | nil,
          # When an answer was last truncated.
          cut_at: integer | nil,
          # Since when answers lead to this node, and under which name, if not its own.
          itself: %{since: integer, alias: String.t() | nil} | nil,
          # By reason, with the time last seen.
          refused: %{atom => map}
        }

  @typedoc "The native library's report of an answer: what it held, and how it changed the membership."
  @type report :: %{
          ttl: non_neg_integer,
          server: String.t(),
          transport: :udp | :tcp | :hosts | :handshake | :given,
          elapsed: non_neg_integer,
          endpoints: non_neg_integer,
          members: non_neg_integer,
          waiting: non_neg_integer,
          added: [String.t()],
          expired: [String.t()],
          withdrawn: [String.t()],
          returned: [String.t()],
          moved: [String.t()],
          spared: [String.t()],
          linked: [String.t()],
          joined: boolean,
          refused: [Lookup.refused()],
          unresolved: [String.t()],
          itself: [String.t()],
          incomplete: String.t() | nil,
          cut: boolean
        }

  @type result :: {:ok, report} | {:error, Error.t()}

  @typedoc """
  The outcome of one lookup. `outcome_changed?`: the query failed for the first time, or succeeded after a failure.
  `newly_refused`: new reasons for refusing names. `newly_cut?`: the answer was truncated, and had not been for a while.
  `alias`: the name under which the answer lists this node, if it is not its own and is new.
  """
  @type outcome :: %{
          query: String.t(),
          result: result,
          duration: integer,
          outcome_changed?: boolean,
          newly_refused: [atom],
          newly_cut?: boolean,
          alias: String.t() | nil
        }

  @doc """
  A lookup for the node `self` has ended, after `duration`. Answers vary, so something in an answer is news only if it
  hasn't been seen for `keep` ms.
  """
  @spec ended(t, result, node, integer, duration :: integer, keep :: pos_integer) :: {outcome, t}
  def ended(query, result, self, now, duration, keep) do
    refused = refused(query.refused, result, now, keep)
    cut? = match?({:ok, %{cut: true}}, result)
    itself = itself(query.itself, result, self, now)

    outcome = %{
      query: query.query,
      result: result,
      duration: duration,
      outcome_changed?: outcome_changed?(query.outcome, result),
      newly_refused: Map.keys(refused) -- Map.keys(query.refused),
      # An answer of nearly the maximum size may be truncated one time and complete the next.
      newly_cut?: cut? and (query.cut_at == nil or now - query.cut_at >= keep),
      alias: if(itself && itself.alias != (query.itself || %{alias: nil}).alias, do: itself.alias)
    }

    cut_at = if cut?, do: now, else: query.cut_at
    ended = %{query | at: now, refused: refused, cut_at: cut_at, itself: itself}
    {outcome, record(ended, result)}
  end

  @doc "As `Caravan.Status` shows it."
  @spec status(t, integer) :: Status.query()
  def status(query, now) do
    found =
      Map.take(query.report || %{}, [
        :ttl,
        :server,
        :transport,
        :endpoints,
        :unresolved,
        :incomplete
      ])

    Map.merge(
      %{
        query: query.query,
        outcome: query.outcome,
        age: query.at && now - query.at,
        ttl: nil,
        server: nil,
        transport: nil,
        endpoints: nil,
        unresolved: [],
        incomplete: nil
      },
      found
    )
  end

  defp record(query, {:ok, report}), do: %{query | outcome: :ok, report: report}
  defp record(query, {:error, _} = error), do: %{query | outcome: error}

  defp outcome_changed?({:error, _}, {:error, _}), do: false
  defp outcome_changed?(_, {:error, _}), do: true
  defp outcome_changed?({:error, _}, {:ok, _}), do: true
  defp outcome_changed?(_, {:ok, _}), do: false

  defp itself(known, {:error, _}, _self, _now), do: known
  defp itself(_known, {:ok, %{itself: []}}, _self, _now), do: nil

  defp itself(known, {:ok, %{itself: names}}, self, now) do
    alias = Enum.find(names, &(&1 != Atom.to_string(self)))
    Map.merge(known || %{since: now}, %{alias: alias})
  end

  # Answers may be random subsets, so a refusal ends only when it hasn't been seen for a while.
  defp refused(known, {:error, _}, _now, _keep), do: known

  defp refused(known, {:ok, report}, now, keep) do
    seen = Map.new(report.refused, &{&1.reason, Map.put(&1, :at, now)})

    known
    |> Map.filter(fn {_, refused} -> now - refused.at < keep end)
    |> Map.merge(seen)
  end
end
