# The port of a node name, in nanoseconds a call: the NIF beside an empty NIF call and a parser in plain Elixir with the
# same grammar. Every round measures each subject once, in turn; the medians of all rounds are shown, so that a slow
# moment hits all alike. The loop's own nanosecond or two is left in.

defmodule Bench.Elixir do
  # What one would write without a NIF: one walk through the name, the same checks, the same answers.
  def port(name) when is_atom(name), do: port(Atom.to_string(name))

  def port(<<tool::binary-4, rest::binary>> = name) when tool in ["rem-", "rpc-"],
    do: if(tool?(rest, 0), do: {:error, :tool_node}, else: binary(name, 0, 0))

  def port(name) when is_binary(name) and name != "", do: binary(name, 0, 0)

  def port([?r, second, third, ?- | rest] = name) when {second, third} in [{?e, ?m}, {?p, ?c}],
    do: if(tool?(List.to_string(rest), 0), do: {:error, :tool_node}, else: list(name, 0, 0))

  def port([_ | _] = name), do: list(name, 0, 0)
  def port(_name), do: {:error, :invalid_name}

  defp tool?(<<hex, rest::binary>>, digits)
       when (hex in ?0..?9 or hex in ?a..?f or hex in ?A..?F) and digits < 4,
       do: tool?(rest, digits + 1)

  defp tool?(<<?-, _rest::binary>>, digits), do: digits > 0
  defp tool?(_rest, _digits), do: false

  defp binary(<<digit, rest::binary>>, number, count) when digit in ?0..?9,
    do: binary(rest, number * 10 + digit - ?0, count + 1)

  defp binary(<<?@, host::binary>>, number, count),
    do: if(host != "" and host?(host), do: answer(number, count), else: {:error, :invalid_name})

  defp binary(<<char, rest::binary>>, _number, _count) when char in ?!..?~,
    do: binary(rest, 0, 0)

  defp binary(<<>>, number, count), do: answer(number, count)
  defp binary(_rest, _number, _count), do: {:error, :invalid_name}

  defp host?(<<char, rest::binary>>) when char in ?!..?~ and char != ?@, do: host?(rest)
  defp host?(rest), do: rest == ""

  defp list([digit | rest], number, count) when digit in ?0..?9,
    do: list(rest, number * 10 + digit - ?0, count + 1)

  defp list([?@ | host], number, count),
    do: if(host != [] and hosts?(host), do: answer(number, count), else: {:error, :invalid_name})

  defp list([char | rest], _number, _count) when char in ?!..?~, do: list(rest, 0, 0)
  defp list([], number, count), do: answer(number, count)
  defp list(_rest, _number, _count), do: {:error, :invalid_name}

  defp hosts?([char | rest]) when char in ?!..?~ and char != ?@, do: hosts?(rest)
  defp hosts?(rest), do: rest == []

  defp answer(_number, 0), do: {:ok, 4370}
  defp answer(number, _count) when number < 1024, do: {:ok, 4370 + number}
  defp answer(number, _count) when number <= 65_535, do: {:ok, number}
  defp answer(_number, _count), do: {:error, :port_out_of_range}
end

defmodule Bench do
  @calls 100_000
  @rounds 25

  # The name as the VM gives it to an epmd module: without its host.
  @name "likes-service-3434"

  def run do
    results = for _round <- 1..@rounds, {label, loop} <- subjects(), do: {label, time(loop)}

    medians =
      results
      |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
      |> Map.new(fn {label, times} ->
        {label, times |> Enum.sort() |> Enum.at(div(@rounds, 2))}
      end)

    for {label, _loop} <- subjects(), do: {label, medians[label]}
  end

  defp subjects do
    {atom, charlist} = {String.to_atom(@name), String.to_charlist(@name)}

    [
      {"empty NIF call", fn -> empty(@calls) end},
      {"NIF, atom", fn -> nif(atom, @calls) end},
      {"NIF, binary", fn -> nif(@name, @calls) end},
      {"NIF, charlist", fn -> nif(charlist, @calls) end},
      {"plain Elixir, atom", fn -> elixir(atom, @calls) end},
      {"plain Elixir, binary", fn -> elixir(@name, @calls) end},
      {"plain Elixir, charlist", fn -> elixir(charlist, @calls) end}
    ] ++ if(Code.ensure_loaded?(Caravan.Epmd), do: regexes([atom, @name, charlist]), else: [])
  end

  defp regexes(names) do
    for {form, name} <- Enum.zip(~w(atom binary charlist), names),
        do: {"Caravan 1.0, " <> form, fn -> regex(name, @calls) end}
  end

  defp time(loop) do
    start = :erlang.monotonic_time(:nanosecond)
    loop.()
    (:erlang.monotonic_time(:nanosecond) - start) / @calls
  end

  # A loop for each, since a fun between would cost as much as the empty call.
  defp empty(0), do: :ok

  defp empty(calls) do
    Caravan.Native.loaded()
    empty(calls - 1)
  end

  defp nif(_name, 0), do: :ok

  defp nif(name, calls) do
    Caravan.Native.dist_port(name)
    nif(name, calls - 1)
  end

  defp elixir(_name, 0), do: :ok

  defp elixir(name, calls) do
    Bench.Elixir.port(name)
    elixir(name, calls - 1)
  end

  defp regex(_name, 0), do: :ok

  defp regex(name, calls) do
    apply(Caravan.Epmd, :dist_port, [name])
    regex(name, calls - 1)
  end
end

:ok = Caravan.Native.load()

# A parser that answers otherwise would be no comparison.
for name <- ~w(likes-service-3434 app app-0@h app-70000 rem-a1b2-app theorem-4370 a@b@c) ++ [""],
    form <- [name, String.to_charlist(name), String.to_atom(name)] do
  nif = with {:error, {kind, _sentence}} <- Caravan.Native.dist_port(form), do: {:error, kind}
  ^nif = Bench.Elixir.port(form)
end

results = Bench.run()
{"empty NIF call", empty} = hd(results)
IO.puts("median of 25 interleaved rounds of 100,000 calls, the loop included")

for {label, time} <- results do
  IO.puts(
    String.pad_trailing(label, 24) <>
      String.pad_leading("#{:erlang.float_to_binary(time, decimals: 1)} ns", 12) <>
      String.pad_leading("#{:erlang.float_to_binary(time / empty, decimals: 2)} x empty", 18)
  )
end
