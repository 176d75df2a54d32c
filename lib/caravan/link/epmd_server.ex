defmodule Caravan.Link.EpmdServer do
  @moduledoc false

  # `-caravan epmd ADDRESS`: this node answers there in epmd's place. The native library does that, by itself. The process
  # here tells it who is linked, and logs what becomes of it.
  #
  # It is linked to net_kernel, which starts it, and the library serves as long as it lives: so all of it begins and ends
  # with distribution. net_kernel doesn't wait for it. Like `:caravan_epmd` it needs nothing of Elixir's.

  alias Caravan.{Native, Settings}

  @doc "Called by net_kernel, with the own name before the `@` and the port it listens on."
  @spec start(atom(), :inet.port_number()) :: term()
  def start(name, port) do
    with [_ | _] = address <- Settings.epmd(),
         true <- lasting?(name),
         do: :erlang.spawn_link(fn -> serve(address, name, port) end)
  end

  # Release tools are started with the flags of their node. They come and go, and would only say that it answers already.
  defp lasting?(name) do
    not Settings.hidden?() and match?({:ok, _port}, Native.dist_port(name))
  end

  defp serve(address, name, port) do
    # Hidden nodes are not listed: most of them are tools, and listen nowhere.
    :ok = :net_kernel.monitor_nodes(true, node_type: :visible)

    case Native.epmd(address, name, port) do
      {:ok, epmd} ->
        # What is logged while the VM boots is printed twice, as it is and by the handler that comes later.
        _ = if :init.notify_when_started(self()) == :started, do: send(self(), {:init, :started})
        loop(epmd, address, [])

      :error ->
        :logger.error(~c"caravan: epmd on ~ts: the library's thread did not start", [address])
    end
  end

  # The last argument is what to log when the VM has booted, the newest first; nil from then on.
  defp loop(epmd, address, held) do
    receive do
      {:nodeup, node, _info} ->
        Native.epmd_linked(epmd, :erlang.node(), node, true)
        loop(epmd, address, held)

      {:nodedown, node, _info} ->
        Native.epmd_linked(epmd, :erlang.node(), node, false)
        loop(epmd, address, held)

      {:epmd, turn} when held == nil ->
        log(turn, address)
        loop(epmd, address, nil)

      {:epmd, turn} ->
        loop(epmd, address, [turn | held])

      {:init, :started} ->
        log_all(held, address)
        loop(epmd, address, nil)

      _other ->
        loop(epmd, address, held)
    end
  end

  defp log_all([turn | earlier], address) do
    log_all(earlier, address)
    log(turn, address)
  end

  defp log_all(_none, _address), do: :ok

  defp log({:waits, reason}, address) do
    :logger.notice(
      ~c"caravan: epmd on ~ts: ~ts; this node takes over when it can",
      [address, reason]
    )
  end

  defp log(:answers, address) do
    :logger.notice(~c"caravan: epmd on ~ts: this node answers there now", [address])
  end
end
