defmodule Caravan.Link.Drain do
  @moduledoc false
  # Whether this node is leaving the cluster, and telling the others.
  #
  # The state belongs to the VM and not to a process: a crash must not undo the announcement. It ends when the
  # application is started again.

  alias Caravan.Link.Messages

  @key __MODULE__

  @spec draining?() :: boolean
  def draining?, do: :persistent_term.get(@key, false)

  @doc """
  From now on no topology of this node dials or looks up, whatever is restarted. Tells all visible nodes that this one
  is leaving; `greet/1` tells those that connect later.
  """
  @spec leave() :: :ok
  def leave do
    # First, so that no node that connects meanwhile is missed.
    :persistent_term.put(@key, true)
    Messages.tell(:erlang.nodes(:visible), :leaving)
  end

  @doc "The application has started. Tells the nodes still linked that this one stays after all."
  @spec stay() :: :ok
  def stay do
    _ = :persistent_term.erase(@key)
    Messages.tell(:erlang.nodes(:visible), :staying)
  end

  @doc "Tells `nodes` that this one is leaving, if it is. It may be their peer without having them as peers."
  @spec greet([node]) :: :ok
  def greet(nodes), do: if(draining?(), do: Messages.tell(nodes, :leaving), else: :ok)
end
