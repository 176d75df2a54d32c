defmodule Caravan.Settings do
  @moduledoc false

  # How this VM speaks distribution: the `-caravan` flags, whether it is hidden, its protocol, the address it listens
  # on.
  #
  # When distribution starts, the init arguments are all there is, and Elixir may not be on the code path yet. So this
  # module calls only Erlang's preloaded and kernel modules.

  # The `-caravan` flags: name, type and default. The names are also the keys of the library's load info.
  @flags [
    {:base_port, :port, 4370},
    {:dist_port, :port, nil},
    {:listen_port, :port, nil},
    {:hidden_port, :own, nil},
    {:epmd, :address, nil}
  ]

  # The names of -proto_dist, and OTP's names of the families: OTP passes either to :caravan_epmd.
  @protocols [
    inet_tcp: {:inet, :tcp},
    inet6_tcp: {:inet6, :tcp},
    inet_tls: {:inet, :tls},
    inet6_tls: {:inet6, :tls},
    inet: {:inet, :tcp},
    inet6: {:inet6, :tcp}
  ]

  @type family :: :inet | :inet6

  @doc "The library's load info, and the address of `-caravan epmd`."
  @spec load_info() :: {:ok, map, epmd :: charlist | nil} | {:error, sentence :: iodata}
  def load_info do
    with {:ok, flags} <- flags() do
      {hidden_port, info} = :maps.take(:hidden_port, flags)
      {epmd, info} = :maps.take(:epmd, info)
      dialled = listens?() and (not hidden_flag?() or hidden_port == :own)
      {:ok, :maps.merge(info, %{dialled: dialled, family: family()}), epmd}
    end
  end

  @doc "Where this node should answer in place of epmd (`-caravan epmd`), as written in the flag; nil without it."
  @spec epmd() :: charlist | nil
  def epmd do
    {:ok, flags} = flags()
    :maps.get(:epmd, flags)
  end

  @doc "The error for an invalid address in `-caravan epmd`, which only the library can parse."
  @spec bad_epmd(charlist) :: {:error, sentence :: iodata}
  def bad_epmd(address), do: bad_flag(:epmd, :address, ["\"", address, "\""])

  @doc "The address that this node's distribution listens on; nil if it listens on all of them."
  @spec bound() :: :inet.ip_address() | nil
  def bound do
    case :application.get_env(:kernel, :inet_dist_use_interface) do
      {:ok, address} -> one(address)
      :undefined -> bound(:application.get_env(:kernel, :inet_dist_listen_options, []), nil)
    end
  end

  # Of several the last counts.
  defp bound([{key, address} | options], _before) when key in [:ip, :ifaddr],
    do: bound(options, one(address))

  defp bound([_option | options], before), do: bound(options, before)
  defp bound(_no_more, bound), do: bound

  # What :inet takes for an address. What it refuses is for the kernel to refuse: it won't listen at all.
  defp one(:loopback), do: loopback(family())
  defp one(%{addr: address}), do: one(address)
  defp one(address) when address in [{0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 0}], do: nil
  defp one(address) when tuple_size(address) in [4, 8], do: address
  defp one(_everywhere), do: nil

  @doc "The address at which a machine reaches itself."
  @spec loopback(family) :: :inet.ip_address()
  def loopback(:inet), do: {127, 0, 0, 1}
  def loopback(:inet6), do: {0, 0, 0, 0, 0, 0, 0, 1}

  @doc "Is this a hidden node, such as a release's tool? As for net_kernel, a node that doesn't listen is hidden, too."
  @spec hidden?() :: boolean
  def hidden?, do: hidden_flag?() or not listens?()

  defp listens?, do: not match?({:ok, [[~c"false" | _] | _]}, :init.get_argument(:dist_listen))

  defp hidden_flag? do
    case :init.get_argument(:hidden) do
      {:ok, [[] | _]} -> true
      {:ok, [[~c"true" | _] | _]} -> true
      _visible -> false
    end
  end

  @doc "The address family that this node's distribution dials; probes have to use the same."
  @spec family() :: family
  def family, do: :erlang.element(1, protocol())

  @doc "The family that OTP means when it passes an epmd module a family or a distribution driver."
  @spec family(atom) :: family
  def family(driver), do: :erlang.element(1, protocol(driver, @protocols))

  @doc "Does this node's distribution go over TLS?"
  @spec tls?() :: boolean
  def tls?, do: :erlang.element(2, protocol()) == :tls

  defp protocol do
    case :init.get_argument(:proto_dist) do
      {:ok, values} -> named(:lists.last([~c"inet_tcp" | :lists.append(values)]), @protocols)
      :error -> {:inet, :tcp}
    end
  end

  defp named(name, [{driver, protocol} | protocols]),
    do: if(:erlang.atom_to_list(driver) == name, do: protocol, else: named(name, protocols))

  defp named(_unknown, []), do: {:inet, :tcp}

  defp protocol(driver, [{driver, protocol} | _]), do: protocol
  defp protocol(driver, [_ | protocols]), do: protocol(driver, protocols)
  defp protocol(_unknown, []), do: {:inet, :tcp}

  ## Flags

  defp flags do
    values =
      case :init.get_argument(:caravan) do
        {:ok, values} -> :lists.append(values)
        :error -> []
      end

    flags(values, :maps.from_list(defaults(@flags)))
  end

  defp defaults([{name, _takes, default} | rows]), do: [{name, default} | defaults(rows)]
  defp defaults([]), do: []

  defp flags([name | values], flags) do
    case row(name, @flags) do
      {key, takes, _default} ->
        flag(key, takes, values, flags)

      :unknown ->
        got = [", got \"", name, "\"; fix vm.args."]
        {:error, ["flag -caravan: expected one of ", usage(@flags), got]}
    end
  end

  defp flags([], flags), do: {:ok, flags}

  defp flag(key, takes, [value | values], flags) do
    case value(takes, value) do
      {:ok, value} -> flags(values, :maps.put(key, value, flags))
      :error -> bad_flag(key, takes, ["\"", value, "\""])
    end
  end

  defp flag(key, takes, [], _flags), do: bad_flag(key, takes, "no value")

  defp row(name, [{key, _takes, _default} = row | rows]),
    do: if(:erlang.atom_to_list(key) == name, do: row, else: row(name, rows))

  defp row(_name, []), do: :unknown

  defp usage([{key, takes, _default}]), do: [:erlang.atom_to_list(key), " ", word(takes)]
  defp usage([row | rows]), do: [usage([row]), ", " | usage(rows)]

  defp bad_flag(key, takes, got) do
    expected = ["flag -caravan ", :erlang.atom_to_list(key), ": expected ", expected(takes)]
    {:error, [expected, ", got ", got, "; fix vm.args."]}
  end

  defp word(:port), do: "N"
  defp word(:own), do: "own"
  defp word(:address), do: "ADDRESS"

  defp expected(:port), do: "a port from 1 to 65535"
  defp expected(:own), do: "own"

  defp expected(:address),
    do: "localhost, an address such as {127,0,0,1}, or one with a port such as {{127,0,0,1},4369}"

  defp value(:own, ~c"own"), do: {:ok, :own}
  defp value(:own, _text), do: :error
  defp value(:address, text), do: {:ok, text}

  defp value(:port, digits) when digits != [] and length(digits) <= 5 do
    if :lists.all(fn digit -> digit in ?0..?9 end, digits),
      do: in_range(:erlang.list_to_integer(digits)),
      else: :error
  end

  defp value(:port, _text), do: :error

  defp in_range(port) when port in 1..65_535, do: {:ok, port}
  defp in_range(_number), do: :error
end
