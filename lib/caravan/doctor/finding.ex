defmodule Caravan.Doctor.Finding do
  @moduledoc """
  The outcome of one check of `Caravan.Doctor`.

    * `about` - what was checked: `:this_node`, `{:topology, name, query}`, `{:query, query}` or `{:node, name}`
    * `layer` - `:library`, `:distribution`, `:epmd_module`, `:port`, `:host`, `:flags`, `:topology`, `:dns`, `:name`,
      `:address`, `:tcp` or `:handshake`
    * `verdict` - `:ok`, `:warning` or `:fault`
    * `kind` - a word for programs, such as `:no_epmd_module`; `:ok` if there is nothing to mend
    * `message` - a sentence for people
    * `cure` - what to do, or `nil` if the message says that, too, or nothing needs doing
  """

  @type about ::
          :this_node
          | {:topology, atom, String.t() | nil}
          | {:query, String.t()}
          | {:node, String.t()}

  @type layer ::
          :library
          | :distribution
          | :epmd_module
          | :port
          | :host
          | :flags
          | :topology
          | :dns
          | :name
          | :address
          | :tcp
          | :handshake

  @type verdict :: :ok | :warning | :fault

  @type t :: %__MODULE__{
          about: about,
          layer: layer,
          verdict: verdict,
          kind: atom,
          message: String.t(),
          cure: String.t() | nil
        }

  @enforce_keys [:layer, :verdict, :kind, :message]
  defstruct [:layer, :verdict, :kind, :message, :cure, about: :this_node]

  @doc false
  def ok(layer, message), do: %__MODULE__{layer: layer, verdict: :ok, kind: :ok, message: message}

  @doc false
  def warning(layer, kind, message, cure \\ nil),
    do: %__MODULE__{layer: layer, verdict: :warning, kind: kind, message: message, cure: cure}

  @doc false
  def fault(layer, kind, message, cure \\ nil),
    do: %__MODULE__{layer: layer, verdict: :fault, kind: kind, message: message, cure: cure}

  @doc "The worst verdict among findings."
  @spec worst([t]) :: verdict
  def worst(findings) do
    cond do
      Enum.any?(findings, &(&1.verdict == :fault)) -> :fault
      Enum.any?(findings, &(&1.verdict == :warning)) -> :warning
      true -> :ok
    end
  end
end
