defmodule Caravan.Link.SetUp do
  @moduledoc false
  # The address for a link to be made: found, corrected if DNS is known to be wrong, and admitted, all within one
  # deadline. A slow answer would stall net_kernel, so for net_kernel itself everything comes from memory.

  alias Caravan.Link.{Admission, NodeName, Resolution, SetUps}
  alias Caravan.{Native, Settings}

  # How long all of this may take. By default the kernel kills a set-up after 7 s (net_setuptime, net_kernel.erl,
  # connecttime/0). If it allows more, the rest is for the handshake.
  @most 7_000

  # How much earlier the answer is an error, which says more than a killed process.
  @margin 500

  # How long a caller that only asks where a node is waits for what other nodes have in memory.
  @patience 2_000

  # The same for a set-up, which has other things to wait for.
  @linked_patience 500

  @type address :: :inet.ip_address()

  @doc "The address at which to dial the node `name` on `host`; depends on `Caravan.Link.Resolution.asker/0`."
  @spec address(charlist | atom, charlist | atom | address, Settings.family()) ::
          {:ok, address} | {:error, term}
  def address(name, host, family) do
    case Resolution.asker() do
      :set_up ->
        _ = guarded(fn -> watch(name, host) end, :ok)
        deadline = now() + set_up_time()

        with {:ok, address} <- find(host, family, deadline),
             # An admission that crashes holds nobody up.
             do: guarded(fn -> admitted(name, host, family, address, deadline) end, {:ok, address})

      :selection ->
        with {:error, _unknown} <- known(host, family), do: {:ok, placeholder(family)}

      :other ->
        find(host, family, now() + @patience)
    end
  end

  @doc "The address of a node on this machine."
  @spec beside(Settings.family()) :: address
  def beside(family), do: Settings.bound() || Settings.loopback(family)

  @doc "Runs `fun`; an unexpected term or a bug of ours must not end the VM."
  @spec guarded((... -> result), result) :: result when result: term
  def guarded(fun, otherwise) do
    fun.()
  catch
    _class, _reason -> otherwise
  end

  # See `Caravan.Link.SetUps`, which runs only while the application does.
  defp watch(name, host),
    do: :erlang.send(SetUps, {:watch, self(), NodeName.join(name, host)})

  defp set_up_time do
    ms =
      case :application.get_env(:kernel, :net_setuptime) do
        {:ok, s} when is_number(s) and s > 0 -> :erlang.min(:erlang.round(s * 1_000), @most)
        _none -> @most
      end

    ms - :erlang.min(@margin, :erlang.div(ms, 2))
  end

  defp known(host, family) do
    with {:error, _not_literal} <- literal(host, family) do
      case guarded(fn -> Native.address(host, family) end, :error) do
        {:ok, address} -> {:ok, address}
        _unknown -> {:error, :unknown}
      end
    end
  end

  defp literal(host, :inet),
    do: guarded(fn -> :inet.parse_ipv4strict_address(host) end, {:error, :einval})

  defp literal(host, :inet6),
    do: guarded(fn -> :inet.parse_ipv6strict_address(host) end, {:error, :einval})

  # This node's own host is this machine, whatever the resolver knows: a release's tools have nobody else to ask.
  defp find(host, family, deadline) do
    with {:error, _unknown} <- known(host, family),
         {:error, reason} <- guarded(fn -> resolve(host, family, deadline) end, {:error, :einval}) do
      if NodeName.text(host) == NodeName.host(:erlang.node()),
        do: {:ok, Settings.loopback(family)},
        else: {:error, reason}
    end
  end

  # The system and the connected nodes are asked at the same time; the first answer wins.
  defp resolve(host, family, deadline) when is_list(host),
    do: Resolution.find(host, family, deadline)

  defp resolve(host, family, _deadline), do: :inet.getaddr(host, family)

  # Only ever read as "yes, try it": the set-up process asks again and gets the real address.
  defp placeholder(:inet), do: {0, 0, 0, 0}
  defp placeholder(:inet6), do: {0, 0, 0, 0, 0, 0, 0, 0}

  defp admitted(name, host, family, address, deadline) do
    node = NodeName.join(name, host)
    address = corrected(node, host, family, address, deadline)

    if Admission.required?(node) do
      with :ok <- Admission.admit(NodeName.join(name, address), deadline), do: {:ok, address}
    else
      {:ok, address}
    end
  end

  # If DNS is wrong about a host, retrying a node there doesn't help, and `global` would consider the node lost. A node
  # with a link to the host knows better.
  defp corrected(node, host, family, address, deadline) do
    with {:error, _no_literal} <- literal(host, family),
         true <- Native.tried(node),
         soon = :erlang.min(now() + @linked_patience, deadline),
         {:ok, better} <- Resolution.linked(host, family, soon) do
      better
    else
      _literal_or_first_or_nobody -> address
    end
  end

  defp now, do: :erlang.monotonic_time(:millisecond)
end
