defmodule Caravan.Link.NodeName do
  @moduledoc false
  # base@host, as charlists.

  @spec base(node | charlist) :: charlist
  def base(node) when is_atom(node), do: base(:erlang.atom_to_list(node))
  def base([?@ | _host]), do: []
  def base([char | rest]), do: [char | base(rest)]
  def base([]), do: []

  @spec host(node | charlist) :: charlist
  def host(node) when is_atom(node), do: host(:erlang.atom_to_list(node))
  def host([?@ | host]), do: host
  def host([_char | rest]), do: host(rest)
  def host([]), do: []

  @doc "The name of the node `base` on `host`. Either may be a charlist or an atom; the host may also be an address."
  @spec join(atom | charlist, atom | charlist | :inet.ip_address()) :: charlist
  def join(base, host), do: text(base) ++ [?@ | text(host)]

  @doc "A part of a name as a charlist; empty if it can't be one, since the caller must not crash."
  @spec text(term) :: charlist
  def text(part) when is_atom(part), do: :erlang.atom_to_list(part)
  def text(part) when is_list(part), do: part

  def text(part) do
    case :inet.ntoa(part) do
      text when is_list(text) -> text
      _no_address -> []
    end
  catch
    _class, _reason -> []
  end
end
