defmodule Caravan.MachineCase do
  @moduledoc false

  # Tests on a machine whose /etc is theirs, with one VM for all of them: whatever they change, it is never restarted.

  use ExUnit.CaseTemplate
  alias Caravan.{Machine, Namespace}

  @local "nameserver 127.0.0.1\n"

  using do
    quote do
      import Caravan.Machine, except: [start: 0, vm: 1]
      alias Caravan.Namespace

      @moduletag :netns
      @moduletag timeout: 120_000

      @local unquote(@local)
    end
  end

  setup_all do
    machine = Machine.start()
    {:ok, machine: machine, vm: Machine.vm(machine)}
  end

  setup %{machine: machine} do
    Namespace.write(machine, "resolv.conf": @local, hosts: "127.0.0.1 localhost\n")
  end
end
