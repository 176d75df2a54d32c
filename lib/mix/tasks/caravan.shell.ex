defmodule Mix.Tasks.Caravan.Shell do
  @shortdoc "Starts IEx as a node that needs no epmd"

  @moduledoc """
  Starts `iex -S mix` as a node that needs no epmd.

      mix caravan.shell NAME [--name | --sname] [--cookie COOKIE] [-- IEX_ARGUMENT...]

      mix caravan.shell a-0
      mix caravan.shell my_app-3434@host1.example.org
      mix caravan.shell a-0 -- -S mix phx.server

  Compiles the project, and then runs `iex` in its own place: same terminal, same process, and its exit status. `NAME`
  is a short name unless its host has a dot or a colon; `--name` and `--sname` decide otherwise. Arguments after `--` go
  to `iex`; a `-S` among them replaces `-S mix`.

  The nodes that the shell starts, with `:peer` for example, need no epmd either: the flags are in their `ERL_FLAGS`.
  """

  use Mix.Task
  alias Caravan.CommandLine

  @usage "mix caravan.shell NAME [--name | --sname] [--cookie COOKIE] [-- IEX_ARGUMENT...]"
  @switches [name: :boolean, sname: :boolean, cookie: :string]

  @impl true
  @spec run([String.t()]) :: no_return
  def run(args) do
    {:error, sentence} =
      with :ok <- Caravan.Native.load(),
           {:ok, arguments} <- parse(args),
           Mix.Task.run("compile"),
           do: CommandLine.exec("iex", arguments, [{"ERL_FLAGS", CommandLine.node_flags()}])

    CommandLine.fail(sentence)
  end

  @doc false
  # The arguments of `iex`.
  @spec parse([String.t()]) :: {:ok, [String.t()]} | {:error, String.t()}
  def parse(args) do
    {args, more} = split(args)

    case CommandLine.parse(args, @switches, @usage) do
      {:ok, switches, [name]} ->
        with :ok <- CommandLine.check_name(name),
             do: {:ok, name(name, switches) ++ cookie(switches) ++ with_script(more)}

      {:ok, _, names} ->
        {:error, "expected one node name, such as a-0, got #{length(names)}: #{@usage}"}

      {:error, sentence} ->
        {:error, sentence}
    end
  end

  defp split(args) do
    case Enum.split_while(args, &(&1 != "--")) do
      {args, ["--" | more]} -> {args, more}
      {args, []} -> {args, []}
    end
  end

  defp name(name, switches), do: [if(CommandLine.long_name?(name, switches), do: "--name", else: "--sname"), name]

  defp cookie(switches), do: for({:cookie, cookie} <- switches, value <- ["--cookie", cookie], do: value)

  defp with_script(more), do: if("-S" in more, do: more, else: more ++ ["-S", "mix"])
end
