defmodule Caravan.Doctor.ThisNode do
  @moduledoc false
  # What is wrong with this VM as a node, judging by `Caravan.Doctor.Facts`. Pure.

  import Caravan.Doctor.Finding, only: [ok: 2, warning: 4, fault: 3, fault: 4]
  alias Caravan.Doctor.{Facts, Finding, Flags, Listener, Name}
  alias Caravan.Sentences

  @flags "-start_epmd false and -epmd_module caravan_epmd"
  @both_files "add #{@flags} to vm.args and remote.vm.args, or pass them with --erl"

  @spec findings(Facts.t()) :: [Finding.t()]
  def findings(facts) do
    Enum.concat([
      library(facts.library),
      distribution(facts),
      epmd_module(facts),
      port(facts),
      host(facts),
      Flags.findings(facts.files, facts.role),
      topologies(facts)
    ])
  end

  defp library(:ok), do: [ok(:library, "the native library is loaded")]
  defp library({:error, sentence}), do: [fault(:library, :not_loaded, String.replace_prefix(sentence, "caravan: ", ""))]

  defp distribution(%{node: nil, role: :tool, files: {:release, _, _, _}}) do
    message = "eval starts no node, so this is what shows from outside"
    [warning(:distribution, :eval, message, "ask the node that runs: bin/app rpc 'Caravan.doctor()'")]
  end

  defp distribution(%{node: nil, role: :tool}) do
    [ok(:distribution, "Mix isn't a node here; Caravan.doctor() in a node checks that node, too")]
  end

  defp distribution(%{node: nil}), do: [fault(:distribution, :not_distributed, Sentences.alone())]

  defp distribution(facts) do
    names = if facts.domain == :long, do: "long names", else: "short names"
    family = if facts.family == :inet, do: "IPv4", else: "IPv6"
    transport = if facts.transport == :tls, do: "TLS", else: "TCP"
    [ok(:distribution, "#{names}, #{transport} over #{family}")]
  end

  defp epmd_module(%{node: nil}), do: []

  defp epmd_module(%{epmd_module: :caravan_epmd, starts_epmd?: true}) do
    message =
      "this VM uses caravan_epmd but started an epmd, too, which stays when it ends: -start_epmd false is missing"

    [warning(:epmd_module, :epmd_started, message, @both_files)]
  end

  defp epmd_module(%{epmd_module: :caravan_epmd}), do: [ok(:epmd_module, "caravan_epmd")]

  defp epmd_module(%{epmd_module: :erl_epmd} = facts) do
    epmd = if facts.epmd?, do: "one runs here", else: "none runs here"

    message =
      "this VM asks epmd where nodes are (#{epmd}), since -epmd_module caravan_epmd is missing from its flags; so its " <>
        "name says nothing about its port"

    [fault(:epmd_module, :no_epmd_module, message, @both_files)]
  end

  defp epmd_module(%{epmd_module: module}) do
    message = "this VM's -epmd_module is #{module}, not caravan_epmd, so it follows other rules for ports"
    [fault(:epmd_module, :other_epmd_module, message, @both_files)]
  end

  defp port(%{port: nil}), do: []
  defp port(%{port: {:error, {kind, sentence}}, hidden?: false}), do: [fault(:port, kind, sentence)]

  defp port(%{listens: []}), do: [ok(:port, "none: this node connects to others, but doesn't listen")]

  defp port(%{port: port, listens: [{_, first} | _]} = facts) do
    ports = for {_, listens} <- facts.listens, do: listens
    own? = match?({:ok, _}, port) and elem(port, 1) in ports

    case port do
      {:ok, port} when own? -> [ok(:port, "#{port}, on which this node listens") | hash(facts)]
      _ when facts.hidden? -> [ok(:port, "#{first}, which the system chose: a hidden node dials, and isn't dialed")]
      {:error, {kind, sentence}} -> [fault(:port, kind, sentence)]
      {:ok, port} -> [elsewhere(facts, port, ports) | hash(facts)]
    end
  end

  defp elsewhere(%{listen_port: inner} = facts, port, ports) do
    if inner in ports,
      do: ok(:port, "#{inner}; its peers dial #{port} (-caravan listen_port)"),
      else: other_port(facts, port, ports)
  end

  defp other_port(facts, port, ports) do
    held = if facts.holder, do: "; there listens #{Listener.describe(facts.holder)}", else: ""

    message =
      "this node's name stands for port #{port}, but it listens on #{Enum.join(ports, ", ")}, where its peers don't " <>
        "look for it#{held}"

    fault(:port, :other_port, message, @both_files)
  end

  defp hash(facts) do
    if Name.hash?(facts.node), do: [Name.hash(facts.node, facts.port)], else: []
  end

  defp host(%{host: nil}), do: []

  defp host(facts) do
    case Enum.reject([bound(facts), family(facts), Name.capitals(facts.node), reachable(facts)], &is_nil/1) do
      [] -> [ok(:host, host_found(facts))]
      findings -> findings
    end
  end

  defp host_found(%{literal: address, host: host}) when address != nil, do: "#{host}, an address of this machine"

  defp host_found(%{addresses: {:ok, [{address, _} | _]}, host: host}),
    do: "#{host} is #{:inet.ntoa(address)}"

  defp host_found(%{host: host}), do: "#{host}, as a topology's DNS has it"

  # A host that is loopback anyway is told by reachable/1.
  defp bound(facts) do
    bound = for {address, _} <- facts.listens, Facts.loopback?(address), do: address

    if bound != [] and length(bound) == length(facts.listens) and not loopback_host?(facts) do
      message = "this node listens on #{:inet.ntoa(hd(bound))} only, where no other machine reaches it"

      fault(
        :host,
        :bound_to_loopback,
        message,
        "remove inet_dist_use_interface, or set it to an address that peers reach"
      )
    end
  end

  defp family(%{literal: literal, family: family} = facts) when literal != nil do
    if tuple_size(literal) != if(family == :inet, do: 4, else: 8) do
      message = "this node's host is #{facts.host}, but its distribution uses the other IP family"
      fault(:host, :other_family, message, "name it by an address of that family, or change -proto_dist")
    end
  end

  defp family(_by_name), do: nil

  defp reachable(%{host: host} = facts) do
    cond do
      loopback_host?(facts) ->
        message = "#{host} is this machine for every machine, so only nodes on this one can reach this node"
        warning(:host, :loopback_host, message, rename())

      host =~ ~r/^[0-9a-f]{12}$/ ->
        message = "#{host} looks like a container's id, which other machines can't resolve"
        warning(:host, :container_id, message, rename())

      facts.listen_port ->
        nil

      true ->
        resolved(facts)
    end
  end

  defp resolved(%{known?: true}), do: nil

  defp resolved(%{addresses: {:error, reason}, host: host}) do
    message = "this machine's resolver doesn't know #{host} (#{reason}), and neither may its peers"
    warning(:host, :unresolved_host, message, "#{rename()}; or publish it in DNS")
  end

  defp resolved(%{addresses: {:ok, addresses}, host: host}) do
    if not Enum.any?(addresses, fn {_, mine?} -> mine? end) do
      list = Enum.map_join(addresses, ", ", fn {address, _} -> :inet.ntoa(address) end)
      what = if host == list, do: host, else: "#{host} (#{list})"
      message = "#{what} isn't an address of this machine, so peers look for this node elsewhere"
      cure = "#{rename()}; if another machine maps the port, set -caravan listen_port"
      warning(:host, :foreign_host, message, cure)
    end
  end

  defp rename, do: "name this node by a host or an address that its peers reach (--name, or RELEASE_NODE in a release)"

  defp loopback_host?(%{literal: literal}) when literal != nil, do: Facts.loopback?(literal)

  defp loopback_host?(%{host: host}),
    do: host == "localhost" or String.ends_with?(host, ".localhost") or host == "localhost.localdomain"

  defp topologies(%{role: :tool}), do: []

  defp topologies(%{topologies: :not_started}) do
    message = "the application :caravan isn't running here, so this node looks for nobody"

    cure =
      "start it with Application.ensure_all_started(:caravan), or ask the running node: bin/app rpc 'Caravan.doctor()'"

    [warning(:topology, :not_started, message, cure)]
  end

  defp topologies(%{topologies: []}) do
    message = "no topology runs here, so this node looks for nobody"

    cure =
      "add {Caravan, topologies: [...]} to your supervision tree, or Caravan.Cluster.DnsStrategy to libcluster's topologies"

    [warning(:topology, :no_topology, message, cure)]
  end

  defp topologies(_running), do: []
end
