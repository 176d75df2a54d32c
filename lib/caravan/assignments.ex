defmodule Caravan.Assignments do
  @moduledoc false
  # What rel/env.sh.eex and a Dockerfile, as texts, assign to variables of the environment. Pure.

  alias Caravan.VmArgs

  @variables ~w(ELIXIR_ERL_OPTIONS ERL_AFLAGS ERL_FLAGS ERL_ZFLAGS)

  @doc "The variables that every VM started with them takes flags from."
  @spec variables() :: [String.t()]
  def variables, do: @variables

  # A word of the shell, in a template: what quotes, braces and brackets hold together, to the end of the line if they
  # aren't closed there.
  @word ~S"""
  (?: <%= .*? %>
    | " (?: \\. | [^"\\] )* (?: " | $)
    | ' [^']* (?: ' | $)
    | (?<braces> \$\{ (?: [^{}] | (?&braces) )* \} )
    | \$\( [^()]* \)
    | ` [^`]* `
    | \\.
    | [^\s;&|"']
  )*
  """

  @doc """
  The values that the text assigns to a variable, without quotes, and their lines. Docker's older form has no `=`, and
  takes the rest of the line.
  """
  @spec values(String.t(), String.t()) :: [{line :: pos_integer, value :: String.t()}]
  def values(text, variable) do
    assignment = ~r/(?:^|[\s;]) (?: #{variable}=(?<word>#{@word}) | ENV\ #{variable}\ (?<rest>.*)$ )/x

    for {line, number} <- text |> VmArgs.lines() |> Enum.with_index(1),
        not (line =~ ~r/^\s*#/),
        %{"word" => word, "rest" => rest} <- [Regex.named_captures(assignment, line)],
        value = word <> rest,
        do: {number, value |> String.trim() |> String.trim("\"") |> String.trim("'")}
  end

  @doc "The flags that the text gives all VMs of a release, its commands included."
  @spec flags(String.t(), String.t()) :: [{path :: String.t(), VmArgs.flag()}]
  def flags(path, text) do
    for variable <- @variables,
        {line, value} <- values(text, variable),
        {flag, words, _} <- value |> String.replace(~r/["'\\]/, "") |> VmArgs.flags(),
        do: {path, {flag, words, line}}
  end
end
