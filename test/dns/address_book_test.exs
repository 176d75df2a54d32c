defmodule Caravan.AddressBookTest do
  use ExUnit.Case, async: true

  alias Caravan.{DnsServer, Native, Polls}

  # Where discovery found the hosts, for `:caravan_epmd` to dial.

  @moduletag :dns

  setup do
    {:ok, server: DnsServer.start()}
  end

  defp membership(server, allow \\ []),
    do: Polls.membership(server, queries: ["book.test"], allow: allow)

  defp poll(membership), do: Polls.poll(membership, "app-4370@me.test")

  test "an address that can't be dialled takes no place of one that can", %{server: server} do
    DnsServer.command(server, "add book.test 60 SRV 0 10 4001 kept.book.test")
    DnsServer.command(server, "add kept.book.test 60 A 10.0.0.1")
    membership = membership(server)
    assert %{added: ["app-4001@kept.book.test"]} = poll(membership)
    DnsServer.command(server, "remove kept.book.test A")
    DnsServer.command(server, "add kept.book.test 60 AAAA fd00::1")
    assert %{moved: [], members: 1} = poll(membership)
    assert Native.address(~c"kept.book.test", :inet) == {:ok, {10, 0, 0, 1}}
    # What nobody holds any more is forgotten.
    assert %{members: 1} = poll(membership)
  end

  test "what one topology found is not dialled for another that does not allow it", %{
    server: server
  } do
    other = DnsServer.start()

    for {server, ip} <- [{other, "192.0.2.1"}, {server, "10.0.0.1"}] do
      DnsServer.command(server, "add book.test 60 SRV 0 10 4001 shared.book.test")
      DnsServer.command(server, "add shared.book.test 60 A #{ip}")
    end

    any = membership(other)
    bound = membership(server, ["10.0.0.0/8"])
    assert %{members: 1} = poll(any)
    assert %{members: 1} = poll(bound)
    assert Native.address(~c"shared.book.test", :inet) == {:ok, {10, 0, 0, 1}}
    assert is_reference(any) and is_reference(bound)
  end

  test "is left by a membership that ends", %{server: server} do
    DnsServer.command(server, "add book.test 60 SRV 0 10 4001 left.book.test")
    DnsServer.command(server, "add left.book.test 60 A 10.0.0.1")

    owner =
      Task.async(fn ->
        membership = membership(server)
        poll(membership)
        {Native.address(~c"left.book.test", :inet), is_reference(membership)}
      end)

    assert Task.await(owner, 20_000) == {{:ok, {10, 0, 0, 1}}, true}
    until = System.monotonic_time(:millisecond) + 10_000
    await_left(~c"left.book.test", until)
  end

  defp await_left(host, until) do
    assert System.monotonic_time(:millisecond) < until, "#{host} is in the book still"
    if Native.address(host, :inet) != :error, do: await_left(host, until)
  end
end
