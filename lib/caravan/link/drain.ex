defmodule Caravan.Link.Drain do
  @moduledoc false
  # Whether this node is going away, and what it says of that.
  #
  # It is a matter of the VM, kept in no process: a node that said good-bye must not take that back because something
  # crashed. It is over when the application is started again.

  alias Caravan.Link.Messages

  @key __MODULE__

  @spec draining?() :: boolean
  def draining?, do: :persistent_term.get(@key, false)

  @doc """
  From now on no topology of this node dials or looks up, whatever is restarted. Tells all visible nodes that this one is
  going away; those that connect from now on hear it from `greet/1`.
  """
  @spec leave() :: :ok
  def leave do
    # First, so that nobody who connects meanwhile is left out.
    :persistent_term.put(@key, true)
    Messages.tell(:erlang.nodes(:visible), :leaving)
  end

  @doc "The application is started. Those that heard a good-bye and are still linked hear that nothing came of it."
  @spec stay() :: :ok
  def stay do
    _ = :persistent_term.erase(@key)
    Messages.tell(:erlang.nodes(:visible), :staying)
  end

  @doc "Tells `nodes` that this one is going away, if it is: who has it among its peers need not be among its own."
  @spec greet([node]) :: :ok
  def greet(nodes), do: if(draining?(), do: Messages.tell(nodes, :leaving), else: :ok)
end
