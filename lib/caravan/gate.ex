defmodule Caravan.Gate do
  @moduledoc false
  # What each link that this node makes has to pass, whoever asked for it: Caravan's own dials, `global`, or a message
  # that anybody sends. `:caravan_epmd` calls it in the process that sets the link up.
  #
  # A node that was stopped or cut off, and is back, has to hear first that its old links are gone, and what its peers
  # last said to it. Heard when it has new links, that has OTP take links down between nodes that are well, to prevent
  # overlapping partitions. But where a message is sent to a lost node OTP dials it at once. The system takes the
  # connection for a node that is stopped, so the new link would be the first that it hears of. And a node that goes on
  # answers what its peers had asked it before; while a link is being made OTP keeps for it what is only meant for nodes
  # that are linked, and that is the news of what has been lost.

  alias Caravan.Native

  # The kernel gives a set-up 7 s (net_setuptime). Nearly as long is waited for the peer, so that `global`, which tries six
  # times, gives a node up no sooner than it would without this.
  @patience 5_500
  @grace 1_000
  @global_timeout 500

  @doc """
  May a link to `node` be made? `node` has its address for a host.

  `{:error, :timeout}`: not now, since there is no live node, or it came back only after a second or more, or this one has
  just gone on. Where a peer is waited for that takes its time, since some try again at once, and give up after a few
  times. Whatever else is wrong the link's own set-up will tell.
  """
  @spec pass(charlist) :: :ok | {:error, :timeout}
  def pass(node), do: if(hidden?(), do: :ok, else: visible(node))

  # Links of hidden nodes, as a release's tools are, mean nothing to `global`.
  defp hidden?, do: :init.get_argument(:hidden) != :error

  # In a process of its own: a set-up's mailbox is not ours, and late answers would stay there.
  defp visible(node) do
    {pid, ref} = :erlang.spawn_monitor(fn -> exit({:shutdown, wait(node)}) end)

    receive do
      {:DOWN, ^ref, :process, ^pid, {:shutdown, {:error, :timeout}}} -> {:error, :timeout}
      {:DOWN, ^ref, :process, ^pid, _passed_or_broken} -> :ok
    end
  end

  defp wait(node) do
    if :erlang.nodes(:connected) == [] and Native.stopped_lately(),
      do: {:error, :timeout},
      else: with(:ok <- awake(node), do: heard())
  end

  defp awake(node) do
    ref = make_ref()

    with :ok <- Native.probe(ref, :erlang.list_to_binary(node), @patience, :link) do
      receive do
        {^ref, {:error, {:timeout, _sentence}}} -> {:error, :timeout}
        {^ref, _there_or_refused} -> :ok
      after
        @patience + @grace -> :ok
      end
    end
  end

  # What a lost node still said is in global's mailbox, and may be the request to take its link down. So global has to
  # have heard all that before there is a new link. Any question would do; this one copies no state.
  defp heard do
    :sys.statistics(:global_name_server, :get, @global_timeout)
    :ok
  catch
    # Busy or not there: then this is no time to wait for it.
    :exit, _ -> :ok
  end
end
