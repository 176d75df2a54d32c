defmodule Caravan.Survey.Graph do
  @moduledoc false
  # Who is linked with whom, and who should be, from what nodes have answered. Pure.

  @enforce_keys [:nodes, :edges]
  defstruct [:nodes, :edges]

  @typedoc "`:none`: it has not answered in time. Statuses may be those of another release."
  @type answer :: %{links: [node], statuses: %{atom => Caravan.Status.t()}} | :none

  @typedoc """
    * `:silent` - asked, and has not answered
    * `:unasked` - linked with a node that has answered, but not with this one
    * `:unlinked` - wanted by a node that has answered, and linked with none
  """
  @type standing :: :this | :answered | :silent | :unasked | :unlinked

  @typedoc "`:one_sided`: both ends have answered, and only one of them knows of the link."
  @type kind :: :linked | :one_sided | :missing

  @typedoc "Each pair once, the lesser name first."
  @type edge :: {node, node, kind}

  @type t :: %__MODULE__{nodes: [{node, standing}], edges: [edge]}

  @spec new(node, %{node => answer}) :: t
  def new(this, answers) do
    told =
      for {node, %{} = answer} <- answers, peer <- links(answer), peer != node, into: MapSet.new(), do: {node, peer}

    linked = MapSet.new(told, &pair/1)
    missing = answers |> wanted() |> MapSet.difference(linked)

    links = for {a, b} <- linked, do: {a, b, kind(a, b, told, answers)}
    gaps = for {a, b} <- missing, do: {a, b, :missing}
    %__MODULE__{nodes: nodes(this, answers, linked, missing), edges: Enum.sort(links ++ gaps)}
  end

  @doc "Whom a node is linked with: a topology's peers may be linked by hidden connections, or by the user's functions."
  @spec links(answer) :: [node]
  def links(%{links: links, statuses: statuses}) do
    peers = for {_, %{peers: peers}} <- statuses, %{state: :connected, node: peer} <- peers, do: peer
    Enum.uniq(links ++ peers)
  end

  # What a topology picks and isn't linked with. If none that has answered leaves anybody alone, it is a full mesh, and
  # lacks each pair that isn't linked, listed or not.
  defp wanted(answers) do
    topologies =
      for {node, %{statuses: statuses}} <- answers,
          {name, %{responding: true, peers: _, spares: _} = t} <- statuses,
          do: {name, node, t}

    picked =
      for {_, node, %{peers: peers}} <- topologies,
          %{pick: true, state: state, node: peer} <- peers,
          state in [:idle, :dialling, :backing_off],
          do: pair({node, peer})

    full =
      for {_, members} <- Enum.group_by(topologies, &elem(&1, 0)),
          Enum.all?(members, fn {_, _, t} -> t.spares == 0 end),
          {_, a, _} <- members,
          {_, b, _} <- members,
          a < b,
          do: {a, b}

    MapSet.new(picked ++ full)
  end

  defp kind(a, b, told, answers) do
    one_sided? = {a, b} in told != {b, a} in told
    if one_sided? and answered?(answers, a) and answered?(answers, b), do: :one_sided, else: :linked
  end

  defp answered?(answers, node), do: match?(%{^node => %{}}, answers)

  defp nodes(this, answers, linked, missing) do
    named = fn pairs -> Enum.flat_map(pairs, &Tuple.to_list/1) end
    linked = MapSet.new(named.(linked))

    for node <- Enum.sort(Enum.uniq(Map.keys(answers) ++ Enum.to_list(linked) ++ named.(missing))) do
      standing =
        case answers do
          _ when node == this -> :this
          %{^node => :none} -> :silent
          %{^node => _answer} -> :answered
          _ -> if node in linked, do: :unasked, else: :unlinked
        end

      {node, standing}
    end
  end

  defp pair({a, b}), do: {min(a, b), max(a, b)}
end
