defmodule Caravan.Generator.Platform do
  @moduledoc false
  # What is particular to a platform: how a node learns its address there, what DNS publishes, and the platform's own
  # file. Data only.

  @enforce_keys [:host, :hint, :topology, :files]
  defstruct [
    :host,
    :hint,
    :topology,
    :files,
    find: "",
    port: "4370",
    protocol: "inet",
    address: :own,
    named_by: :address,
    notes: []
  ]

  @type t :: %__MODULE__{
          # The shell variable with the part of a node's name after the @, and what to say if it is empty.
          host: String.t(),
          hint: String.t(),
          # The commands that set it, unless the platform does.
          find: String.t(),
          # What the part before the @ ends in: a number, or the shell variable that has it.
          port: String.t(),
          protocol: String.t(),
          # Whether each node has an address to itself, so that all may listen on the same port.
          address: :own | :shared,
          named_by: :address | :host,
          # The topology's options, as they are written.
          topology: String.t(),
          # The platform's own files: a name and a text.
          files: [{String.t(), String.t()}],
          notes: [String.t()]
        }

  # What the texts are made of: the application, its name as a DNS label, its release, the folder of that one's templates,
  # the port of its nodes and, if distribution uses TLS, the folder with a node's certificate.
  @type names :: %{
          app: String.t(),
          label: String.t(),
          release: String.t(),
          dir: String.t(),
          port: pos_integer,
          tls: String.t() | nil
        }
end
