defmodule Caravan.Link.Whereabouts do
  @moduledoc false
  # Where the nodes are that this one is linked with, as far as it knows. Pure.
  #
  # A node that this one has dialled is where it was dialled. Of one that has dialled this one the link tells the source
  # address only, and nothing need listen there: it may dial from another address than it listens at, or through NAT.
  # Where it says that it listens is not reachable from everywhere either. What is both said and seen is certain; anything
  # else is a guess, to be tried.

  alias Caravan.Link.{Messages, NodeName}

  defmodule Link do
    @moduledoc false
    @enforce_keys [:ref, :host]
    defstruct [:ref, :host, :dialled, :source, :found, said: []]

    @type t :: %__MODULE__{
            ref: reference,
            host: charlist,
            # Where this node has dialled it, where its own dial came from, where it was found to listen.
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

  @doc "There is a link to `node`; `ref` stands for it."
  @spec up(t, node, reference) :: t
  def up(known, node, ref) do
    put_in(known.links[node], %Link{ref: ref, host: NodeName.host(node)})
  end

  @spec down(t, node) :: t
  def down(known, node), do: %{known | links: Map.delete(known.links, node)}

  @doc "The other end of the link `ref`, and whether this node has made it."
  @spec seen(t, node, reference, address, dialled? :: boolean) :: t
  def seen(known, node, ref, address, dialled?) do
    key = if dialled?, do: :dialled, else: :source

    change(known, node, fn
      %{ref: ^ref} = link -> Map.put(link, key, address)
      later -> later
    end)
  end

  @doc "`node` says where it listens."
  @spec said(t, node, [address]) :: t
  def said(known, node, addresses),
    do: change(known, node, &%{&1 | said: addresses, found: nil})

  @doc "It was tried: `node` listens at `address`."
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

  Loopback means something else on each machine, so only who is linked over it hears of it.
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

  @doc "What can be told of these guesses before they have been tried: what `node` said itself."
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
