defmodule Caravan.Lookup do
  @moduledoc """
  What one DNS look-up found; see `Caravan.lookup/2`.

    * `endpoints` - ordered by priority, then weight, then name; never empty
    * `ttl` - how long the answer holds, in seconds
    * `server` - who answered, as `"127.0.0.1:53"`
    * `transport` - how: `:udp`, `:tcp`, or `:hosts` for the hosts file
    * `elapsed` - the time it took, in microseconds
    * `unresolved` - hosts of SRV records that have no address
    * `incomplete` - a sentence where some of the answer could not be had, such as the AAAA records of an
      `:ip` look-up or the addresses of an SRV record's host; `nil` where all of it is there
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
          incomplete: String.t() | nil,
          refused: [refused]
        }

  defstruct endpoints: [],
            ttl: 0,
            server: nil,
            transport: nil,
            elapsed: 0,
            unresolved: [],
            incomplete: nil,
            refused: []
end
