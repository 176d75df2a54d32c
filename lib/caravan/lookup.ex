defmodule Caravan.Lookup do
  @moduledoc """
  The outcome of one DNS lookup; see `Caravan.lookup/2`. It is complete, except in the `details` of a
  `Caravan.Error`, which says what is missing.

    * `endpoints` - ordered by priority, then weight, then name; never empty
    * `ttl` - how long the answer is valid, in seconds
    * `server` - the server that answered, such as `"127.0.0.1:53"`
    * `transport` - `:udp`, `:tcp`, or `:hosts` for the hosts file
    * `elapsed` - the duration in microseconds
    * `unresolved` - hosts of SRV records that have no address
    * `refused` - names in the answer that are not valid host names: a count and an example for each reason
  """

  @typedoc "Names refused for one reason."
  @type refused :: %{reason: atom, count: pos_integer, example: String.t()}

  @type t :: %__MODULE__{
          endpoints: [Caravan.Endpoint.t(), ...],
          ttl: non_neg_integer,
          server: String.t(),
          transport: :udp | :tcp | :hosts,
          elapsed: non_neg_integer,
          unresolved: [String.t()],
          refused: [refused]
        }

  defstruct endpoints: [],
            ttl: 0,
            server: nil,
            transport: nil,
            elapsed: 0,
            unresolved: [],
            refused: []
end
