defmodule Caravan.FakeMesh do
  @moduledoc """
  Stands in for Erlang's distribution: the functions to connect, disconnect and list nodes with that a
  topology is given. Tells the test process of each `{:dial, node, dialler}` and `{:disconnect, node}`, and of each
  list that raises (`:listing_raises`) or hangs (`{:listing_hangs, pid}`).

  A dial answers as told with `answer/3`: `true` (by default), `false`, `:raise` or `:hang`.
  """

  use Agent

  def start_link(test \\ self()) do
    {:ok, mesh} = Agent.start_link(fn -> %{test: test, linked: MapSet.new(), answers: %{}, listing: :list} end)

    mesh
  end

  @doc "The part of a topology's specification that leads here."
  def functions(mesh) do
    %{
      connect: {__MODULE__, :connect, [mesh]},
      disconnect: {__MODULE__, :disconnect, [mesh]},
      list_nodes: {__MODULE__, :nodes, [mesh]}
    }
  end

  def answer(mesh, node, answer),
    do: Agent.update(mesh, &put_in(&1.answers[node], answer))

  def link(mesh, node), do: Agent.update(mesh, &%{&1 | linked: MapSet.put(&1.linked, node)})
  def unlink(mesh, node), do: Agent.update(mesh, &%{&1 | linked: MapSet.delete(&1.linked, node)})

  def connect(mesh, node) do
    {test, answer} = Agent.get(mesh, &{&1.test, Map.get(&1.answers, node, true)})
    send(test, {:dial, node, self()})

    case answer do
      true -> link(mesh, node) == :ok
      :raise -> raise "no such road"
      :hang -> Process.sleep(:infinity)
      other -> other
    end
  end

  def disconnect(mesh, node) do
    send(Agent.get(mesh, & &1.test), {:disconnect, node})
    unlink(mesh, node)
    true
  end

  def nodes(mesh) do
    %{test: test, linked: linked, listing: listing} = Agent.get(mesh, & &1)

    case listing do
      :raise ->
        send(test, :listing_raises)
        raise "no such list"

      :hang ->
        send(test, {:listing_hangs, self()})
        Process.sleep(:infinity)

      :list ->
        MapSet.to_list(linked)
    end
  end

  @doc "Whether the nodes are listed from now on (`:list`), or that fails (`:raise`) or never ends (`:hang`)."
  def listing(mesh, how), do: Agent.update(mesh, &%{&1 | listing: how})
end
