defmodule Caravan.Doctor.Name do
  @moduledoc false
  # What a node's name alone gives away. Pure.

  alias Caravan.Doctor.Finding
  alias Caravan.Link.NodeName

  @spec host(String.t()) :: String.t()
  def host(name), do: name |> to_charlist() |> NodeName.host() |> to_string()

  @spec base(String.t()) :: String.t()
  def base(name), do: name |> to_charlist() |> NodeName.base() |> to_string()

  @doc "Does the part before the `@` end in what looks like a hash, with a digit at its end?"
  @spec hash?(String.t()) :: boolean
  def hash?(name) do
    base = base(name)
    # A git hash, or the end of a pod's name, as in `app-6f3e1a7`: letters behind a digit. `decade2` is a word.
    base =~ ~r/(?:^|[-_.])(?=[0-9a-f]*\d[0-9a-f]*[a-f])[0-9a-f]{6,}$/ and base =~ ~r/\d$/
  end

  @doc "Such a name's digits count as a port."
  @spec hash(String.t(), {:ok, :inet.port_number()} | {:error, {atom, String.t()}}) :: Finding.t()
  def hash(name, {:ok, port}) do
    message = "#{name} ends in what looks like a hash, and its last digits count: they stand for port #{port}"

    cure =
      "end the part before the @ in the port, as in my_app-3434, or give all nodes one port with -caravan dist_port"

    Finding.warning(:name, :hash, message, cure)
  end

  def hash(_name, {:error, {kind, sentence}}), do: Finding.fault(:name, kind, sentence)

  @doc "Capitals in the host of a name, or nil."
  @spec capitals(String.t()) :: Finding.t() | nil
  def capitals(name) do
    host = host(name)

    if host != String.downcase(host) do
      message = "the host in #{name} has capitals, and names from DNS are in lower case: to Erlang these are two nodes"
      Finding.fault(:host, :capitals, message, "write #{String.downcase(host)} in the node's name")
    end
  end

  @doc "A short name among long ones, or the other way round, or nil. `domain` is that of this node."
  @spec mixed(String.t(), :long | :short) :: Finding.t() | nil
  def mixed(name, domain) do
    dotted? = name |> host() |> String.contains?([".", ":"])

    case {domain, dotted?} do
      {:long, false} ->
        message = "#{name} is a short name, and this node uses long ones (--name): the two can't be connected"
        Finding.fault(:name, :short_name, message, "start all nodes with --name")

      {:short, true} ->
        message = "#{name} is a long name, and this node uses short ones (--sname): the two can't be connected"
        Finding.fault(:name, :long_name, message, "start all nodes with --name")

      _alike ->
        nil
    end
  end
end
