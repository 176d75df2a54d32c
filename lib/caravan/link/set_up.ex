defmodule Caravan.Link.SetUp do
  @moduledoc false
  # The address for a link that is to be made: found, corrected where DNS is known to be wrong, and admitted, all within one
  # deadline. A slow answer to net_kernel would stall it, so for that all comes from memory.

  alias Caravan.Link.{Admission, NodeName, Resolution}
  alias Caravan.{Native, Settings}

  # So long all of this may take. The kernel gives a set-up 7 s by default and kills it after that (net_setuptime,
  # net_kernel.erl, connecttime/0). Where it has more, that is for the handshake.
  @most 7_000

  # So much sooner the answer is an error, which says more than a process that is gone.
  @margin 500

  # How long someone who only asks where a node is has to wait for what others know by heart.
  @patience 2_000

  # The same, while the set-up has other things to wait for.
  @linked_patience 500

  @type address :: :inet.ip_address()

  @doc "Where the node `name` on `host` is to be dialled, for the calling process: see `Caravan.Link.Resolution.asker/0`."
  @spec address(charlist | atom, charlist | atom | address, Settings.family()) ::
          {:ok, address} | {:error, term}
  def address(name, host, family) do
    case Resolution.asker() do
      :set_up ->
        deadline = now() + set_up_time()

        with {:ok, address} <- find(host, family, deadline),
             # An admission that fails holds nobody up.
             do:
               guarded(fn -> admitted(name, host, family, address, deadline) end, {:ok, address})

      :selection ->
        with {:error, _unknown} <- known(host, family), do: {:ok, placeholder(family)}

      :other ->
        find(host, family, now() + @patience)
    end
  end

  @doc "The address of a node on this machine."
  @spec beside(Settings.family()) :: address
  def beside(family), do: Settings.bound() || Settings.loopback(family)

  @doc "The VM must not end because of a term nobody expected, or of a fault of ours."
  @spec guarded((... -> result), result) :: result when result: term
  def guarded(fun, otherwise) do
    fun.()
  catch
    _class, _reason -> otherwise
  end

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

  # Its own host is this machine, whatever the resolver knows: a release's tools have nobody else to ask.
  defp find(host, family, deadline) do
    with {:error, _unknown} <- known(host, family),
         {:error, reason} <- guarded(fn -> resolve(host, family, deadline) end, {:error, :einval}) do
      if NodeName.text(host) == NodeName.host(:erlang.node()),
        do: {:ok, Settings.loopback(family)},
        else: {:error, reason}
    end
  end

  # The system and the connected nodes are asked at the same time; whoever knows it first is believed.
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

  # Where DNS is wrong about a host, trying a node there again does not help, and `global` would take the node for lost. Who
  # has a link to the host knows better.
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
