defmodule Caravan.Link.Backlog do
  @moduledoc false
  # How many connections may wait for this node to accept them. OTP's distribution asks the system for 128. Where some 150
  # nodes or more dial each other at once that overflows: the system drops what comes, the other side tries again after a
  # second or more, and `global` takes nodes for lost meanwhile.
  #
  # `:caravan_epmd` calls this before the listening socket is made, so it keeps to what is there by then.

  @backlog 1_024

  @doc "Adds a backlog to the kernel's `inet_dist_listen_options`, unless they have one."
  @spec widen() :: :ok
  def widen do
    options = :application.get_env(:kernel, :inet_dist_listen_options, [])
    if told?(options), do: :ok, else: set(options ++ [backlog: @backlog])
  end

  defp set(options) do
    :application.set_env(:kernel, :inet_dist_listen_options, options)
  catch
    # A backlog as OTP has it is no reason not to boot.
    :exit, _ -> :ok
  end

  # What is no list is for the kernel to refuse.
  defp told?([{:backlog, _} | _]), do: true
  defp told?([_option | rest]), do: told?(rest)
  defp told?([]), do: false
  defp told?(_no_list), do: true
end
