defmodule Caravan.Link.Whereabouts do
  @moduledoc false
  # Where the linked nodes are, as far as this node knows. Pure.
  #
  # A node that this one has dialed is where it was dialed. If it has dialed this one, the link shows only its source
  # address, where nothing need listen: it may dial from another address than it listens on, or through NAT. The address
  # that it claims to listen on isn't reachable from everywhere either. An address both claimed and seen is certain;
  # anything else is a guess, to be tried.

  alias Caravan.Link.{Messages, NodeName}

  defmodule Link do
    @moduledoc false
    @enforce_keys [:ref, :host]
    defstruct [:ref, :host, :dialled, :source, :found, said: []]

    @type t :: %__MODULE__{
            ref: reference,
            host: charlist,
            # Where this node dialed it, where its own dial came from, where it was found to listen.
            dialled: :inet.ip_address() | nil,
            source: :inet.ip_address() | nil,
            found: :inet.ip_address() | nil,
            said: [:inet.ip_address()]
          }
  end

  defstruct links: %{}

  @type address :: :inet.ip_address()
  @type t :: %__MODULE__{links: %{node => Link.t()}}

  @spec new() :: t
  def new, do: %__MODULE__{}

  @doc "There is a link to `node`, identified by `ref`."
  @spec up(t, node, reference) :: t
  def up(known, node, ref) do
    put_in(known.links[node], %Link{ref: ref, host: NodeName.host(node)})
  end

  @spec down(t, node) :: t
  def down(known, node), do: %{known | links: Map.delete(known.links, node)}

  @doc "The other end of the link `ref`, and whether this node made the link."
  @spec seen(t, node, reference, address, dialled? :: boolean) :: t
  def seen(known, node, ref, address, dialled?) do
    key = if dialled?, do: :dialled, else: :source

    change(known, node, fn
      %{ref: ^ref} = link -> Map.put(link, key, address)
      later -> later
    end)
  end

  @doc "`node` claims to listen there."
  @spec said(t, node, [address]) :: t
  def said(known, node, addresses),
    do: change(known, node, &%{&1 | said: addresses, found: nil})

  @doc "A trial has shown that `node` listens on `address`."
  @spec found(t, node, address) :: t
  def found(known, node, address), do: change(known, node, &%{&1 | found: address})

  defp change(known, node, change) do
    case known.links do
      %{^node => link} -> put_in(known.links[node], change.(link))
      %{} -> known
    end
  end

  @doc """
  Where `host` is, for `asker`. `{:try, node, addresses}`: where a node of that host may be, the best guess first.

  Loopback means something else on each machine, so it is told only to nodes linked over it.
  """
  @spec where(t, charlist, Messages.family(), asker :: node) ::
          {:ok, address} | {:try, node, [address]} | :unknown
  def where(known, host, family, asker) do
    here? = here?(known, asker)
    fits? = &(Messages.address?(&1, family) and (here? or not loopback?(&1)))
    links = for {node, %{host: ^host} = link} <- known.links, do: {node, narrow(link, fits?)}

    case Enum.find_value(links, fn {_, link} -> link.dialled || link.found || certain(link) end) do
      nil -> guess(links)
      address -> {:ok, address}
    end
  end

  @doc "Which of these guesses may be passed on untried: what `node` claimed itself."
  @spec untried([address], t, node) :: {:ok, address} | :unknown
  def untried(guesses, known, node) do
    said = if link = known.links[node], do: link.said, else: []

    case Enum.filter(guesses, &(&1 in said)) do
      [address | _] -> {:ok, address}
      [] -> :unknown
    end
  end

  defp narrow(link, fits?) do
    [dialled, source, found] =
      for address <- [link.dialled, link.source, link.found],
          do: if(fits?.(address), do: address)

    %{link | dialled: dialled, source: source, found: found, said: Enum.filter(link.said, fits?)}
  end

  defp certain(link), do: if(link.source in link.said, do: link.source)

  defp guess(links) do
    Enum.find_value(links, :unknown, fn {node, link} ->
      case link.said ++ List.wrap(link.source) do
        [] -> nil
        addresses -> {:try, node, addresses}
      end
    end)
  end

  defp here?(known, asker) do
    case known.links do
      %{^asker => link} -> loopback?(link.dialled || link.source)
      %{} -> false
    end
  end

  defp loopback?({127, _, _, _}), do: true
  defp loopback?({0, 0, 0, 0, 0, 0, 0, 1}), do: true
  defp loopback?({0, 0, 0, 0, 0, 0xFFFF, high, _}), do: div(high, 256) == 127
  defp loopback?(_address), do: false
end
