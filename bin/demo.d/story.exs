# The steps of the demo, in order, and what each is to show.

defmodule Demo.Story do
  @silence 10_000

  def steps do
    [
      alone: "Five nodes start; DNS has no records yet, so each is alone",
      form: "DNS gets their SRV records: they form a full mesh",
      join: "A sixth node starts and gets its record: all connect to it",
      kill: "One node is killed (kill -9): the others notice",
      restart: "It restarts under the same name: the mesh is complete",
      silence: "DNS is silent for #{div(@silence, 1000)} s: lookups fail, no link is lost",
      answers: "DNS answers again: lookups succeed, no link is lost"
    ]
  end

  @doc "How long DNS is silent, in ms."
  def silence, do: @silence
end
