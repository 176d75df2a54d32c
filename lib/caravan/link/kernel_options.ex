defmodule Caravan.Link.KernelOptions do
  @moduledoc false
  # What OTP's kernel lacks for large clusters, where the user has not set it.
  #
  # OTP's distribution asks the system for a backlog of 128: so many connections may wait to be accepted. Where some 150
  # nodes or more dial each other at once that overflows: the system drops what comes, the other side tries again after a
  # second or more, and `global` takes nodes for lost meanwhile. So it does where a handshake is cut off half done, because
  # busy nodes need more than OTP's 7 s (`net_setuptime`) for so many of them.
  #
  # `:caravan_epmd` calls this before the listening socket is made, so it keeps to what is there by then.

  @backlog 1_024

  # In seconds.
  @net_setuptime 30

  @doc "Adds a backlog to the kernel's `inet_dist_listen_options`, and a `net_setuptime`, unless they are there."
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
    # Options as OTP has them are no reason not to boot.
    :exit, _ -> :ok
  end

  # What is no list is for the kernel to refuse.
  defp backlog?([{:backlog, _} | _]), do: true
  defp backlog?([_option | rest]), do: backlog?(rest)
  defp backlog?([]), do: false
  defp backlog?(_no_list), do: true
end
