defmodule Caravan.Top.Launch do
  @moduledoc false
  # From the VM of Mix to the one that watches a node: a VM of its own, since it needs `:caravan_epmd` from its start,
  # and a shell around it, which owns the terminal's settings.
  #
  # Only since OTP 28 can a VM read single keys without a shell of its own, and none can be asked what to do at
  # Ctrl-C. So `stty` and `kill` do that, on every OTP alike; and whatever becomes of the VM, the terminal is
  # restored.

  alias Caravan.CommandLine

  @type options :: %{
          node: String.t(),
          long?: boolean,
          cookie: String.t() | nil,
          every: pos_integer | nil,
          plain: boolean
        }

  @every 2_000

  # The alternate screen, without a cursor, and without wrapping lines while the size changes.
  @enter "\e[?1049h\e[?25l\e[?7l\e[2J"
  @leave "\e[?7h\e[?25h\e[?1049l"

  # $1 is `plain` or what restores the screen, the rest the command.
  #
  # The settings change only when the VM asks for it (USR1): OTP 26 and newer reset the terminal, when a VM has ended,
  # to what it was when the VM started. The VM runs in the background for `wait` to be interrupted, and so needs its
  # input as a descriptor of its own. Killing it costs nothing: it has no state.
  @script ~S"""
  restore=$1
  shift
  if [ "$restore" = plain ] || [ ! -t 0 ] || [ ! -t 1 ] || [ "${TERM:-dumb}" = dumb ]; then
    exec "$@"
  fi
  settings=$(stty -g) || exec "$@"
  drawing=
  killed=
  signal() {
    woken=yes
    if [ "$1" = raw ]; then
      drawing=yes
      stty -echo -icanon min 1 time 0 susp undef
    else
      killed=$1
      kill -KILL "$vm" 2>/dev/null
    fi
  }
  trap 'signal raw' USR1
  trap 'signal 129' HUP
  trap 'signal 130' INT
  trap 'signal 131' QUIT
  trap 'signal 143' TERM
  exec 3<&0
  CARAVAN_TOP_SHELL=$$ "$@" <&3 3<&- &
  vm=$!
  woken=yes
  while [ -n "$woken" ]; do
    woken=
    wait "$vm" 2>/dev/null
    status=$?
  done
  if [ -n "$drawing" ] && [ "$status" != 0 ]; then printf '%b' "$restore"; fi
  stty "$settings"
  exit "${killed:-$status}"
  """

  @doc "The default of `--every` on a terminal, in ms."
  def every, do: @every

  @doc "Runs it in place of this VM; returns only if that fails."
  @spec exec(options) :: {:error, String.t()}
  def exec(options) do
    restore = if options.plain, do: "plain", else: String.replace(@leave, "\e", "\\033")
    code = "Caravan.Top.main()"
    arguments = ["-c", @script, "mix caravan.top", restore, "elixir", "--erl", "+Bd -hidden", "-e", code]
    # Not as an argument, since anybody may see those, and the cookie is among them.
    given = options |> :erlang.term_to_binary() |> Base.encode64()
    CommandLine.exec("sh", arguments, [{"ERL_FLAGS", flags(options)}, {"CARAVAN_TOP", given}])
  end

  defp flags(%{node: node}) do
    flags = CommandLine.node_flags()
    ipv6? = node |> String.split("@") |> List.last() |> String.contains?(":")
    if ipv6? and not String.contains?(flags, "-proto_dist"), do: flags <> " -proto_dist inet6_tcp", else: flags
  end

  @doc "In that VM: what it was given, and whether it is to draw."
  @spec given() :: {options, :live | :plain}
  def given do
    options = "CARAVAN_TOP" |> System.fetch_env!() |> Base.decode64!() |> :erlang.binary_to_term()
    {options, if(shell(), do: :live, else: :plain)}
  end

  @doc "In that VM: asks the shell to set the terminal so that keys come one by one, without an echo."
  @spec raw() :: :ok
  def raw do
    {_, 0} = System.cmd("kill", ["-USR1", shell()])
    :ok
  end

  @doc "What prepares the screen."
  def enter, do: @enter

  @doc "What restores it; the shell does that if this VM had no time to."
  def leave, do: @leave

  defp shell, do: System.get_env("CARAVAN_TOP_SHELL")

  @doc "Milliseconds as seconds, without decimals that say nothing."
  @spec seconds(pos_integer) :: String.t()
  def seconds(ms) when rem(ms, 1_000) == 0, do: "#{div(ms, 1_000)}"
  def seconds(ms), do: "#{ms / 1_000}"
end
