defmodule Caravan.Lookup do
  @moduledoc """
  What one DNS look-up found; see `Caravan.lookup/2`. It is the whole answer, save in the `details` of a
  `Caravan.Error`, which says what is missing.

    * `endpoints` - ordered by priority, then weight, then name; never empty
    * `ttl` - how long the answer holds, in seconds
    * `server` - who answered, such as `"127.0.0.1:53"`
    * `transport` - how: `:udp`, `:tcp`, or `:hosts` for the hosts file
    * `elapsed` - the time it took, in microseconds
    * `unresolved` - hosts of SRV records that have no address
    * `refused` - what the answer held that is no host name: how many, and an example of each kind
  """

  @typedoc "Names of one kind that were turned away."
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
