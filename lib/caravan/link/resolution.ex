defmodule Caravan.Link.Resolution do
  @moduledoc false
  # Finds a host that isn't in the address book: asks the system and the connected nodes, within a deadline.
  #
  # Perhaps nobody knows it yet. Two new nodes learn of each other from `global`, through a third that has just been
  # linked with both. After a few tries that fail at once, `global` considers the node lost and drops healthy links. So
  # a set-up keeps asking as long as there is somebody who may still learn of the host.
  #
  # It runs in the process that sets up a link, so it calls only Erlang's own modules, as :caravan_epmd does.

  alias Caravan.{Native, Settings}
  alias Caravan.Link.{Messages, NodeName}

  # How soon to ask again, in milliseconds.
  @again 250
  # Nodes that have been silent for this long don't run the application :caravan.
  @silence 1_000

  @type address :: :inet.ip_address()

  @doc "The address of `host`, from whoever knows it first. `deadline` is a monotonic time in milliseconds."
  @spec find(charlist, Messages.family(), deadline :: integer) ::
          {:ok, address} | {:error, term}
  def find(host, family, deadline) do
    # If nobody knows this node's own host, it is loopback, so there is no need to wait.
    patient? = asker() == :set_up and host != NodeName.host(:erlang.node())
    reply_to = :erlang.alias()

    # The system may take long to resolve a host that only others know.
    system =
      :erlang.spawn_opt(
        fn -> :erlang.send(reply_to, {reply_to, {:system, getaddr(host, family)}}) end,
        [:link]
      )

    search = search(:where, reply_to, host, family, deadline)
    answer = ask_all(%{search | system: :awaited, patient?: patient?})
    :erlang.unalias(reply_to)
    :erlang.unlink(system)
    :erlang.exit(system, :kill)
    flush(reply_to, system)
    answer
  end

  @doc "The address of `host` according to the links of the connected nodes, which may know better than DNS."
  @spec linked(charlist, Messages.family(), deadline :: integer) ::
          {:ok, address} | {:error, term}
  def linked(host, family, deadline) do
    reply_to = :erlang.alias()
    answer = ask_all(search(:linked, reply_to, host, family, deadline))
    :erlang.unalias(reply_to)
    flush(reply_to, :none)
    answer
  end

  @doc """
  On whose behalf the calling process asks: `:set_up`, to make a link now; `:selection`, for net_kernel or, since
  OTP 29, its helper, to learn whether a node can be dialed at all; or `:other`.

  net_kernel is linked to its helper and to the process that sets up a link. The latter is also linked to a timer.
  """
  @spec asker() :: :set_up | :selection | :other
  def asker do
    net_kernel = :erlang.whereis(:net_kernel)
    # net_kernel itself has a link for each connected node.
    if self() == net_kernel, do: :selection, else: asker(net_kernel)
  end

  defp asker(net_kernel) do
    {:links, links} = :erlang.process_info(self(), :links)

    case :lists.member(net_kernel, links) do
      false -> :other
      true when links == [net_kernel] -> :selection
      true -> :set_up
    end
  end

  defp getaddr(host, family) do
    :inet.getaddr(host, family)
  catch
    _class, _reason -> {:error, :einval}
  end

  defp search(word, reply_to, host, family, deadline) do
    %{
      word: word,
      reply_to: reply_to,
      host: host,
      family: family,
      deadline: deadline,
      silent_until: now() + @silence,
      asked: 0,
      # The system's answer; an error if it isn't asked.
      system: {:error, :unknown},
      patient?: false
    }
  end

  # Fields are matched by pattern, since `search.field` compiles to a call into Elixir.
  defp ask_all(%{patient?: patient?, deadline: deadline} = search) do
    asked = ask(nodes(), search, 0)
    until = if patient?, do: :erlang.min(now() + @again, deadline), else: deadline
    await(%{search | asked: asked}, asked, until)
  end

  # A hidden node sees all others as hidden, too.
  defp nodes do
    if Settings.hidden?(), do: :erlang.nodes(:connected), else: :erlang.nodes(:visible)
  end

  # Recursive, since a comprehension would call Enum.
  defp ask([node | nodes], search, count) do
    %{word: word, reply_to: reply_to, host: host, family: family} = search
    asked = if Messages.ask(node, word, reply_to, host, family), do: 1, else: 0
    ask(nodes, search, count + asked)
  end

  defp ask([], _search, count), do: count

  # `open`: how many have yet to answer. A patient search waits, whatever they say, until it is time to ask again.
  defp await(%{system: {:error, _} = error, patient?: false}, 0, _until), do: error
  defp await(%{system: {:error, _} = error, asked: 0}, 0, _until), do: error

  defp await(%{reply_to: reply_to, family: family} = search, open, until) do
    receive do
      {^reply_to, {:ok, address}} ->
        if Messages.address?(address, family),
          do: {:ok, address},
          else: await(search, open, until)

      {^reply_to, :unknown} ->
        await(%{search | silent_until: now() + @silence}, open - 1, until)

      {^reply_to, {:system, {:ok, address}}} ->
        {:ok, address}

      {^reply_to, {:system, error}} ->
        await(%{search | system: error}, open, until)
    after
      :erlang.max(until - now(), 0) -> again(search, now())
    end
  end

  defp again(%{patient?: patient?, deadline: deadline, system: system} = search, now) do
    %{silent_until: silent_until, host: host, family: family} = search

    with true <- patient? and now < deadline,
         true <- now < silent_until or system == :awaited,
         :error <- Native.address(host, family) do
      ask_all(search)
    else
      {:ok, address} -> {:ok, address}
      false -> given_up(system)
    end
  end

  defp given_up(:awaited), do: {:error, :timeout}
  defp given_up(error), do: error

  # The mailbox is the caller's, and so is whether it traps exits.
  defp flush(reply_to, system) do
    receive do
      {^reply_to, _} -> flush(reply_to, system)
      {:EXIT, ^system, _} -> flush(reply_to, system)
    after
      0 -> :ok
    end
  end

  defp now, do: :erlang.monotonic_time(:millisecond)
end
