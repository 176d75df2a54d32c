defmodule Caravan.Sentences do
  @moduledoc false
  # Sentences that a topology's log and the doctor share. Pure.

  @doc "This VM is no node."
  @spec alone() :: String.t()
  def alone do
    "this node is not distributed and can't join a cluster; start it with --name or --sname, or set " <>
      "RELEASE_DISTRIBUTION in a release"
  end

  @doc "Why peers with a topology's options can't find `node`, which need not be this one: `note` is what `Caravan.Native.membership_new/2` returns."
  @spec ill_named(node | String.t(), {atom, String.t() | nil}) :: String.t()
  def ill_named(node, {:by_host, nil}) do
    "#{node} is named by a host, but the topology names nodes by address, so peers can't find it under that name; set the option :type to :srv and publish SRV records, which carry hosts, or name the nodes by " <>
      "address"
  end

  def ill_named(node, {:capitals, host}) do
    "#{node} has capitals in its host, but names from DNS are in lower case, so peers can't find it under that name; " <>
      "write #{host} in lower case in the node's name"
  end

  def ill_named(node, {:other_name, name}) do
    "the topology's options would name #{node} #{name}, so peers with the same options can't find it; set :node_sname or :node_name to match the nodes' names"
  end

  @doc "An answer lists this node, `node`, as `name`."
  @spec called_otherwise(String.t(), node | String.t(), String.t()) :: String.t()
  def called_otherwise(query, node, name) do
    "the answer for #{query} lists #{node} as #{name}, and it rejects peers that dial #{name}; rename the node or correct the record"
  end

  @doc "Some names in an answer are refused, or have to wait."
  @spec refused(String.t(), Caravan.Lookup.refused()) :: String.t()
  def refused(query, refused) do
    {be, such_as} = if refused.count == 1, do: {"is", ""}, else: {"are", "such as "}

    "#{refused.count} of the names in the answer for #{query} #{be} #{fate(refused.reason)}, " <>
      "#{such_as}#{inspect(refused.example)}: #{why(refused.reason)}"
  end

  defp fate(reason) when reason in [:atom_limit, :no_answer], do: "waiting to join"
  defp fate(_reason), do: "refused"

  @doc "Why names in an answer are refused."
  @spec why(atom) :: String.t()
  def why(:invalid_name), do: "they are not valid host or node names; check what publishes them"
  def why(:not_allowed), do: "their addresses are outside the networks in the option :allow"

  def why(:other_family),
    do:
      "they are addresses of an IP family that this node's distribution doesn't use; check the option :type, and " <>
        "-proto_dist in vm.args"

  def why(:short_name),
    do:
      "their hosts have no dot, and this node uses long names (-name), which can't connect to short ones; name all " <>
        "nodes the same way"

  def why(:long_name),
    do:
      "their hosts have dots, and this node uses short names (-sname), which can't connect to long ones; name all " <>
        "nodes the same way"

  def why(:no_port),
    do:
      "their SRV records have port 0, like those of a headless Kubernetes Service whose port has no name; name the " <>
        "port, or set :node_name to a template without {port}, such as \"my_app@{host}\""

  def why(:other_port),
    do:
      "they don't listen on the ports that their names stand for here; give all nodes the same -caravan base_port, and none " <>
        "another -caravan listen_port"

  def why(:max_members),
    do: "the topology already has as many members as the option :max_members allows"

  def why(:atom_limit),
    do:
      "atoms are never freed; the topology has used up its hourly budget (:max_members), or the VM's atom table is more " <>
        "than three quarters full"

  def why(:no_answer),
    do:
      "half of :max_members new names have joined recently or have never answered; these join once their hosts answer " <>
        "a probe"

  def why(reason), do: to_string(reason)
end
