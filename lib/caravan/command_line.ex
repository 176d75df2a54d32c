defmodule Caravan.CommandLine do
  @moduledoc false
  # What Caravan's Mix tasks have in common.

  @node_flags "-start_epmd false -epmd_module caravan_epmd"
  @types %{"srv" => :srv, "a" => :a, "aaaa" => :aaaa, "ip" => :ip, "local" => :local}

  @doc "The switches of a task and the other words, or what to say of a switch that it doesn't have."
  @spec parse([String.t()], keyword, String.t()) :: {:ok, keyword, [String.t()]} | {:error, String.t()}
  def parse(args, switches, usage) do
    case OptionParser.parse(args, strict: switches) do
      {given, words, []} ->
        {:ok, given, words}

      {_, _, [{switch, value} | _]} ->
        {:error, "unknown or invalid option #{String.trim("#{switch} #{value}")}: expected #{usage}"}
    end
  end

  @doc """
  The options of a lookup that `--type`, `--tcp` and `--timeout` stand for. An unknown type is passed on as it is: the check
  of the options has the sentence for it.
  """
  @spec lookup_options(keyword) :: keyword
  def lookup_options(switches) do
    Enum.flat_map(switches, fn
      {:type, type} -> [type: Map.get(@types, type, type)]
      {:timeout, timeout} -> [timeout: timeout]
      {:tcp, true} -> [transport: :tcp]
      {_, _} -> []
    end)
  end

  @doc "Whether a node can have this name, with or without its host; if not, why."
  @spec check_name(String.t()) :: :ok | {:error, String.t()}
  def check_name(name) do
    case Caravan.dist_port(name) do
      {:ok, _port} -> :ok
      {:error, error} -> {:error, error.message}
    end
  end

  @doc "A name is a short one unless its host has a dot or a colon. The switches `name` and `sname` decide otherwise."
  @spec long_name?(String.t(), keyword) :: boolean
  def long_name?(name, switches) do
    [_base | host] = String.split(name, "@", parts: 2)

    cond do
      switches[:name] -> true
      switches[:sname] -> false
      true -> Enum.any?(host, &String.contains?(&1, [".", ":"]))
    end
  end

  @doc "The `ERL_FLAGS` of a VM that is to be a node without epmd: those that are set, and ours."
  @spec node_flags() :: String.t()
  def node_flags do
    # The VM needs :caravan_epmd and the library before Mix runs. erlexec splits this at spaces and unquotes it.
    path = :caravan |> Application.app_dir("ebin") |> String.replace(~r/[^\w\/.-]/u, "\\\\\\0")
    String.trim("#{System.get_env("ERL_FLAGS")} #{@node_flags} -pa #{path}")
  end

  @doc "Runs a program in place of this VM, with `env` added to the environment. Returns only if that fails."
  @spec exec(String.t(), [String.t()], [{String.t(), String.t()}]) :: {:error, String.t()}
  def exec(program, arguments, env) do
    with {:ok, path} <- find(program),
         {:error, reason} <- Caravan.Native.exec(path, arguments, env),
         do: {:error, "#{path} doesn't start: #{reason}"}
  end

  defp find(program) do
    case System.find_executable(program) do
      nil -> {:error, "there is no #{program} on PATH: add the folder that it is in"}
      path -> {:ok, path}
    end
  end

  @doc "The releases of a project's configuration with their options, the default one first."
  @spec releases(keyword) :: [{atom, keyword}]
  def releases(config) do
    releases =
      for {name, options} <- config[:releases] || [],
          do: {name, if(is_function(options, 0), do: options.(), else: options)}

    {default, others} = Enum.split_with(releases, fn {name, _} -> name == config[:default_release] end)
    default ++ others
  end

  @doc "The folder of the templates that a release with these options is made from."
  @spec templates(keyword) :: Path.t()
  def templates(options), do: options |> Keyword.get(:rel_templates_path, "rel") |> Path.relative_to_cwd()

  @doc "Says why to standard error and ends with status 1."
  @spec fail(String.t()) :: no_return
  def fail(sentence) do
    Mix.shell().error(sentence)
    exit({:shutdown, 1})
  end
end
