# The controller of bin/demo: what happens, step by step, and what must hold. It isn't part of the cluster itself.

for name <- ~w(story machine picture screen cluster processes), do: Code.require_file(name <> ".exs", __DIR__)

defmodule Demo do
  import Demo.Cluster
  alias Demo.{Machine, Processes, Screen, Story}

  # A mesh that is complete only between two changes doesn't count.
  @stands 1_000

  def run do
    state = new(Keyword.values(Story.steps()), Processes.listen())

    try do
      state = Enum.reduce(Keyword.keys(Story.steps()), Processes.start_dns(state), &step/2)
      if state.keep?, do: told_to_stay(state), else: state
    catch
      {:failed, reason, state} ->
        Screen.failed(state, reason)
        System.halt(1)
    else
      state ->
        Screen.finished(state, verdict(state))
        if state.keep?, do: IO.puts(Screen.kept(state))
    end
  end

  defp step(step, state), do: state |> began() |> play(step) |> passed()

  defp play(state, :alone) do
    ports = Enum.take(Machine.free_ports(), 5)

    ports
    |> Enum.reduce(state, &Processes.start_node(&2, &1))
    |> await(20_000, "five nodes up, each after a failed lookup", fn state ->
      running(state) == 5 and all_lookups?(state, "nxdomain")
    end)
    |> hold(@stands, "a node is connected before there are records", &all_alone?/1)
  end

  defp play(state, :form) do
    state.nodes |> Map.keys() |> Enum.reduce(state, &Processes.add_records(&2, &1)) |> meshed(5)
  end

  defp play(state, :join) do
    port = Enum.find(Machine.free_ports(), &(not Map.has_key?(state.nodes, &1)))
    state |> Processes.start_node(port) |> Processes.add_records(port) |> meshed(6)
  end

  defp play(state, :kill) do
    port = victim(state)
    {_, 0} = System.cmd("kill", ["-KILL", state.nodes[port].os_pid])
    state |> put(port, state: :killed, listens: [], peers: []) |> meshed(5)
  end

  defp play(state, :restart) do
    state |> Processes.start_node(victim(state)) |> meshed(6)
  end

  defp play(state, :silence) do
    # The time counts from the command, so it includes the wait for the lookups.
    until = now() + Story.silence()

    %{state | dns_state: :silent}
    |> Processes.command("fault silence")
    |> await(Story.silence(), "failing lookups on every node", &all_lookups?(&1, "timeout"))
    |> hold(until - now(), "a lookup was answered by the silent DNS", fn state ->
      mesh?(state, 6) and all_lookups?(state, "timeout")
    end)
    |> called(6)
  end

  defp play(state, :answers) do
    %{state | dns_state: :answering}
    |> Processes.command("fault none")
    |> await(10_000, "successful lookups on every node", &all_lookups?(&1, "ok"))
    |> meshed(6)
  end

  defp victim(state), do: state.nodes |> Map.keys() |> Enum.sort() |> Enum.at(2)

  defp meshed(state, count) do
    state
    |> await(20_000, "a mesh of #{count} nodes", &mesh?(&1, count))
    |> hold(@stands, "the mesh of #{count} nodes didn't last", &mesh?(&1, count))
    |> called(count)
  end

  # Every node calls all its peers, and each must answer. A node reports what it saw earlier before it answers, so after
  # this no lost link goes unnoticed.
  defp called(state, count) do
    state
    |> ask_all()
    |> await(5_000, "answers from every peer to every node", fn state ->
      Enum.all?(up(state), &(&1.called && length(&1.called) == count - 1))
    end)
  end

  defp verdict(state) do
    count = running(state)

    "Every check passed: #{count} nodes, #{div(count * (count - 1), 2)} links, none lost in the silence, no epmd."
  end

  defp told_to_stay(state) do
    state
    |> tell_all("keep")
    |> await(5_000, "nodes that stay", fn state -> Enum.all?(up(state), & &1.kept?) end)
  end
end

Demo.run()
