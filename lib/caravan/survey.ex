defmodule Caravan.Survey do
  @moduledoc false
  # Asks this node's peers whom they are linked with. They may be of any release, or without Caravan: all that is called
  # there is Erlang's own and `Caravan.status/0`. Nobody is dialed, since that would change what is being looked at.

  alias Caravan.Survey.Graph

  # What a status may take by itself is less.
  @links_within 2_000
  @status_within 5_000
  # A process that sends over a busy connection is suspended, and no timeout of its own ends that.
  @within @links_within + @status_within + 500

  @doc """
  The answer of each peer, and that of this node, whose topologies have these statuses. Peers are asked for theirs by
  calling `status`, a function of those above this module. Takes 7.5 s at most.
  """
  @spec answers(%{atom => Caravan.Status.t()}, {module, atom}) :: %{node => Graph.answer()}
  def answers(statuses, status) do
    own = %{links: :erlang.nodes(:visible), statuses: statuses}
    peers = Graph.links(own)

    answers =
      Task.async_stream(peers, &ask(&1, status),
        max_concurrency: max(1, length(peers)),
        timeout: @within,
        on_timeout: :kill_task
      )

    for {peer, {outcome, answer}} <- Enum.zip(peers, answers), into: %{node() => own} do
      {peer, if(outcome == :ok, do: answer, else: :none)}
    end
  end

  defp ask(peer, status) do
    with links when is_list(links) <- call(peer, {:erlang, :nodes}, [:visible], @links_within) do
      statuses = call(peer, status, [], @status_within)
      %{links: links, statuses: if(is_map(statuses), do: statuses, else: %{})}
    end
  end

  defp call(peer, {module, function}, arguments, within) do
    :erpc.call(peer, module, function, arguments, within)
  catch
    # No answer in time, no connection any more, no Caravan there, or none that is started.
    _kind, _reason -> :none
  end
end
