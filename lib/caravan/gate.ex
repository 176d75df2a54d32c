defmodule Caravan.Gate do
  @moduledoc false
  # What a link to a lost node has to pass before this node makes it, whoever asked for it: Caravan's own dials, `global`,
  # or a message that anybody sends. `:caravan_epmd` calls it in the process that sets the link up.
  #
  # A node that was suspended or cut off, and is back, has to hear first that its old links are gone, and what its peers
  # last said to it. Heard when it has new links, that has OTP take links down between nodes that are well, to prevent
  # overlapping partitions. But where a message is sent to a lost node OTP dials it at once. The system accepts the
  # connection on behalf of a node that is suspended, so the new link would be the first thing that it hears of. And a node
  # that resumes answers what its peers had asked it before; while a link is being made OTP keeps for it what is only meant
  # for nodes that are linked: the news of what has been lost.
  #
  # None of this concerns a node that this VM was never linked with, and holding up such links costs a forming cluster
  # more than it saves: `global` takes a node that can't be reached for lost.

  alias Caravan.Native

  # As long as `global` may take to hear what lost nodes still said.
  @global_timeout 500

  @doc "Does a link to `node` have to pass? Only to one that was lost, and where `global` takes links down for that."
  @spec holds?(node | charlist) :: boolean
  def holds?(node), do: Native.was_linked(node) and separates?() and not Native.hidden?()

  # Links of hidden nodes mean nothing to it. `global` puts into the environment what it goes by (global.erl, init/1).
  defp separates? do
    :application.get_env(:kernel, :connect_all) == {:ok, true} and
      :application.get_env(:kernel, :prevent_overlapping_partitions) == {:ok, true}
  end

  @doc """
  May a link to `node`, which has its address for a host, be made? The answer comes by `deadline`, in ms of monotonic time.

  `{:error, :timeout}`: not now. No live node is there, or it came back only after a second or more, or this one has just
  resumed or has no socket to ask with. Waiting for a peer takes its time on purpose: some callers try again at once, and
  give up after a few tries. Whatever else is wrong the link's own set-up will tell.
  """
  @spec pass(charlist, integer) :: :ok | {:error, :timeout}
  def pass(node, deadline) do
    if :erlang.nodes(:connected) == [] and Native.stopped_lately(),
      do: {:error, :timeout},
      else: with(:ok <- awake(node, deadline), do: heard(deadline))
  end

  # The library answers exactly once, within the time that it is given.
  defp awake(node, deadline) do
    ref = make_ref()

    with :ok <- Native.probe(ref, :erlang.list_to_binary(node), left(deadline), :link) do
      receive do
        {^ref, {:error, {kind, _sentence}}} when kind in [:timeout, :overloaded] ->
          {:error, :timeout}

        {^ref, _there_or_refused} ->
          :ok
      end
    else
      {:error, _overloaded} -> {:error, :timeout}
    end
  end

  # What a lost node still said is in global's mailbox, and may be the request to take its link down. So global has to
  # have heard all that before there is a new link. Any question would do; this one copies no state.
  defp heard(deadline) do
    _ = :sys.statistics(:global_name_server, :get, :erlang.min(@global_timeout, left(deadline)))
    :ok
  catch
    # Busy or not there: then this is no time to wait for it.
    :exit, _ -> :ok
  end

  defp left(deadline), do: :erlang.max(deadline - :erlang.monotonic_time(:millisecond), 0)
end
