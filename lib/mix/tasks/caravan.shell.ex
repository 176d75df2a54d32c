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
  @flags "-start_epmd false -epmd_module caravan_epmd"

  @impl true
  @spec run([String.t()]) :: no_return
  def run(args) do
    with :ok <- Caravan.Native.load(),
         {:ok, arguments} <- parse(args),
         Mix.Task.run("compile"),
         {:ok, iex} <- find_iex(),
         {:error, reason} <- Caravan.Native.exec(iex, arguments, [{"ERL_FLAGS", flags()}]) do
      CommandLine.fail("#{iex} doesn't start: #{reason}")
    else
      {:error, sentence} -> CommandLine.fail(sentence)
    end
  end

  @doc false
  # The arguments of `iex`.
  @spec parse([String.t()]) :: {:ok, [String.t()]} | {:error, String.t()}
  def parse(args) do
    {args, more} = split(args)

    case CommandLine.parse(args, @switches, @usage) do
      {:ok, switches, [name]} ->
        with {:ok, _port} <- port(name),
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

  defp port(name), do: with({:error, error} <- Caravan.dist_port(name), do: {:error, error.message})

  defp name(name, switches) do
    [_base | host] = String.split(name, "@", parts: 2)
    long? = Enum.any?(host, &String.contains?(&1, [".", ":"]))

    cond do
      switches[:name] -> ["--name", name]
      switches[:sname] -> ["--sname", name]
      true -> [if(long?, do: "--name", else: "--sname"), name]
    end
  end

  defp cookie(switches), do: for({:cookie, cookie} <- switches, value <- ["--cookie", cookie], do: value)

  defp with_script(more), do: if("-S" in more, do: more, else: more ++ ["-S", "mix"])

  defp find_iex do
    case System.find_executable("iex") do
      nil -> {:error, "there is no iex on PATH: put Elixir's bin folder there"}
      iex -> {:ok, iex}
    end
  end

  # The VM needs :caravan_epmd and the library before Mix runs. erlexec splits this at spaces and unquotes it.
  defp flags do
    path = :caravan |> Application.app_dir("ebin") |> String.replace(~r/[^\w\/.-]/u, "\\\\\\0")
    String.trim("#{System.get_env("ERL_FLAGS")} #{@flags} -pa #{path}")
  end
end
