defmodule Caravan.Doctor.NameTest do
  use ExUnit.Case, async: true
  alias Caravan.Doctor.Name

  test "names that end in a hash" do
    for name <- ~w(app-6f3e1a7 app-6f3e12345@h lb_7d9f8b6c54@h app.4f9c3a12@h 1a2b3c4@h),
        do: assert(Name.hash?(name), name)

    # The digits count in none of these, or aren't a hash's.
    for name <-
          ~w(app-3434@h app-20261126@h app3434@h app-abcdef@h decade2@h cafe-4370@h app-6f3e1ab@h my_app@h facade-0@h),
        do: refute(Name.hash?(name), name)
  end

  test "such a name's port is told, or why it has none" do
    assert %{verdict: :warning, kind: :hash, message: message} = Name.hash("app-6f3e12345@h", {:ok, 12_345})
    assert message =~ "they stand for port 12345"
    assert %{verdict: :fault, kind: :port_out_of_range} = Name.hash("x", {:error, {:port_out_of_range, "no"}})
  end

  test "capitals, in the host only" do
    assert Name.capitals("App-1@host.example") == nil
    assert %{verdict: :fault, kind: :capitals, cure: cure} = Name.capitals("app-1@Host.example")
    assert cure == "write host.example in the node's name"
  end

  test "short names among long ones, and the other way round" do
    assert Name.mixed("a@h.example", :long) == nil and Name.mixed("a@::1", :long) == nil
    assert Name.mixed("a@h", :short) == nil
    assert %{verdict: :fault, kind: :short_name} = Name.mixed("a@h", :long)
    assert %{verdict: :fault, kind: :long_name} = Name.mixed("a@10.0.0.1", :short)
  end
end
