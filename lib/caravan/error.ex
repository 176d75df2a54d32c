defmodule Caravan.Error do
  @moduledoc """
  The one exception of Caravan: what went wrong, as a word for programs and a sentence for people.

    * `kind` - one word of the closed list below
    * `query` - the name that was asked for, or `nil` where there was none
    * `message` - a sentence: what was expected, what came, what to do

  | kind | meaning |
  |---|---|
  | `:nxdomain` | the name doesn't exist |
  | `:nodata` | the name exists, but has no such records |
  | `:servfail` | the server could not resolve the name |
  | `:refused` | the server refused to answer |
  | `:timeout` | no answer before the deadline |
  | `:truncated` | the answer was cut short and TCP failed |
  | `:network` | the server could not be reached, or the connection broke |
  | `:malformed` | the answer was no valid DNS message |
  | `:invalid_name` | not a node name or not a domain name |
  | `:invalid_option` | an unknown or ill-typed option, or an unknown topology |
  | `:port_out_of_range` | the number in a node name is no port |
  | `:tool_node` | a tool's node, as a release's `remote` or `rpc`, which can't be dialled |
  | `:overloaded` | too many look-ups under way |
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
          | :port_out_of_range
          | :tool_node
          | :overloaded

  @type t :: %__MODULE__{kind: kind, query: String.t() | nil, message: String.t()}

  @enforce_keys [:kind, :message]
  defexception [:kind, :query, :message]

  @doc false
  @spec new({kind, String.t()}, String.t() | nil) :: t
  def new({kind, message}, query \\ nil) do
    %__MODULE__{kind: kind, query: query, message: message}
  end
end
