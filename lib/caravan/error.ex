defmodule Caravan.Error do
  @moduledoc """
  Caravan's only exception: a machine-readable kind and a readable message.

    * `kind` - one of the kinds below; the list is closed
    * `query` - the name looked up, or `nil` if there was none
    * `message` - what was expected, what came instead and what to do about it
    * `details` - a map for programs, see below; empty if the message says it all

  | kind | meaning |
  |---|---|
  | `:nxdomain` | the name doesn't exist |
  | `:nodata` | the name exists but has no records of that type |
  | `:servfail` | the server could not resolve the name |
  | `:refused` | the server refused to answer |
  | `:timeout` | no answer before the deadline |
  | `:truncated` | the answer was truncated, and the rest could not be fetched |
  | `:network` | the server could not be reached, or the connection broke |
  | `:malformed` | the answer was not a valid DNS message |
  | `:invalid_name` | an invalid node name or domain name, or an answer without a single valid host |
  | `:invalid_option` | an unknown or invalid option |
  | `:unknown_topology` | no topology of that name runs on this node |
  | `:port_out_of_range` | the number in a node name is not a valid port |
  | `:tool_node` | the node of a tool, such as a release's `remote` or `rpc`, which can't be dialed |
  | `:overloaded` | too many lookups, probes or broadcasts at once, or too few file descriptors |
  | `:too_large` | a message to broadcast exceeds 1 MiB |
  | `:not_loaded` | the native library is missing, or built for another version or platform; or an optional package is |
  | `:not_started` | the application `:caravan` is not running on this node |
  | `:internal` | a bug in Caravan; please report it |

  The `details` of a failed lookup:

    * `question` - the name and the record type, such as `"app.example.org A"`
    * `servers` - the servers queried, such as `["127.0.0.1:53"]`
    * `elapsed_ms` - the time spent
    * `rcode` - the response code of the answer as a number, if that was the failure: 2 for SERVFAIL, 3 for
      NXDOMAIN, 5 for REFUSED
    * `partial` - the `Caravan.Lookup` of what did arrive if only a part is missing: one of two address families, the
      addresses of a host, or the end of a truncated answer
  """

  @type kind ::
          :nxdomain
          | :nodata
          | :servfail
          | :refused
          | :timeout
          | :truncated
          | :network
          | :malformed
          | :invalid_name
          | :invalid_option
          | :unknown_topology
          | :port_out_of_range
          | :tool_node
          | :overloaded
          | :too_large
          | :not_loaded
          | :not_started
          | :internal

  @type details :: %{
          optional(:question) => String.t(),
          optional(:servers) => [String.t()],
          optional(:elapsed_ms) => non_neg_integer,
          optional(:rcode) => non_neg_integer,
          optional(:partial) => Caravan.Lookup.t()
        }

  @type t :: %__MODULE__{
          kind: kind,
          query: String.t() | nil,
          message: String.t(),
          details: details
        }

  @enforce_keys [:kind, :message]
  defexception [:kind, :query, :message, details: %{}]

  @doc false
  @spec new({kind, String.t()} | {kind, String.t(), details}, String.t() | nil) :: t
  def new(error, query \\ nil)
  def new({kind, message}, query), do: new({kind, message, %{}}, query)

  def new({kind, message, details}, query) do
    %__MODULE__{kind: kind, query: query, message: message, details: details}
  end

  @doc false
  # The native library keeps the deadline, so missing it is a bug of the library.
  @spec overdue(String.t(), pos_integer) :: t
  def overdue(query, timeout) do
    new(
      {:internal,
       "the lookup of #{query} did not finish, long past its deadline of #{timeout} ms; " <>
         "this is a bug in Caravan, please report it"},
      query
    )
  end

  @doc false
  # Caravan is compiled without what is optional, so only the call finds out.
  @spec need_package!(what :: String.t(), module, {package :: atom, requirement :: String.t()}) :: :ok
  def need_package!(what, module, {package, _requirement} = dependency) do
    Code.ensure_loaded?(module) ||
      raise new(
              {:not_loaded,
               "#{what} needs the package #{package}, and the module #{inspect(module)} is not there: add " <>
                 "#{inspect(dependency)} to the dependencies in mix.exs"}
            )

    :ok
  end
end
