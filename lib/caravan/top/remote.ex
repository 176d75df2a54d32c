defmodule Caravan.Top.Remote do
  @moduledoc false
  # Asks a node for the status of its topologies, and says why there is none. Nothing but the public function is called
  # there: the node may run another version.

  alias Caravan.{Handshake, Native}

  # Caravan.status/0 takes 2 s at most if the node has time for it.
  @status_timeout 5_000

  @typedoc "Why there is no answer. `:for_good`: asking again is in vain until somebody does something about it."
  @type reason :: {:for_now | :for_good, sentence :: String.t()}

  @doc """
  Makes this VM a hidden node that nobody can dial and that may ask `node`, a name with or without its host. Answers
  with the whole name.
  """
  @spec start(String.t(), keyword) :: {:ok, node} | {:error, String.t()}
  def start(name, options) do
    # The name of a release's tool, so that whoever asks for its port knows that there is none.
    own = String.to_atom("rpc-#{Base.encode16(:rand.bytes(2), case: :lower)}-#{name}")
    domain = if options[:long?], do: :longnames, else: :shortnames

    with :ok <- Native.load(),
         {:ok, _pid} <- :net_kernel.start(own, %{name_domain: domain, hidden: true, dist_listen: false}) do
      if options[:cookie], do: Node.set_cookie(String.to_atom(options[:cookie]))
      [_own, host] = node() |> to_string() |> String.split("@")
      {:ok, String.to_atom(if String.contains?(name, "@"), do: name, else: "#{name}@#{host}")}
    else
      {:error, sentence} when is_binary(sentence) -> {:error, sentence}
      {:error, reason} -> {:error, "this VM can't become a node that asks #{name}: #{no_node(reason)}"}
    end
  end

  # The reasons of a supervisor's children are deep.
  defp no_node({:shutdown, {:failed_to_start_child, _child, reason}}), do: no_node(reason)
  defp no_node({:EXIT, reason}), do: no_node(reason)
  defp no_node({text, _arguments}) when is_list(text), do: to_string(text)
  defp no_node({reason, stack}) when is_list(stack), do: no_node(reason)
  defp no_node(reason), do: inspect(reason)

  @doc "The status of each topology there."
  @spec status(node) :: {:ok, %{atom => map}} | {:error, reason}
  def status(node) do
    with :ok <- link(node), do: ask(node)
  end

  # A failed dial says nothing of its reason, and may be a line in the other node's log. So who is there is asked first.
  defp link(node) do
    if node in Node.list(:connected),
      do: :ok,
      else: node |> Handshake.ask(cookie: Node.get_cookie()) |> link(node)
  end

  defp link({:ok, %{verdict: :ok}}, node) do
    if Node.connect(node),
      do: :ok,
      else: {:error, {:for_now, "#{node} answers, but the link with it failed midway"}}
  end

  defp link({:ok, it}, node), do: {:error, unreachable(it, node)}
  defp link({:error, error}, node), do: {:error, {:for_now, "#{node} can't be reached: #{error.message}"}}

  defp unreachable(%{verdict: :other_cookie}, node) do
    {:for_good,
     "#{node} has another cookie than the one given here; give its own with --cookie, RELEASE_COOKIE or " <>
       "~/.erlang.cookie"}
  end

  defp unreachable(%{verdict: :peer_tls}, node) do
    {:for_good,
     "#{node} speaks TLS; give this task the same flags: ERL_FLAGS=\"-proto_dist inet_tls -ssl_dist_optfile FILE\""}
  end

  defp unreachable(%{verdict: :other_name, name: name}, node),
    do: {:for_good, "the node there is named #{name}, not #{node}; ask for that one"}

  defp unreachable(it, node), do: {:for_now, "#{node} can't be reached: #{it.message}"}

  defp ask(node) do
    case :erpc.call(node, Caravan, :status, [], @status_timeout) do
      %{} = statuses ->
        {:ok, statuses}

      other ->
        {:error, {:for_good, "#{node} runs a version of Caravan with another status: #{inspect(other, limit: 5)}"}}
    end
  catch
    :error, {:exception, :undef, [{Caravan, :status, [], _} | _]} ->
      {:error, {:for_good, "#{node} runs without Caravan, or with a version older than 2.0"}}

    :error, {:exception, %{kind: :not_started}, _stack} ->
      {:error, {:for_now, "the application :caravan is not running on #{node}"}}

    :error, {:erpc, :timeout} ->
      {:error,
       {:for_now, "#{node} did not answer within #{div(@status_timeout, 1_000)} s; it is suspended or overloaded"}}

    :error, {:erpc, :noconnection} ->
      {:error, {:for_now, "the link with #{node} is gone"}}

    _class, reason ->
      {:error, {:for_now, "Caravan.status() fails on #{node}: #{inspect(reason, limit: 10)}"}}
  end
end
