defmodule Caravan.Link.Admission do
  @moduledoc false
  # Admits links to lost nodes: the conditions under which this node makes such a link, whoever asked for it, be it
  # Caravan's own dialer, `global`, or a message that anyone sends. It runs in the process that sets up the link.
  #
  # A node that comes back from being suspended or cut off must first learn that its old links are gone, and read what
  # its peers last sent. If it learns that over new links, OTP disconnects healthy nodes, to prevent overlapping
  # partitions. But OTP dials a lost node as soon as anyone sends it a message. The system accepts the connection on
  # behalf of a suspended node, so the new link would be the first thing it learns of. A node that resumes also answers
  # what its peers had asked it before. And while a link is being set up, OTP queues messages for it that are meant for
  # linked nodes only: the news of what has been lost.
  #
  # None of this concerns a node that this VM was never linked with. Delaying such links costs a forming cluster more
  # than it saves, since `global` considers a node lost if it can't be reached.

  alias Caravan.Link.Global
  alias Caravan.Native

  # How long `global` may take to read what lost nodes last sent.
  @global_timeout 500

  @doc "Does a link to `node` need admission? Only if the node was lost, and `global` disconnects others for that."
  @spec required?(node | charlist) :: boolean
  def required?(node), do: Native.was_linked(node) and Global.separates?()

  @doc """
  May a link to `node`, whose host is an address, be made? Answers by `deadline`, in ms of monotonic time.

  `{:error, :timeout}` means not now: no live node is there, it took a second or more to come back, this node has just
  resumed, or it has no socket left to ask with. Waiting for a peer is slow on purpose, since some callers retry at once
  and give up after a few tries. An unreachable network is an error, too: the set-up would keep trying, and OTP would
  queue old news all that time. Any other fault is left for the set-up to report.
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

  # The last messages of a lost node are in global's mailbox, and may include a request to disconnect it. So global must
  # have read them before there is a new link. Any call would do; this one copies no state.
  defp heard(deadline) do
    _ = :sys.statistics(:global_name_server, :get, :erlang.min(@global_timeout, left(deadline)))
    :ok
  catch
    # It is busy or not running, and not worth waiting for.
    :exit, _ -> :ok
  end

  defp left(deadline), do: :erlang.max(deadline - :erlang.monotonic_time(:millisecond), 0)
end
