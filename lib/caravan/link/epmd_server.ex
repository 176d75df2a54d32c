defmodule Caravan.Link.EpmdServer do
  @moduledoc false

  # `-caravan epmd ADDRESS`: this node answers there in place of epmd. The native library does the serving. The process
  # here tells it which nodes are linked, and logs whether it serves.
  #
  # net_kernel starts this process and is linked to it, and the library serves as long as it lives. So all of this
  # starts and ends with distribution. net_kernel doesn't wait for it. Like `:caravan_epmd`, it uses none of Elixir's
  # modules.

  alias Caravan.{Native, Settings}

  @doc "Called by net_kernel with this node's name up to the `@` and the port it listens on."
  @spec start(atom(), :inet.port_number()) :: term()
  def start(name, port) do
    with [_ | _] = address <- Settings.epmd(),
         true <- lasting?(name),
         do: :erlang.spawn_link(fn -> serve(address, name, port) end)
  end

  # Release tools start with their node's flags. They are short-lived, and would only log that it answers already.
  defp lasting?(name) do
    not Settings.hidden?() and match?({:ok, _port}, Native.dist_port(name))
  end

  defp serve(address, name, port) do
    # Hidden nodes are not listed: most of them are tools that don't listen.
    :ok = :net_kernel.monitor_nodes(true, node_type: :visible)

    case Native.epmd(address, name, port) do
      {:ok, epmd} ->
        # A line logged while the VM boots is printed twice: raw, and by the handler that is installed later.
        _ = if :init.notify_when_started(self()) == :started, do: send(self(), {:init, :started})
        loop(epmd, address, [])

      :error ->
        :logger.error(~c"caravan: epmd on ~ts: the native library's thread did not start", [
          address
        ])
    end
  end

  # The last argument holds what to log once the VM has booted, newest first; nil from then on.
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
      ~c"caravan: epmd on ~ts: ~ts; waiting to take over",
      [address, reason]
    )
  end

  defp log(:answers, address) do
    :logger.notice(~c"caravan: epmd on ~ts: now answering here", [address])
  end
end
