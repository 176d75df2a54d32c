# The port of a node name, in nanoseconds a call: the NIF beside an empty NIF call and a plain Elixir parser.
# Every round measures each subject once, in turn; the medians of all rounds are shown, so a slow moment hits all alike.

defmodule Bench.Elixir do
  # What one would write without a NIF: the digits before the @, read from the end.
  def port(name) when is_atom(name), do: port(Atom.to_charlist(name))
  def port(name) when is_binary(name), do: port(String.to_charlist(name))
  def port(name), do: name |> base([]) |> digits(0, 1)

  defp base([?@ | _host], reversed), do: reversed
  defp base([char | rest], reversed), do: base(rest, [char | reversed])
  defp base([], reversed), do: reversed

  defp digits([digit | rest], number, unit) when digit in ?0..?9,
    do: digits(rest, number + (digit - ?0) * unit, unit * 10)

  defp digits(_rest, 0, 1), do: 4370
  defp digits(_rest, number, _unit) when number < 1024, do: 4370 + number
  defp digits(_rest, number, _unit), do: number
end

defmodule Bench do
  @calls 200_000
  @rounds 15

  # In a module, since funs of a script are interpreted.
  def subjects(atom, binary, list) do
    [
      {"empty fun", fn -> :ok end},
      {"empty NIF", fn -> Caravan.Native.loaded() end},
      {"NIF, atom", fn -> Caravan.Native.dist_port(atom) end},
      {"NIF, binary", fn -> Caravan.Native.dist_port(binary) end},
      {"NIF, charlist", fn -> Caravan.Native.dist_port(list) end},
      {"Elixir, atom", fn -> Bench.Elixir.port(atom) end},
      {"Elixir, binary", fn -> Bench.Elixir.port(binary) end},
      {"Elixir, charlist", fn -> Bench.Elixir.port(list) end}
    ] ++ regex(list)
  end

  defp regex(list) do
    if Code.ensure_loaded?(Caravan.Epmd),
      do: [
        {"Caravan 1.0, charlist",
         fn -> apply(Caravan.Epmd.Client, :port_please, [list, ~c"h"]) end}
      ],
      else: []
  end

  def run(subjects) do
    for(_round <- 1..@rounds, {label, fun} <- subjects, do: {label, nanoseconds(fun)})
    |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
    |> Map.new(fn {label, times} -> {label, times |> Enum.sort() |> Enum.at(div(@rounds, 2))} end)
  end

  defp nanoseconds(fun) do
    start = :erlang.monotonic_time(:nanosecond)
    loop(fun, @calls)
    (:erlang.monotonic_time(:nanosecond) - start) / @calls
  end

  defp loop(_fun, 0), do: :ok

  defp loop(fun, calls) do
    fun.()
    loop(fun, calls - 1)
  end
end

:ok = Caravan.Native.load()
name = "likes-service-3434@10.0.0.1"
{atom, list} = {String.to_atom(name), String.to_charlist(name)}

subjects = Bench.subjects(atom, name, list)
results = Bench.run(subjects)
loop = results["empty fun"]
empty = results["empty NIF"] - loop

IO.puts("median of 15 interleaved rounds of 200,000 calls; the empty fun's time is taken off")

for {label, _fun} <- tl(subjects) do
  net = results[label] - loop

  IO.puts(
    String.pad_trailing(label, 24) <>
      String.pad_leading("#{:erlang.float_to_binary(net, decimals: 1)} ns", 12) <>
      String.pad_leading("#{:erlang.float_to_binary(net / empty, decimals: 2)} x empty", 18)
  )
end
