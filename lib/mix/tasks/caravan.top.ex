defmodule Mix.Tasks.Caravan.Top do
  @shortdoc "Shows how a running node sees its cluster"

  @moduledoc """
  Shows how a running node sees its cluster: topologies, lookups, and each peer with its state, its last error and the
  time until the next dial. What is wrong comes first.

      mix caravan.top NODE [--every SECONDS] [--plain] [--cookie COOKIE] [--name | --sname]

      mix caravan.top a-0
      mix caravan.top my_app-3434@host1.example.org --every 5
      mix caravan.top my_app-3434@host1.example.org --plain | grep 'backing off'

  On a terminal the picture is renewed until you type `q`, Ctrl-D or Ctrl-C. It fits the window; what doesn't fit is
  counted. If the node goes away, the last picture stays, with its age and the reason, until the node is back. Elsewhere
  plain lines are printed, all of them, and once.

    * `--every SECONDS` - how often to ask the node, from 0.1 to 86400 s; by default every 2 s on a terminal. Elsewhere
      it repeats the lines, each time with the time of day, until it is ended.
    * `--plain` - prints plain lines on a terminal, too.
    * `--cookie COOKIE` - the node's cookie; by default that in `RELEASE_COOKIE` or else in `~/.erlang.cookie`.
    * `--name`, `--sname` - `NODE` is a long or a short name; by default it is short unless its host has a dot or a
      colon. A short name without a host is on this machine.

  Connects as a hidden node that nobody can dial, and asks for `Caravan.status/0`. If the node has flags that change how
  it is found, give the same ones here: `ERL_FLAGS="-caravan base_port 5000" mix caravan.top a-0`, or
  `ERL_FLAGS="-proto_dist inet_tls -ssl_dist_optfile FILE"` for TLS.

  Needs `sh` and, on a terminal, `stty`, so it doesn't run on Windows.

  ## Exit status

  | status | meaning |
  |---|---|
  | 0 | left with `q` or Ctrl-D, or printed all |
  | 1 | an argument is wrong, the node can't be reached at the start, or it runs without Caravan; a sentence says why |
  | 130 | ended with Ctrl-C; other signals likewise |
  """

  use Mix.Task
  alias Caravan.CommandLine
  alias Caravan.Top.Launch

  @usage "mix caravan.top NODE [--every SECONDS] [--plain] [--cookie COOKIE] [--name | --sname]"
  @switches [every: :float, plain: :boolean, cookie: :string, name: :boolean, sname: :boolean]
  @most 86_400

  @impl true
  @spec run([String.t()]) :: no_return
  def run(args) do
    {:error, sentence} =
      with :ok <- Caravan.Native.load(),
           {:ok, options} <- parse(args),
           do: Launch.exec(options)

    CommandLine.fail(sentence)
  end

  @doc false
  @spec parse([String.t()]) :: {:ok, Launch.options()} | {:error, String.t()}
  def parse(args) do
    case CommandLine.parse(args, @switches, @usage) do
      {:ok, switches, [name]} ->
        with :ok <- CommandLine.check_name(name),
             {:ok, every} <- every(switches[:every]),
             do: {:ok, options(name, switches, every)}

      {:ok, _, names} ->
        {:error, "expected one node name, such as a-0, got #{length(names)}: #{@usage}"}

      {:error, sentence} ->
        {:error, sentence}
    end
  end

  defp options(name, switches, every) do
    %{
      node: name,
      long?: CommandLine.long_name?(name, switches),
      cookie: switches[:cookie] || System.get_env("RELEASE_COOKIE"),
      every: every,
      plain: Keyword.get(switches, :plain, false)
    }
  end

  defp every(nil), do: {:ok, nil}
  defp every(seconds) when seconds >= 0.1 and seconds <= @most, do: {:ok, round(seconds * 1_000)}
  defp every(seconds), do: {:error, "expected --every to be from 0.1 to #{@most} seconds, got #{seconds}: #{@usage}"}
end
