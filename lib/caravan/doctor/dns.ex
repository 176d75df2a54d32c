defmodule Caravan.Doctor.Dns do
  @moduledoc false
  # What is wrong with the answer to a query, judging by `Caravan.Doctor.Lookups`. Pure.

  import Caravan.Doctor.Finding, only: [ok: 2, warning: 4, warning: 3, fault: 3, fault: 4]
  alias Caravan.Doctor.{Finding, Lookups, Name}
  alias Caravan.Sentences

  # How many names one line lists.
  @names 12

  # Deliberate, or a matter of time.
  @tolerable [:not_allowed, :max_members, :atom_limit, :no_answer]

  @doc "About the lookups of one topology. This node need be listed by one of them only."
  @spec findings([Lookups.t()]) :: [Finding.t()]
  def findings(lookups) do
    missing? = Enum.all?(lookups, &match?(%{sought?: true, outcome: {:ok, %{itself: []}}}, &1))

    for lookup <- lookups,
        finding <- note(lookup) ++ answer(lookup) ++ if(missing?, do: missing(lookup), else: []),
        do: %{finding | about: lookup.about}
  end

  # What is said of capitals concerns the name alone.
  defp note(%{note: nil}), do: []
  defp note(%{note: {:capitals, _}}), do: []
  defp note(%{note: {kind, _} = note, own: own}), do: [fault(:name, kind, Sentences.ill_named(own, note))]

  defp answer(%{outcome: {:error, %{details: %{partial: part}} = error}} = lookup),
    do: [found(lookup, part), warning(:dns, :incomplete, error.message) | unresolved(part.unresolved)]

  defp answer(%{outcome: {:error, error}}), do: [fault(:dns, error.kind, error.message)]

  # Without names.
  defp answer(%{outcome: {:ok, %Caravan.Lookup{} = found}} = lookup) do
    [found(lookup, found) | unresolved(found.unresolved)] ++
      for(refused <- found.refused, do: refused(lookup, refused)) ++ no_port(lookup, found.endpoints)
  end

  defp answer(%{outcome: {:ok, report}} = lookup) do
    Enum.concat([
      [found(lookup, report)],
      incomplete(report.incomplete),
      unresolved(report.unresolved),
      for(refused <- report.refused, do: refused(lookup, refused)),
      itself(lookup, report.itself)
    ])
  end

  defp found(%{config: %{source: {:local, ports}}} = lookup, report) do
    ok(:dns, "nodes on the #{ports} ports from base_port on, on this machine: #{listed(lookup, report)}")
  end

  defp found(%{config: %{source: {:nodes, _}}} = lookup, report),
    do: ok(:dns, "nodes in the option :nodes: #{listed(lookup, report)}")

  defp found(lookup, found) do
    count = if is_list(found.endpoints), do: length(found.endpoints), else: found.endpoints
    endpoints = if count == 1, do: "1 endpoint", else: "#{count} endpoints"
    age = if lookup.age, do: "; the topology's last answer is #{Float.round(lookup.age / 1000, 1)} s old", else: ""

    ok(
      :dns,
      "#{endpoints} from #{found.server} (#{found.transport}), TTL #{found.ttl} s#{age}: #{listed(lookup, found)}"
    )
  end

  defp listed(_lookup, %Caravan.Lookup{endpoints: endpoints}) do
    shorten(for e <- endpoints, do: Enum.join(Enum.reject([e.host || address(e), e.port], &is_nil/1), ":"))
  end

  defp listed(lookup, report), do: shorten(Lookups.names(lookup) ++ Enum.uniq(report.itself))

  defp address(%{addresses: [address | _]}), do: to_string(:inet.ntoa(address))
  defp address(_none), do: nil

  defp shorten([]), do: "no name that this node could connect to"

  defp shorten(names) do
    case Enum.split(names, @names) do
      {names, []} -> Enum.join(names, ", ")
      {names, more} -> "#{Enum.join(names, ", ")} and #{length(more)} more"
    end
  end

  defp incomplete(nil), do: []
  defp incomplete(sentence), do: [warning(:dns, :incomplete, "incomplete: #{sentence}")]

  defp unresolved([]), do: []

  defp unresolved([host | more]) do
    others = if more == [], do: "", else: " and #{length(more)} more"
    message = "#{host}#{others}, the target of an SRV record, has no address, so nobody can dial nodes there"
    [fault(:dns, :no_target_address, message, "publish an A or AAAA record for it, or remove the SRV record")]
  end

  defp refused(lookup, %{reason: reason} = refused) do
    message = Sentences.refused(lookup.query, refused)
    if reason in @tolerable, do: warning(:dns, reason, message), else: fault(:dns, reason, message)
  end

  # Nobody has named these endpoints yet.
  defp no_port(%{config: %{template: nil, source: :srv}} = lookup, endpoints) do
    case for %{port: nil, host: host} <- endpoints, do: host do
      [] -> []
      [host | _] = hosts -> [refused(lookup, %{reason: :no_port, count: length(hosts), example: host})]
    end
  end

  defp no_port(_named_otherwise, _endpoints), do: []

  defp missing(%{own: own} = lookup) do
    host = Name.host(own)

    case for name <- Lookups.names(lookup), Name.host(name) == host, do: name do
      [] ->
        message = "no record leads to #{own}, so peers that look up #{lookup.query} don't find it"
        [warning(:dns, :not_listed, message, "publish a record for it, unless it isn't to be found")]

      names ->
        message = "the answer lists #{Enum.join(Enum.take(names, @names), ", ")} on this host, but not #{own}"

        cure =
          "if that is to be this node, one of the two has the wrong name or port: rename the node or correct the record"

        [warning(:dns, :other_name_here, message, cure)]
    end
  end

  # Under names that aren't its own. What the options name it is told already.
  defp itself(%{note: {kind, _}}, _names) when kind in [:by_host, :other_name], do: []

  defp itself(%{own: own} = lookup, names) do
    for name <- names,
        name != own,
        do: fault(:dns, :called_otherwise, Sentences.called_otherwise(lookup.query, own, name))
  end
end
