defmodule Caravan.Topology.Waiters do
  @moduledoc false
  # The callers waiting in `Caravan.await/2`. Pure: time is an argument, in ms.

  defstruct list: []

  @type from :: term
  @type t :: %__MODULE__{list: [{from, waiter}]}
  @typep waiter :: %{
           min: non_neg_integer,
           stable_for: non_neg_integer,
           deadline: integer
         }

  @spec new :: t
  def new, do: %__MODULE__{}

  @spec add(t, integer, from, %{min: integer, stable_for: integer, timeout: integer}) :: t
  def add(waiters, now, from, %{min: min, stable_for: stable_for, timeout: timeout}) do
    waiter = %{min: min, stable_for: stable_for, deadline: now + timeout}
    %{waiters | list: [{from, waiter} | waiters.list]}
  end

  @doc "Removes those whose `from` fits, since they no longer wait."
  @spec drop(t, (from -> boolean)) :: t
  def drop(waiters, fits?),
    do: %{waiters | list: Enum.reject(waiters.list, fn {from, _} -> fits?.(from) end)}

  @doc "Takes out those satisfied with `count` peers, unchanged since `changed_at`, and those whose time is up."
  @spec take(t, integer, non_neg_integer, integer) :: {served :: [from], late :: [from], t}
  def take(%{list: []} = waiters, _now, _count, _changed_at), do: {[], [], waiters}

  def take(waiters, now, count, changed_at) do
    {served, rest} =
      Enum.split_with(waiters.list, fn {_, waiter} ->
        count >= waiter.min and now >= changed_at + waiter.stable_for
      end)

    {late, rest} = Enum.split_with(rest, fn {_, waiter} -> now >= waiter.deadline end)
    {froms(served), froms(late), %{waiters | list: rest}}
  end

  @doc "When the passing of time alone can change the outcome of `take/4`."
  @spec next_wakeup(t, non_neg_integer, integer) :: integer | :infinity
  def next_wakeup(waiters, count, changed_at) do
    # Any integer is less than an atom.
    Enum.reduce(waiters.list, :infinity, fn {_, waiter}, soonest ->
      stable_at = if count >= waiter.min, do: changed_at + waiter.stable_for, else: :infinity
      soonest |> min(waiter.deadline) |> min(stable_at)
    end)
  end

  defp froms(waiters), do: Enum.map(waiters, &elem(&1, 0))
end
