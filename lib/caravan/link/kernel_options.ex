defmodule Caravan.Link.KernelOptions do
  @moduledoc false
  # Kernel options that large clusters need, unless the user has set them.
  #
  # OTP's distribution listens with a backlog of 128, the number of connections that may wait to be accepted. If some
  # 150 nodes or more dial each other at once, it overflows: the system drops connections, the other side retries after
  # a second or more, and `global` considers nodes lost meanwhile. The same happens when a handshake is cut off halfway,
  # because busy nodes need more than OTP's 7 s (`net_setuptime`) for so many of them.
  #
  # `:caravan_epmd` calls this before the listening socket is opened, so it uses only what is loaded by then.

  @backlog 1_024

  # In seconds.
  @net_setuptime 30

  @doc "Adds a backlog to `inet_dist_listen_options` and sets `net_setuptime`, unless the user has set them."
  @spec add() :: :ok
  def add do
    options = :application.get_env(:kernel, :inet_dist_listen_options, [])
    if not backlog?(options), do: set(:inet_dist_listen_options, options ++ [backlog: @backlog])

    if :application.get_env(:kernel, :net_setuptime) == :undefined,
      do: set(:net_setuptime, @net_setuptime)

    :ok
  end

  defp set(option, value) do
    :application.set_env(:kernel, option, value)
  catch
    # OTP's defaults are no reason not to boot.
    :exit, _ -> :ok
  end

  # It is up to the kernel to reject what isn't a list.
  defp backlog?([{:backlog, _} | _]), do: true
  defp backlog?([_option | rest]), do: backlog?(rest)
  defp backlog?([]), do: false
  defp backlog?(_no_list), do: true
end
