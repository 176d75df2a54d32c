defmodule Caravan.Link.Global do
  @moduledoc false
  # How `global` treats this node's links. It reads its settings once, when the kernel starts (global.erl, init/1). What
  # is set later, as by Mix, which reads the configuration when the VM is up, shows in the environment and changes
  # nothing. So `global` itself is asked, until it has answered.

  alias Caravan.Settings

  @key __MODULE__
  @timeout 500

  @doc "Does `global` link this node with all that its peers are linked with? It ignores the links of hidden nodes."
  @spec connect_all?() :: boolean
  def connect_all? do
    {connect_all?, _} = settings()
    connect_all? and not Settings.hidden?()
  end

  @doc "Does `global` disconnect others when a node is lost, to prevent overlapping partitions?"
  @spec separates?() :: boolean
  def separates? do
    {_, prevents?} = settings()
    prevents? and connect_all?()
  end

  @doc "Was `connect_all` turned off in the environment when `global` had started with it?"
  @spec too_late?() :: boolean
  def too_late?, do: connect_all?() and option(:connect_all) != {:ok, true}

  defp settings do
    with nil <- :persistent_term.get(@key, nil),
         {:ok, settings} <- ask() do
      :persistent_term.put(@key, settings)
      settings
    else
      :error -> {option(:connect_all) == {:ok, true}, option(:prevent_overlapping_partitions) == {:ok, true}}
      settings -> settings
    end
  end

  # Nothing else tells. From OTP 25 on the first field of its state is the record of these two.
  defp ask do
    state = :sys.get_state(:global_name_server, @timeout)

    case is_tuple(state) and tuple_size(state) > 1 and :erlang.element(2, state) do
      {:conf, connect_all?, prevents?} when is_boolean(connect_all?) and is_boolean(prevents?) ->
        {:ok, {connect_all?, prevents?}}

      _unknown ->
        :error
    end
  catch
    # It is busy or not running.
    :exit, _ -> :error
  end

  defp option(name), do: :application.get_env(:kernel, name)
end
