defmodule Caravan.Link.Resolution do
  @moduledoc false
  # Finds a host that is in no address book: asks the system and the connected nodes, within a deadline.
  #
  # Nobody may know it yet. Two nodes that are new hear of each other from `global`, through a third that has just been
  # linked with both; and `global` takes a node for lost, and healthy links down, after a few tries that fail at once. So a
  # set-up asks on as long as there is somebody who may still learn of the host.
  #
  # It runs in the process that sets a link up, so it keeps to Erlang's own modules, as :caravan_epmd does.

  alias Caravan.{Native, Settings}
  alias Caravan.Link.{Messages, NodeName}

  # How soon to ask again, in milliseconds.
  @again 250
  # Nodes that have said nothing for so long run no application :caravan.
  @silence 1_000

  @type address :: :inet.ip_address()

  @doc "Where `host` is, by whoever knows it first. `deadline` is a monotonic time in milliseconds."
  @spec find(charlist, Messages.family(), deadline :: integer) ::
          {:ok, address} | {:error, term}
  def find(host, family, deadline) do
    # Its own host is loopback where nobody knows it: that need not wait.
    patient? = asker() == :set_up and host != NodeName.host(:erlang.node())
    reply_to = :erlang.alias()

    # The system may take long over a host that only others know.
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

  @doc "Where `host` is by the links of the connected nodes, who may know better than DNS does."
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
  For whom the calling process asks: `:set_up`, to make a link now; `:selection`, to learn whether a node can be dialled at
  all, by net_kernel itself or, since OTP 29, by a helper of its; or `:other`.

  net_kernel is linked to its helper and to the process that sets a link up. That one has a timer besides, linked, too.
  """
  @spec asker() :: :set_up | :selection | :other
  def asker do
    net_kernel = :erlang.whereis(:net_kernel)
    # Itself it has a link for each node there is.
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
      # What the system says: nothing, where it isn't asked.
      system: {:error, :unknown},
      patient?: false
    }
  end

  # Fields are taken by patterns: `search.field` compiles to a call of Elixir's own.
  defp ask_all(%{patient?: patient?, deadline: deadline} = search) do
    asked = ask(nodes(), search, 0)
    until = if patient?, do: :erlang.min(now() + @again, deadline), else: deadline
    await(%{search | asked: asked}, asked, until)
  end

  # To a hidden node all others are hidden, too.
  defp nodes do
    if Settings.hidden?(), do: :erlang.nodes(:connected), else: :erlang.nodes(:visible)
  end

  # Written out, since a comprehension would call Enum.
  defp ask([node | nodes], search, count) do
    %{word: word, reply_to: reply_to, host: host, family: family} = search
    asked = if Messages.ask(node, word, reply_to, host, family), do: 1, else: 0
    ask(nodes, search, count + asked)
  end

  defp ask([], _search, count), do: count

  # `open`: how many have still to answer. Who is patient waits, whatever they say, until it is time to ask again.
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

  # The caller's mailbox is not ours, nor is whether it traps exits.
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
