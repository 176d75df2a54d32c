defmodule Caravan.Generator.EnvSh do
  @moduledoc false
  # Adds a node's name to the text of rel/env.sh.eex. What is there stays. Pure.

  alias Caravan.Assignments
  alias Caravan.Generator.{Flags, Platform}

  @doc "The text with what it lacks, and a sentence for each line that contradicts."
  @spec amend(String.t(), String.t(), Platform.t()) :: {String.t(), contradictions :: [String.t()]}
  def amend(path, text, platform) do
    name = name(platform)
    parts = if names(text) == [] or String.contains?(text, name), do: [distribution(), name], else: [distribution()]
    lacking = Enum.reject(parts, &present?(text, &1))

    added =
      case {text, lacking} do
        {text, []} -> text
        {"", lacking} -> Enum.join(["#!/bin/sh\n" | lacking], "\n")
        {text, lacking} -> Flags.ended(text) <> Enum.join(lacking, "\n")
      end

    {added, contradictions(path, text, platform)}
  end

  defp present?(text, part) do
    String.contains?(text, part) or
      (part == distribution() and Assignments.values(text, "RELEASE_DISTRIBUTION") != [])
  end

  # The environment takes precedence, so that a release can be tried elsewhere.
  defp distribution, do: ~S(export RELEASE_DISTRIBUTION="${RELEASE_DISTRIBUTION:-name}") <> "\n"

  defp name(platform) do
    find = String.replace(platform.find, ~r/^(?=.)/m, "    ")
    host = "${#{platform.host}:?#{platform.hint}, or RELEASE_DISTRIBUTION to none}"

    """
    # The node's name, for its peers to dial: the part before the @ ends in its port. `eval` and the like need none.
    case "$RELEASE_DISTRIBUTION:$RELEASE_COMMAND" in
      none:* | *: | *:eval | *:version) ;;
      *)
    #{find}    export RELEASE_NODE="${RELEASE_NODE:-<%= @release.name %>-#{platform.port}@#{host}}"
        ;;
    esac
    """
  end

  @doc """
  The port in the name that the text gives the node, `nil` if it gives none. `:variable` is one that only the shell
  knows, `:chance` the digits at the end of something else, such as a commit's hash.
  """
  @spec port(String.t()) :: pos_integer | nil | :chance | :variable
  def port(text) do
    case List.last(names(text)) do
      nil -> nil
      {_line, name} -> port_of(base(name))
    end
  end

  defp port_of(base) do
    variable = ~r/(?:\$\{[^{}]*\}|\$\([^()]*\)|`[^`]*`|\$\w+)$/

    case {Regex.run(variable, base), Regex.run(~r/\d+$/, base)} do
      {[variable], _} -> if variable =~ ~r/port/i, do: :variable, else: :chance
      {nil, [digits]} -> numbered(digits)
      {nil, nil} -> numbered("")
    end
  end

  # What stands before them isn't known yet, and doesn't count.
  defp numbered(digits) do
    case Caravan.dist_port("app-#{digits}") do
      {:ok, port} -> port
      {:error, _no_port} -> :chance
    end
  end

  defp contradictions(path, text, platform) do
    distribution =
      for {line, value} <- Assignments.values(text, "RELEASE_DISTRIBUTION"),
          not (value =~ ~r/^(name|\$\{RELEASE_DISTRIBUTION:-"?name"?\})$/),
          do: "#{path}:#{line}: expected RELEASE_DISTRIBUTION=name, got RELEASE_DISTRIBUTION=#{value}"

    distribution ++ for {line, name} <- names(text), wrong?(name, platform), do: named(path, line, name, platform)
  end

  defp named(path, line, name, platform) do
    "#{path}:#{line}: expected a name such as <%= @release.name %>-#{platform.port}@${#{platform.host}}, " <>
      "got RELEASE_NODE=#{name}"
  end

  defp wrong?(name, platform) do
    not (name =~ ~r/@.*\b#{platform.host}\b/) or (platform.address == :shared and port_of(base(name)) == :chance)
  end

  # `<%= @release.name %>` has an @, too.
  defp base(name) do
    case Regex.run(~r/^(.*)@/, name) do
      [_, base] -> base
      nil -> name
    end
  end

  defp names(text), do: Assignments.values(text, "RELEASE_NODE")
end
