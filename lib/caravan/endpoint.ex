defmodule Caravan.Endpoint do
  @moduledoc """
  A place where a node should be, according to one or more DNS records.

    * `host` - the host's name in lower case and without the trailing dot; `nil` for A and AAAA answers
    * `addresses` - its addresses as `:inet` tuples, at most 32 per family; empty if the host of an SRV
      record doesn't resolve
    * `port` - the port of the SRV record; `nil` for A and AAAA answers and if the record's port is 0, which stands for
      none, as for a headless Kubernetes Service whose port has no name
    * `priority`, `weight` - those of the SRV record (RFC 2782), otherwise 0
  """

  @type t :: %__MODULE__{
          host: String.t() | nil,
          addresses: [:inet.ip_address()],
          port: 1..65_535 | nil,
          priority: 0..65_535,
          weight: 0..65_535
        }

  defstruct host: nil, addresses: [], port: nil, priority: 0, weight: 0
end
