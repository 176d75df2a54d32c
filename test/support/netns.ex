defmodule Caravan.Netns do
  @moduledoc """
  A laboratory of network namespaces, for tests: hosts with addresses of their own on one bridge, and
  networks where nobody is.

  Everything lives in a PID, a mount and a network namespace that one process holds, and that process ends
  when its input does. So all of it is gone with the Erlang process that started the laboratory, however
  that ends: the processes inside are killed by the kernel, the namespaces and mounts go with them.

  The hosts are 10.77.0.1 to 10.77.0.199. From each of them

    * 10.77.0.254, the hub, is the other side: a DNS server may listen there;
    * 10.66.0.0/16 is a black hole: packets vanish;
    * 10.67.0.0/16 refuses: nothing listens, connections are reset;
    * 10.99.0.0/16 is out of bounds: what is sent there is counted (`trespassers/1`).

  A host may have an address besides its own, which it never dials from: `add_address/3` or `add_virtual_address/3`. Or it
  is a pod, 10.78.0.1 to 10.78.0.199: pods see each other, and are reached from the hosts, as they are, but what they
  dial themselves comes from the hub (source NAT).
  """

  @deadline 20_000

  # Printed by the shell itself, before it mounts its own /proc: its id as seen from outside. IPv6 is off,
  # since its neighbour discovery would be counted as traffic. The bridge has an address of its own, otherwise it
  # changes with each new host, and the others send to the old one for a while.
  @holder """
  read -r pid rest </proc/self/stat
  set -e
  mount --make-rprivate /
  mount -t proc proc /proc
  mount -t tmpfs tmpfs /run
  mkdir /run/netns
  echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
  echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
  echo 1 >/proc/sys/net/ipv4/ip_forward
  ip -batch - <<END
  link set lo up
  link add hub address 02:00:00:00:00:fe type bridge
  address add 10.77.0.254/24 dev hub
  link set hub up
  route add blackhole 10.66.0.0/16
  route add local 10.67.0.0/16 dev lo
  netns add outside
  link add bounds type veth peer name inner netns outside
  address add 10.98.0.1/24 dev bounds
  link set bounds up
  neighbour add 10.98.0.2 lladdr 02:00:00:00:00:99 dev bounds nud permanent
  route add 10.99.0.0/16 via 10.98.0.2
  END
  ip -n outside link set inner up
  echo "holder $pid"
  exec cat
  """

  defstruct [:port, :pid]

  @type t :: %__MODULE__{port: port, pid: String.t()}

  @doc "Whether this user may make namespaces here."
  def possible? do
    match?({_, 0}, System.cmd("unshare", unshare(["true"]), stderr_to_stdout: true))
  rescue
    ErlangError -> false
  end

  @doc "How many neighbours the kernel keeps, those of all namespaces together (arp(7))."
  def most_neighbours do
    "/proc/sys/net/ipv4/neigh/default/gc_thresh3" |> File.read!() |> String.trim() |> String.to_integer()
  end

  @doc "Starts an empty laboratory; it belongs to the calling process."
  def start do
    port =
      Port.open({:spawn_executable, executable("unshare")}, [
        :binary,
        :exit_status,
        :stderr_to_stdout,
        line: 4_096,
        args: unshare(["sh", "-c", @holder])
      ])

    %__MODULE__{port: port, pid: holder(port, [])}
  end

  @doc "Ends all that runs inside and waits until it is gone."
  def stop(%{port: port, pid: pid}) do
    System.cmd("kill", ["-KILL", pid], stderr_to_stdout: true)

    receive do
      {^port, {:exit_status, _}} -> :ok
    after
      @deadline -> raise "the laboratory of namespaces did not end"
    end
  end

  @doc "Adds the host `name` with the address 10.77.0.`number`."
  def add_host(lab, name, number) when number in 1..199,
    do: add_host(lab, "hub", name, address(number), hub())

  @doc "Adds the pod `name` with the address 10.78.0.`number`."
  def add_pod(lab, name, number) when number in 1..199,
    do: add_host(lab, "pods", name, pod_address(number), "10.78.0.254")

  @doc "Makes room for pods. Needs nft."
  def add_pods(lab) do
    ip(lab, [
      "link add pods address 02:00:00:00:01:fe type bridge",
      "address add 10.78.0.254/24 dev pods",
      "link set pods up"
    ])

    run(lab, "hub", [
      "nft",
      """
      table ip pods {
        chain out {
          type nat hook postrouting priority 100
          ip saddr 10.78.0.0/24 ip daddr != 10.78.0.0/24 masquerade
        }
      }
      """
    ])

    :ok
  end

  defp add_host(lab, bridge, name, address, gateway) do
    # Created first: `ip -n` in the middle of a batch is not possible.
    ip(lab, [
      "netns add #{name}",
      "link add #{name} type veth peer name eth0 netns #{name}",
      "link set #{name} master #{bridge} up"
    ])

    ip(lab, name, [
      "link set lo up",
      "address add #{address}/24 dev eth0",
      "link set eth0 up",
      "route add default via #{gateway}"
    ])
  end

  @doc "Gives a host another address of its network."
  def add_address(lab, name, number),
    do: ip(lab, name, ["address add #{address(number)}/24 dev eth0"])

  @doc "Gives the host `number` an address of no network, which is routed to it."
  def add_virtual_address(lab, name, number) do
    ip(lab, name, ["address add #{virtual_address(number)}/32 dev lo"])
    ip(lab, ["route add #{virtual_address(number)}/32 via #{address(number)}"])
  end

  @doc """
  Adds the container `name` to a host: a machine behind it, with the address 172.16.`number`.2, from which others see the
  host's address. `publish/4` lets them in.
  """
  def add_container(lab, host, name, number) do
    ip(lab, ["netns add #{name}"])

    ip(lab, host, [
      "link add #{name} type veth peer name eth0 netns #{name}",
      "address add 172.16.#{number}.1/30 dev #{name}",
      "link set #{name} up"
    ])

    ip(lab, name, [
      "link set lo up",
      "address add 172.16.#{number}.2/30 dev eth0",
      "link set eth0 up",
      "route add default via 172.16.#{number}.1"
    ])

    run(lab, host, ["sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"])

    nft(lab, host, """
    add table ip nat
    add chain ip nat out { type nat hook postrouting priority srcnat; }
    add chain ip nat in { type nat hook prerouting priority dstnat; }
    flush chain ip nat out
    add rule ip nat out oifname eth0 masquerade
    """)
  end

  @doc "From now on port `outer` of a host is `inner` of its container `number`."
  def publish(lab, host, number, {outer, inner}) do
    nft(lab, host, """
    add rule ip nat in fib daddr type local tcp dport #{outer} dnat to 172.16.#{number}.2:#{inner}
    """)
  end

  @doc "No port of a host is any of its containers' any more."
  def unpublish(lab, host), do: nft(lab, host, "flush chain ip nat in\n")

  defp nft(lab, host, rules),
    do: run(lab, host, ["sh", "-c", ~S(printf %s "$0" | nft -f -), rules])

  def address(number), do: "10.77.0.#{number}"
  def pod_address(number), do: "10.78.0.#{number}"
  def virtual_address(number), do: "10.79.0.#{number}"
  def hub, do: "10.77.0.254"

  @doc "Pulls the host's cable, or puts it back."
  def cut(lab, name), do: ip(lab, ["link set #{name} down"])
  def heal(lab, name), do: ip(lab, ["link set #{name} up"])

  @doc "From now on `from` sends what is for the host `number` to nobody, silently; until `join/3`."
  def part(lab, from, number),
    do:
      ip(lab, from, [
        "neighbour replace #{address(number)} lladdr 02:00:00:00:00:ff dev eth0 nud permanent"
      ])

  def join(lab, from, number), do: ip(lab, from, ["neighbour del #{address(number)} dev eth0"])

  @doc "How many packets were sent out of bounds."
  def trespassers(lab) do
    # Received and sent, eight figures each; the second of the sent ones are packets.
    [_, figures] = String.split(run(lab, "hub", ~w(grep bounds: /proc/net/dev)), ":")
    figures |> String.split() |> Enum.at(9) |> String.to_integer()
  end

  @doc "Sends a signal to a process by its id inside."
  def signal(lab, signal, os_pid),
    do: run(lab, "hub", ["kill", "-#{signal}", "#{os_pid}"])

  @doc "What goes before a command that is to run on a host."
  def enter(%{pid: pid}, host) do
    # The shell stays outside as the parent of what runs inside: nsenter as a parent would stop with a
    # child that is stopped, and not go on with it. What it says itself, of killed children, is no news.
    # It runs no command of its own, which would be outside, too.
    to_host = if host == "hub", do: [], else: ["ip", "netns", "exec", host]

    ["nsenter", "-t", pid] ++
      user() ++
      ~w(--mount --net --pid --no-fork -- sh -c) ++
      [~S[exec 3>&2 2>/dev/null; (exec "$@" 2>&3 3>&-); exit $?], "sh" | to_host]
  end

  @doc "Runs `command` on a host until it ends, and returns what it said; raises when it fails."
  def run(lab, host, command) do
    [executable | arguments] = enter(lab, host) ++ command

    case System.cmd(executable, arguments, stderr_to_stdout: true) do
      {output, 0} ->
        output

      {output, status} ->
        raise "#{Enum.join(command, " ")} on #{host} ended with #{status}: #{output}"
    end
  end

  defp ip(lab, commands), do: ip(lab, "hub", commands)

  defp ip(lab, host, commands) do
    batch = Enum.map_join(commands, "\n", & &1)
    run(lab, host, ["sh", "-c", ~S(printf '%s\n' "$0" | ip -batch -), batch])
    :ok
  end

  defp unshare(command),
    do: user_map() ++ ~w(--mount --net --pid --fork --kill-child --) ++ command

  # Where users may make namespaces, none of this needs root.
  defp user_map, do: if(root?(), do: [], else: ["--user", "--map-root-user"])
  defp user, do: if(root?(), do: [], else: ["--user", "--preserve-credentials"])
  defp root?, do: match?({"0\n", 0}, System.cmd("id", ["-u"]))

  defp executable(name), do: System.find_executable(name) || raise("no #{name} on PATH")

  defp holder(port, said) do
    receive do
      {^port, {:data, {:eol, "holder " <> pid}}} -> pid
      {^port, {:data, {_, line}}} -> holder(port, [said, line, "\n"])
      {^port, {:exit_status, status}} -> raise "no namespaces, status #{status}: #{said}"
    after
      @deadline -> raise "no namespaces in time: #{said}"
    end
  end
end
