defmodule Caravan.Namespace do
  @moduledoc false

  # A machine of its own, as far as names go: a network with a loopback only, a host name, and an /etc that the test
  # writes. It is gone when the last process in it is; what starts it ends with the test. Needs root.

  import ExUnit.Callbacks, only: [on_exit: 1]

  @deadline 20_000

  # A link-local address needs a scope, on the loopback too. getent has only addresses of families that an address
  # beyond loopback's own is of.
  @script """
  ip link set lo up && ip address add 192.0.2.1/32 dev lo &&
  ip address add fe80::53/64 dev lo nodad && mount --bind "$1" /etc &&
  printf %s "$2" >/proc/sys/kernel/hostname && echo ready && cat >/dev/null; rm -rf "$1"
  """

  # What programs besides need to know who and where they are.
  @copied ~w(alternatives group ld.so.cache ld.so.conf ld.so.conf.d passwd)

  defstruct [:pid, :etc]

  def start(hostname) do
    etc = Caravan.Vm.tmp_path("etc")
    File.mkdir_p!(etc)

    for name <- @copied,
        File.exists?("/etc/#{name}"),
        do: {_, 0} = System.cmd("cp", ["-a", "/etc/#{name}", etc])

    File.write!(Path.join(etc, "nsswitch.conf"), "hosts: files dns\n")
    # All lines of the hosts file, not the first only: so do Debian and Caravan.
    File.write!(Path.join(etc, "host.conf"), "multi on\n")
    flags = ~w(--mount --net --uts --propagation private /bin/sh -c)

    port =
      Port.open({:spawn_executable, System.find_executable("unshare")}, [
        :binary,
        :stderr_to_stdout,
        line: 1_000,
        args: flags ++ [@script, "sh", etc, hostname]
      ])

    on_exit(fn ->
      if Port.info(port), do: Port.close(port)
      Caravan.Vm.eventually("the namespace to end", fn -> not File.exists?(etc) end)
    end)

    receive do
      {^port, {:data, {:eol, "ready"}}} -> :ok
      {^port, {:data, {_eol, line}}} -> raise "no namespace (are you root?): #{line}"
    after
      @deadline -> raise "no namespace in time"
    end

    {:os_pid, pid} = Port.info(port, :os_pid)
    %__MODULE__{pid: pid, etc: etc}
  end

  @doc "What goes before a command that is to run there."
  def enter(%{pid: pid}), do: ~w(nsenter --target #{pid} --mount --net --uts --)

  @doc "Writes files of its /etc in place; nil removes one."
  def write(%{etc: etc}, files) do
    for {name, text} <- files, path = Path.join(etc, to_string(name)) do
      if text, do: File.write!(path, text), else: File.rm(path)
    end

    :ok
  end
end
