defmodule Caravan.Link.Admission do
  @moduledoc false
  # The admission of links to lost nodes: what has to hold before this node makes one, whoever asked for it: Caravan's own
  # dials, `global`, or a message that anybody sends. It runs in the process that sets the link up.
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

  alias Caravan.{Native, Settings}

  # As long as `global` may take to hear what lost nodes still said.
  @global_timeout 500

  @doc "Does a link to `node` need to be admitted? Only to one that was lost, and where `global` takes links down for that."
  @spec required?(node | charlist) :: boolean
  def required?(node), do: Native.was_linked(node) and separates?() and not Settings.hidden?()

  # Links of hidden nodes mean nothing to it. `global` puts into the environment what it goes by (global.erl, init/1).
  defp separates? do
    :application.get_env(:kernel, :connect_all) == {:ok, true} and
      :application.get_env(:kernel, :prevent_overlapping_partitions) == {:ok, true}
  end

  @doc """
  May a link to `node`, which has its address for a host, be made? The answer comes by `deadline`, in ms of monotonic time.

  `{:error, :timeout}`: not now. No live node is there, or it came back only after a second or more, or this one has just
  resumed or has no socket to ask with. Waiting for a peer takes its time on purpose: some callers try again at once, and
  give up after a few tries. Nor where the network says that there is no way: the link's own set-up would go on trying,
  and OTP would keep old news for it all that time. Whatever else is wrong that set-up will tell.
  """
  @spec admit(charlist, integer) :: :ok | {:error, :timeout}
  def admit(node, deadline) do
    if :erlang.nodes(:connected) == [] and Native.resumed_lately(),
      do: {:error, :timeout},
      else: with(:ok <- awake(node, deadline), do: heard(deadline))
  end

  defp awake(node, deadline) do
    left = left(deadline)

    case Native.await(&Native.probe(&1, :erlang.list_to_binary(node), left, :link), left) do
      {:error, {kind, _sentence}} when kind in [:timeout, :network, :overloaded] ->
        {:error, :timeout}

      :overdue ->
        {:error, :timeout}

      _there_or_for_the_set_up_to_tell ->
        :ok
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
