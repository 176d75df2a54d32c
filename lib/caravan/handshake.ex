defmodule Caravan.Handshake do
  @moduledoc """
  Asks whatever listens where a node should be who it is, by the first messages of Erlang's distribution handshake.

      {:ok, handshake} = Caravan.Handshake.ask(:"my_app-3434@host1.example.org")
      handshake.verdict
      #=> :other_name
      handshake.message
      #=> "the node there is named my_app-3434@10.0.0.5, not my_app-3434@host1.example.org, and …"

  No link is made, and nothing of a link that exists is touched: the question is asked as a hidden node whose name is
  `caravan-` followed by this node's name. The node there tells its name before it asks for a cookie, and logs nothing
  of it, unless `net_kernel:allow/1` excludes the asker.

  Whether the cookies are the same shows only if ours is sent, with the option `cookie`. This is for people who want to
  know, not for programs that poll. A wrong cookie is a line in the other node's log. So one that a node has refused isn't
  sent there again for ten minutes, unless the node restarts meanwhile; until then the answer is that of the first time.
  The right one makes a link of a hidden node there, which ends at once: `global` and whoever monitors visible nodes
  don't see it.

  A `Caravan.Handshake` has these fields:

    * `verdict` - one of those below
    * `message` - what was expected, what was found and what to do about it
    * `node` - the name that was asked for, or `nil`
    * `place` - where, such as `"10.0.0.5:3434"`
    * `name`, `creation`, `flags` - what the node there says it is, or `nil`
    * `details` - more for programs, see below
    * `elapsed_ms` - how long it took

  | verdict | meaning | details |
  |---|---|---|
  | `:ok` | a node is there, under the name asked for, if any | `cookie`: `:same` or `:untested` |
  | `:itself` | this node itself, by its name and creation | |
  | `:duplicate` | another node that has this node's name | |
  | `:other_name` | the node there has another name | `differs`: `:capitals`, `:domain` (short and long names), `:address` (a host and an address), `:host` or `:base` |
  | `:already_connected` | the same, and this node is connected to it under that name | `differs` |
  | `:other_cookie` | the node there has another cookie | |
  | `:not_allowed` | the node there allows only certain others | |
  | `:busy` | the node there is still busy with an earlier question | |
  | `:incompatible` | the node there lacks what this VM requires | `missing`: flags such as `"V4_NC"` |
  | `:peer_tls` | TLS there, plain distribution here | `alert`: its number, or `nil` |
  | `:peer_plain` | plain distribution there, TLS here | |
  | `:tls` | TLS there and here, but this VM isn't a node and has no certificate, so it can't ask more | |
  | `:certificate` | one side rejects the other's certificate | `side`: `:here` or `:there`, who rejects it; `reason`: such as `"certificate_expired"`, `"unknown_ca"` or `"hostname_check_failed"` |
  | `:tls_failed` | TLS can't be agreed on | `side`, `alert`, `reason` |
  | `:not_erlang` | something else | `protocol`: such as `"HTTP"`, or `nil`; `banner`: the beginning of what it said |
  | `:hung_up` | it closed the connection | `stage`: what we waited for, `:status` or `:challenge` |
  | `:silent` | it accepts connections and says nothing | `stage`, also `:proof` of the cookie |
  | `:refused` | nothing listens there | |
  | `:unreachable` | the system can't reach the address | `reason` |
  | `:no_address` | the host has no address | `reason` |
  | `:timeout` | no answer at all | |
  """

  alias Caravan.{Error, Native, Options, Settings}
  alias Caravan.Handshake.{Sentence, Tls, Verdict}

  @type verdict ::
          :ok
          | :itself
          | :duplicate
          | :other_name
          | :already_connected
          | :other_cookie
          | :not_allowed
          | :busy
          | :incompatible
          | :peer_tls
          | :peer_plain
          | :certificate
          | :tls_failed
          | :not_erlang
          | :hung_up
          | :silent
          | :refused
          | :unreachable
          | :no_address
          | :timeout
          | :tls
          | :failed

  @type t :: %__MODULE__{
          verdict: verdict,
          message: String.t() | nil,
          node: String.t() | nil,
          place: String.t(),
          name: String.t() | nil,
          creation: non_neg_integer | nil,
          flags: non_neg_integer | nil,
          details: map,
          elapsed_ms: non_neg_integer
        }

  @enforce_keys [:verdict, :place]
  defstruct [
    :verdict,
    :message,
    :node,
    :place,
    :name,
    :creation,
    :flags,
    details: %{},
    elapsed_ms: 0
  ]

  @doc """
  Asks the node of this name, where its name and the address that discovery has found say that it listens.

  #{Options.table(:handshake)}

  An error says that nobody could be asked: `:invalid_name`, `:port_out_of_range` or `:tool_node` for a name that can't be
  dialed, or `:overloaded`. An invalid option raises `Caravan.Error`.

  With a port in place of the options, asks whatever listens on that port of a host: see `ask/3`.
  """
  @spec ask(node | String.t() | charlist, keyword) :: {:ok, t} | {:error, Error.t()}
  @spec ask(String.t() | charlist | :inet.ip_address(), :inet.port_number()) ::
          {:ok, t} | {:error, Error.t()}
  def ask(node, options \\ [])

  def ask(host, port) when is_integer(port), do: ask(host, port, [])

  def ask(node, options) do
    options = Options.handshake!(options)
    name = to_string(node)
    put(name, %{options | node: name})
  end

  @doc "Asks whatever listens on this port of a host, a name or an address. The options are those of `ask/2`."
  @spec ask(String.t() | charlist | :inet.ip_address(), :inet.port_number(), keyword) ::
          {:ok, t} | {:error, Error.t()}
  def ask(host, port, options) when port in 1..65_535,
    do: put({text(host), port}, Options.handshake!(options))

  def ask(_host, port, _options) do
    {:error, Error.new({:port_out_of_range, "expected a port from 1 to 65535, got #{inspect(port)}"})}
  end

  defp put(place, %{timeout: timeout} = options) do
    question = question(place, timeout, options.cookie)

    case Native.await(&Native.handshake(&1, question), timeout) do
      {:ok, found} -> {:ok, found |> read(options.node) |> over_tls(question)}
      {:error, error} -> {:error, Error.new(error)}
      :overdue -> {:error, Error.new({:internal, overdue()})}
    end
  end

  @doc false
  # Both sides speak TLS, so there is more to ask.
  @spec over_tls(t, map) :: t
  def over_tls(%{verdict: :tls} = handshake, question),
    do: if(Node.alive?(), do: tls(handshake, question), else: handshake)

  def over_tls(handshake, _question), do: handshake

  defp tls(handshake, question) do
    begun = System.monotonic_time(:millisecond)
    left = max(question.timeout - handshake.elapsed_ms, 1)
    found = Tls.ask(handshake.place, host(handshake), %{question | timeout: left})
    elapsed = handshake.elapsed_ms + System.monotonic_time(:millisecond) - begun
    handshake = %{handshake | elapsed_ms: elapsed}

    case found do
      {:tls_fault, verdict, details} -> tell(%{handshake | verdict: verdict, details: details})
      found -> handshake |> identified(found) |> Verdict.put(found, %{here() | tls?: false}) |> tell()
    end
  end

  defp host(%{node: nil, place: place}), do: place |> String.split(":") |> hd()
  defp host(%{node: node}), do: node |> String.split("@") |> List.last()

  defp text(address) when is_tuple(address), do: address |> :inet.ntoa() |> to_string()
  defp text(host), do: to_string(host)

  defp overdue, do: "the library did not answer in time; this is a bug in Caravan, please report it"

  @doc false
  # For `Caravan.Native.handshake/2`.
  @spec question(String.t() | {String.t(), :inet.port_number()}, pos_integer, atom) :: map
  def question(place, timeout, cookie \\ nil) do
    %{
      place: place,
      own: Atom.to_string(node()),
      cookie: cookie && bytes(cookie),
      timeout: timeout,
      mandatory: elem(:erts_internal.get_dflags(), 2)
    }
  end

  @doc false
  # The bytes that OTP makes digests of. With a cookie that has none of these it can't be linked at all.
  @spec bytes(atom) :: binary
  def bytes(cookie) do
    case cookie |> Atom.to_string() |> :unicode.characters_to_binary(:utf8, :latin1) do
      bytes when is_binary(bytes) -> bytes
      _beyond_latin1 -> Atom.to_string(cookie)
    end
  end

  @doc false
  # What `Caravan.Native.handshake/2` has found, for whoever asked for `node`.
  @spec read({Verdict.found(), String.t(), non_neg_integer}, String.t() | nil) :: t
  def read({found, place, elapsed}, node) do
    handshake = %__MODULE__{verdict: :ok, place: place, node: node, elapsed_ms: elapsed}
    handshake |> identified(found) |> Verdict.put(found, here()) |> tell()
  end

  @doc false
  @spec tell(t) :: t
  def tell(handshake), do: %{handshake | message: Sentence.of(handshake)}

  defp identified(handshake, {:node, {name, creation, flags}, _missing, _cookie}),
    do: %{handshake | name: name, creation: creation, flags: flags}

  defp identified(handshake, _nobody), do: handshake

  defp here do
    %{
      name: Atom.to_string(node()),
      creation: :erts_internal.get_creation(),
      tls?: Settings.tls?(),
      connected?: &(&1 in Enum.map(Node.list(:connected), fn node -> Atom.to_string(node) end))
    }
  end
end
