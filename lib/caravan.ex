defmodule Caravan do
  @readme Path.expand("../README.md", __DIR__)
  @external_resource @readme
  @moduledoc with({:ok, readme} <- File.read(@readme), do: readme, else: (_ -> nil))

  use Supervisor
  alias Caravan.{Draining, Error, Native, Options, Report, Status, Topologies, Topology}

  # The native library keeps the deadline; this is only so that nobody ever waits for ever.
  @grace 1_000

  # All topologies together.
  @status_timeout 2_000

  @doc """
  Starts topologies without libcluster, as a child of the application's supervisor:

      children = [
        {Caravan, topologies: [app: [query: "_app._tcp.example.org"]]}
      ]

  #{Options.table(:supervisor)}

  The options of a topology are those of `Caravan.Options`. A wrong one raises `Caravan.Error`, and so do this and all
  that concerns topologies while the application `:caravan` isn't running (`:not_started`).
  """
  @spec start_link(keyword) :: Supervisor.on_start()
  def start_link(options) do
    options = Options.supervisor!(options)
    Enum.each(options.topologies, fn {name, config} -> Topology.options!(name, config) end)
    :ok = Topologies.started!()
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
  The distribution port that a node name stands for.

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

  Takes `timeout` at most. A failure is always an error, never an empty list; a wrong option raises
  `Caravan.Error`. So is an answer of which a part could not be had: what came is in `details.partial`.

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
    ref = make_ref()

    with :ok <- Native.lookup(ref, spec),
         {:ok, lookup} <- receive_lookup(ref, spec) do
      {:ok, lookup}
    else
      {:error, error} -> {:error, Error.new(error, spec.query)}
    end
  end

  defp receive_lookup(ref, spec) do
    receive do
      {^ref, result} -> result
    after
      spec.timeout + @grace ->
        {:error, {:internal, Error.overdue(spec.query, spec.timeout, @grace)}}
    end
  end

  @doc """
  Prints what `lookup/2` finds, or why it fails, as `mix caravan.lookup` does. For releases:

      bin/app rpc 'Caravan.report("_app._tcp.example.org", type: :srv)'
  """
  @spec report(String.t() | charlist, keyword) :: :ok | :error
  def report(query, options \\ []) do
    {outcome, text} = Report.lookup(query, options)
    IO.puts(text)
    outcome
  end

  @doc "The names of a topology's members: the nodes that discovery stands behind, without this one."
  @spec members(atom) :: [node]
  def members(topology), do: Topologies.call(topology, :members)

  @doc """
  How each topology of this node is doing, by name.

  All are asked at once, and one that doesn't answer within 2 s is shown as `%Caravan.Status{responding: false}`.
  """
  @spec status() :: %{atom => Status.t()}
  def status do
    for {name, answer} <- Topologies.call_all(:status, @status_timeout), into: %{} do
      case answer do
        {:ok, status} -> {name, status}
        :timeout -> {name, %Status{name: name, responding: false}}
      end
    end
  end

  @doc """
  Waits until peers of `topology` are connected.

  #{Options.table(:await)}

  Answers with the connected peers, this node not among them, or with the topology's status when the
  time is up. Raises `Caravan.Error` where no such topology runs.

      {:ok, _nodes} = Caravan.await(:app, min: 2, timeout: 30_000)
  """
  @spec await(atom, keyword) :: {:ok, [node]} | {:error, :timeout, Status.t()}
  def await(topology, options \\ []) do
    options = Options.await!(options)
    # The topology keeps the time; the margin is for one that is busy.
    Topologies.call(topology, {:await, options}, options.timeout + 5_000)
  end

  @doc """
  Looks up now instead of at the next poll, and dials now whoever waits after a failure. Doesn't wait for the answers.
  """
  @spec poll(atom) :: :ok
  def poll(topology), do: Topologies.call(topology, :poll)

  @doc """
  Prepares this node to go away: its topologies stop looking up and dialling, and its peers are told not
  to dial it again when the link is gone. No link is cut.

  Done by itself when the VM stops, and when the application `:caravan` does. Holds until that
  application is started again.
  """
  @spec drain() :: :ok
  def drain, do: Draining.drain()
end
