defmodule Caravan.Endpoint do
  @moduledoc """
  A place where a node should be, as one or more DNS records tell.

    * `host` - the host's name in lower case and without the trailing dot; `nil` for A and AAAA answers
    * `addresses` - its addresses as `:inet` tuples, 32 of a family at the most; empty if the host of an SRV
      record doesn't resolve
    * `port` - the port of the SRV record; `nil` for A and AAAA answers, and where the record has 0, which
      stands for none: of a headless Service in Kubernetes whose port has no name, say
    * `priority`, `weight` - of the SRV record (RFC 2782), else 0
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
