defmodule Caravan.Error do
  @moduledoc """
  The one exception of Caravan: what went wrong, as a word for programs and a sentence for people.

    * `kind` - one word of the closed list below
    * `query` - the name that was asked for, or `nil` where there was none
    * `message` - a sentence: what was expected, what came, what to do
    * `details` - a map for programs, see below; empty where the sentence says it all

  | kind | meaning |
  |---|---|
  | `:nxdomain` | the name doesn't exist |
  | `:nodata` | the name exists, but has no such records |
  | `:servfail` | the server could not resolve the name |
  | `:refused` | the server refused to answer |
  | `:timeout` | no answer before the deadline |
  | `:truncated` | the answer was cut short, and the rest of it could not be had |
  | `:network` | the server could not be reached, or the connection broke |
  | `:handshake` | what listens where a node should be didn't go on with the handshake |
  | `:malformed` | the answer was no valid DNS message |
  | `:invalid_name` | not a node name or not a domain name, or an answer without any host |
  | `:invalid_option` | an unknown or ill-typed option |
  | `:unknown_topology` | no topology of that name runs on this node |
  | `:port_out_of_range` | the number in a node name is no port |
  | `:tool_node` | a tool's node, as a release's `remote` or `rpc`, which can't be dialled |
  | `:overloaded` | too many look-ups or probes under way, or too few file descriptors for them |
  | `:not_loaded` | the native library is missing, or not the one of this version and platform |
  | `:not_started` | the application `:caravan` is not running on this node |
  | `:internal` | a bug in Caravan; please report it |

  The `details` of a look-up that failed:

    * `question` - the name asked for, with the type of its records, such as `"app.example.org A"`
    * `servers` - who was asked, such as `["127.0.0.1:53"]`
    * `elapsed_ms` - the time spent
    * `rcode` - the response code of the answer as a number, where that was the failure: 2 for SERVFAIL, 3 for
      NXDOMAIN, 5 for REFUSED
    * `partial` - the `Caravan.Lookup` of what did come, where only a part is missing: one of two kinds of addresses, the
      addresses of a host, or the end of an answer that was cut
  """

  @type kind ::
          :nxdomain
          | :nodata
          | :servfail
          | :refused
          | :timeout
          | :truncated
          | :network
          | :handshake
          | :malformed
          | :invalid_name
          | :invalid_option
          | :unknown_topology
          | :port_out_of_range
          | :tool_node
          | :overloaded
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
  # The native library keeps the deadline, so this is a fault of its.
  @spec overdue(String.t(), pos_integer) :: t
  def overdue(query, timeout) do
    new(
      {:internal,
       "the look-up of #{query} gave no answer, although its deadline of #{timeout} ms is long over; " <>
         "this is a bug in Caravan, please report it"},
      query
    )
  end
end
