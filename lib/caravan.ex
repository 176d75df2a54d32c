defmodule Caravan do
  @readme Path.expand("../README.md", __DIR__)
  @external_resource @readme
  @moduledoc @readme |> File.read!() |> String.split("<!-- MDOC -->") |> Enum.fetch!(1)

  use Supervisor
  alias Caravan.{Broadcast, Doctor, Error, Native, Options, Status, Survey, Topology}
  alias Caravan.Link.Drain
  alias Caravan.Lookup.Table
  alias Caravan.Topology.Registry

  # All topologies together.
  @status_timeout 2_000

  @doc """
  Starts topologies without libcluster, as a child of the application's supervisor:

      children = [
        {Caravan, topologies: [app: [query: "_app._tcp.example.org"]]}
      ]

  #{Options.table(:supervisor)}

  The options of a topology are those of `Caravan.Options`. An invalid one raises `Caravan.Error`. All functions that
  need topologies, this one included, raise it too (`:not_started`) while the application `:caravan` isn't running.
  """
  @spec start_link(keyword) :: Supervisor.on_start()
  def start_link(options) do
    options = Options.supervisor!(options)
    Enum.each(options.topologies, fn {name, config} -> Topology.check!(name, config) end)
    :ok = Registry.started!()
    registered = if options.name, do: [name: options.name], else: []
    Supervisor.start_link(__MODULE__, options.topologies, registered)
  end

  @impl true
  def init(topologies) do
    children =
      for {name, config} <- topologies do
        Supervisor.child_spec({Topology, %{topology: name, config: config}}, id: name)
      end

    Supervisor.init(children, strategy: :one_for_one)
  end

  @doc """
  The distribution port of a node name.

      iex> Caravan.dist_port(:"app-4371@10.0.0.1")
      {:ok, 4371}

  The host may be left out. Errors are `:invalid_name`, `:port_out_of_range` and `:tool_node`.
  """
  @spec dist_port(node | charlist | String.t()) :: {:ok, 1..65_535} | {:error, Error.t()}
  def dist_port(word) when word in [nil, true, false, :undefined] do
    message = "expected a node name such as likes-service-3434@host, got #{inspect(word)}"
    {:error, Error.new({:invalid_name, message})}
  end

  def dist_port(node_name) do
    with {:error, error} <- Native.dist_port(node_name), do: {:error, Error.new(error)}
  end

  @doc """
  Looks up the endpoints of `query`, a DNS name.

  #{Options.table(:lookup)}

  Takes at most `timeout`. A failure is always an error, never an empty list. So is a partial answer: the error says
  what is missing, and `details.partial` holds the rest. An invalid option raises `Caravan.Error`.

      case Caravan.lookup("_app._tcp.example.org") do
        {:ok, lookup} -> lookup.endpoints
        {:error, %{details: %{partial: lookup}}} -> lookup.endpoints
        {:error, error} -> raise error
      end
  """
  @spec lookup(String.t() | charlist, keyword) ::
          {:ok, Caravan.Lookup.t()} | {:error, Error.t()}
  def lookup(query, options \\ []) do
    spec = Options.lookup!(query, options)

    case Native.await(&Native.lookup(&1, spec), spec.timeout) do
      {:ok, lookup} -> {:ok, lookup}
      {:error, {:invalid_option, _servers}} -> Options.refuse_nameservers!(query, spec.nameservers)
      {:error, error} -> {:error, Error.new(error, spec.query)}
      :overdue -> {:error, Error.overdue(spec.query, spec.timeout)}
    end
  end

  @doc """
  Prints what `lookup/2` finds, or why it fails, as `mix caravan.lookup` does. In a release:

      bin/app rpc 'Caravan.report("_app._tcp.example.org", type: :srv)'
  """
  @spec report(String.t() | charlist, keyword) :: :ok | :error
  def report(query, options \\ []) do
    {outcome, text} = lookup_table(query, options)
    IO.puts(text)
    outcome
  end

  @doc """
  Checks everything that keeps a node alone, layer by layer, and prints what it finds with the cure: the first thing to
  run when something is wrong. In a release:

      bin/app rpc 'Caravan.doctor()'

  Checks the native library, distribution, the epmd module, the port, the host in this node's name, the flags of the
  release's commands, the DNS answers of all topologies and the peers in them that aren't connected. With `options`, those
  of a topology (`Caravan.Options`), it looks up their `query`, too. Returns the worst verdict; `Caravan.Doctor.check/1`
  returns the findings instead of printing them.
  """
  @spec doctor(keyword) :: :ok | :warning | :fault
  def doctor(options \\ []), do: options |> Doctor.check() |> tell()

  @doc """
  Finds out why this node and the node `name` aren't connected, and prints it as `doctor/1` does.

      Caravan.explain(:"my_app-3434@host1.example.org")

  `Caravan.Doctor.explain/2` returns the findings.
  """
  @spec explain(node | String.t(), keyword) :: :ok | :warning | :fault
  def explain(name, options \\ []), do: name |> Doctor.explain(options) |> tell()

  defp tell(findings) do
    IO.puts(Doctor.text(findings))
    Doctor.Finding.worst(findings)
  end

  @doc false
  # What `report/2` prints, and whether the answer is complete; an invalid option becomes a sentence, too.
  @spec lookup_table(term, term) :: {:ok | :error, String.t()}
  def lookup_table(query, options) do
    Table.render(query, lookup(query, options))
  rescue
    error in Error -> {:error, error.message}
  end

  @doc """
  The members of a topology: the nodes that discovery currently lists, without this one. With `mesh: [links: n]`, only
  those that this node has picked or is linked with: the VM doesn't know the names of the others.
  """
  @spec members(atom) :: [node]
  def members(topology), do: Registry.call(topology, :members)

  @doc """
  The status of each topology on this node, by name.

  All are asked at once. One that doesn't answer within 2 s is shown as `%Caravan.Status{responding: false}`.
  """
  @spec status() :: %{atom => Status.t()}
  def status do
    answers = Registry.call_all(:status, @status_timeout)
    broadcasts = Broadcast.stats(for({name, {:ok, _status}} <- answers, do: name), @status_timeout)

    for {name, answer} <- answers, into: %{} do
      case answer do
        {:ok, status} -> {name, %{status | broadcasts: broadcasts[name]}}
        :timeout -> {name, %Status{name: name, responding: false}}
      end
    end
  end

  @doc """
  A map of the cluster: who is linked with whom, as a [Mermaid](https://mermaid.js.org) graph for Livebook and documents.

      IO.puts(Caravan.to_mermaid())
      Kino.Mermaid.new(Caravan.to_mermaid())

  This node and its peers tell whom they are linked with. Peers have 7.5 s to answer, and this node's own topologies 4 s
  before that; a peer that doesn't answer is drawn as such. Nodes that this one isn't linked with are not asked, and are
  drawn if others mention them.

  Lines are links, each drawn once. Dotted ones are missing: in a full mesh, between any two nodes of a topology that
  aren't linked; with `mesh: [links: n]`, between a node and one that it has picked. If there are more than 45 lines,
  nodes that are all linked with each other, and alike with all others, share a box.
  """
  @spec to_mermaid() :: String.t()
  def to_mermaid,
    do: node() |> Survey.Graph.new(Survey.answers(status(), {__MODULE__, :status})) |> Survey.Mermaid.render()

  @doc """
  Waits until peers of `topology` are connected.

  #{Options.table(:await)}

  Returns the connected peers, without this node, or the topology's status when the time is up. Raises
  `Caravan.Error` if no such topology runs, or if `min` is more than its option `mesh` promises.

      {:ok, _nodes} = Caravan.await(:app, min: 2, timeout: 30_000)
  """
  @spec await(atom, keyword) :: {:ok, [node]} | {:error, :timeout, Status.t()}
  def await(topology, options \\ []) do
    options = Options.await!(options)
    # The topology keeps the time; the margin allows for a busy one.
    case Registry.call(topology, {:await, options}, options.timeout + 5_000) do
      {:refused, sentence} -> raise Error.new({:invalid_option, sentence})
      answer -> answer
    end
  end

  @doc """
  Looks up now instead of at the next poll, and redials peers that are backing off. Doesn't wait for the outcome.
  """
  @spec poll(atom) :: :ok
  def poll(topology), do: Registry.call(topology, :poll)

  @doc """
  Sends `message`, any term, to every node of `topology`, this one included. The processes that have called
  `subscribe/1` get it.

  Returns once the message has been handed to the connections, not when it has arrived. Nodes pass it on to each other,
  so it also reaches those that this one isn't connected to.

  What is promised:

    * A node gets a message at most once, even while nodes and connections come and go.
    * A node that stays connected to any other gets it, even if those in between die: other peers announce it as well,
      and a node that misses it asks them for it within about two seconds. A node that was away misses it, save for the
      last ones if it is back within seconds.
    * Nobody waits for a slow node, connection or subscriber.
    * A message waits for a busy connection as long as it is kept, which the last 4,096 are, or 16 MiB of them, for 8 to
      16 s. Of a burst of more than that, nodes may miss some.

  There is no order, neither between senders nor among the messages of one. If the process of a topology crashes and is
  restarted, it may deliver messages of the last few seconds a second time.

  A message may have 1 MiB in the external term format. A larger one is the error `:too_large`. If the topology isn't
  running, the error is `:unknown_topology` or `:not_started`; if it has more to pass on than it can, `:overloaded`.

      case Caravan.broadcast(:app, {:price_changed, 42}) do
        :ok -> :ok
        {:error, error} -> raise error
      end
  """
  @spec broadcast(atom, term) :: :ok | {:error, Error.t()}
  def broadcast(topology, message), do: Broadcast.broadcast(topology, :message, message)

  @doc """
  Subscribes the calling process to the broadcasts of `topology`, its own included. They arrive as

      {:caravan, topology, node, message}

  where `node` is the one that called `broadcast/2`. Subscribing twice is the same as once.

  The subscription ends with the process, with `unsubscribe/1`, or with the application `:caravan`, but not when the
  topology is restarted. Raises `Caravan.Error` if no such topology runs.
  """
  @spec subscribe(atom) :: :ok
  def subscribe(topology), do: Broadcast.subscribe(topology, :message)

  @doc "Ends the subscription of the calling process. What is in its mailbox stays there."
  @spec unsubscribe(atom) :: :ok
  def unsubscribe(topology), do: Broadcast.unsubscribe(topology, :message)

  @doc """
  Prepares this node for leaving the cluster: its topologies stop looking up and dialing, and its peers are told not to
  redial it once the connection is gone. Nobody is disconnected.

  Called automatically on an orderly shutdown of the VM or of the application `:caravan`. It holds until that
  application is started again.
  """
  @spec drain() :: :ok
  def drain do
    :ok = Registry.started!()
    :ok = Drain.leave()
    _ = Registry.call_all(:drain, 5_000)
    :ok
  end
end
