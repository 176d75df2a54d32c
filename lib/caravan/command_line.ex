defmodule Caravan.CommandLine do
  @moduledoc false
  # What Caravan's Mix tasks have in common.

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

  @doc "Says why to standard error and ends with status 1."
  @spec fail(String.t()) :: no_return
  def fail(sentence) do
    Mix.shell().error(sentence)
    exit({:shutdown, 1})
  end
end
