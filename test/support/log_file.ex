defmodule Caravan.LogFile do
  @moduledoc "What a test's VM logs at its default level, as its operator would read it; `Caravan.LogLines` has everything."

  alias Caravan.Vm

  @enforce_keys [:vm, :path]
  defstruct @enforce_keys

  @doc "Has the VM log into a new file in `dir`, too."
  def start(vm, dir) do
    path = Path.join(dir, "log-#{System.unique_integer([:positive])}")
    config = "\#{config => \#{file => \"#{path}\"}}"
    :ok = Vm.eval(vm, "logger:add_handler(log_file, logger_std_h, #{config})")
    %__MODULE__{vm: vm, path: path}
  end

  @doc "The lines until now that contain `text`."
  def lines(%__MODULE__{vm: vm, path: path}, text \\ "") do
    Vm.eval(vm, "logger_std_h:filesync(log_file)")
    for line <- path |> File.read!() |> String.split("\n", trim: true), line =~ text, do: line
  end
end
