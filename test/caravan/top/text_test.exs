defmodule Caravan.Top.TextTest do
  use ExUnit.Case, async: true
  alias Caravan.Top.Text

  test "columns are what a terminal needs, not characters" do
    for {text, width} <- [{"", 0}, {"app@h", 5}, {"é", 1}, {"e\u0301", 1}, {"日本", 4}, {"ハ", 2}, {"🚚", 2}, {"✗ …●", 4}],
        do: assert({text, Text.width(text)} == {text, width})

    assert Text.width([{:bold, "日"}, {:dim, " a"}]) == 4
    assert Text.pad("日", 4) == "日  "
    assert Text.pad("long", 2) == "long"
  end

  test "is cut at its end or in its middle" do
    assert Text.cut("abcdef", 6) == "abcdef"
    assert Text.cut("abcdef", 4) == "abc…"
    assert Text.cut("日本語", 4) == "日…"
    assert Text.cut("abc", 0) == ""
    assert Text.squeeze("app-1@host.test", 15) == "app-1@host.test"
    assert Text.squeeze("app-1@host.test", 8) == "app-…est"
    assert Text.squeeze("app-1@host.test", 9) == "app-…test"
    assert Text.squeeze("日本語日本語", 6) == "日…語"
    for width <- 0..12, text <- ["日本語日本語", "a日b本c", "abc"], do: assert(Text.width(Text.squeeze(text, width)) <= width)
  end

  test "of several names, what they differ in stays" do
    names = for n <- ~w(3 17 208), do: "app-3434@ip-10-0-3-#{n}.eu-west-1.compute.internal"
    common = Text.common_end(names)
    assert common == byte_size(".eu-west-1.compute.internal")
    assert Text.squeeze(hd(names), 60, common) == hd(names)
    assert Text.squeeze(hd(names), 26, common) == "app-3434@ip-10-0-3-3.eu-w…"
    assert Text.squeeze(hd(names), 21, common) == "app-3434@ip-10-0-3-3…"

    assert Text.squeeze(hd(names), 16, common) == "…34@ip-10-0-3-3…"

    assert Text.common_end(["only@one"]) == 0
    assert Text.common_end(["a@h", "a@h"]) == 3
    # Never half a character: 本 and 日 end in different bytes, ü and ż in the same one.
    assert Text.common_end(["a本", "b日"]) == 0
    assert Text.common_end(["aü", "bż"]) == 0
    for width <- 0..40, text <- names, do: assert(Text.width(Text.squeeze(text, width, common)) <= width)
    assert Text.squeeze("same@host", 6, 9) == "sam…st"
  end

  test "is wrapped at spaces, and what is left out is marked" do
    assert Text.wrap("one two three", 7, 3) == ["one two", "three"]
    assert Text.wrap("one two three four", 7, 2) == ["one two", "three …"]
    assert Text.wrap("one two three four", 7, 1) == ["one tw…"]
    assert Text.wrap("incomprehensibilities", 8, 2) == ["incompr…"]
    assert Text.wrap("", 8, 2) == []
  end

  test "a line is cut where its segments reach the edge" do
    line = [{:bad, "✗ "}, {:plain, "name  "}, {:dim, "connected"}]
    assert Text.cut_line(line, 17) == line
    assert line |> Text.cut_line(12) |> Text.plain() == "✗ name  con…"
    assert line |> Text.cut_line(8) |> Text.plain() == "✗ name …"
    for width <- 0..20, do: assert(Text.width(Text.cut_line(line, width)) <= width)
  end

  test "nothing in it acts on the terminal" do
    assert Text.printable("a\e[2Jb\r\n\u202Ec\u009B") == "a?[2Jb???c?"
    assert Text.printable(<<"a", 255>>) == "<<97, 255>>"
    assert Text.printable(:"app@host-ä") == "app@host-ä"
  end

  test "spans of time" do
    for {ms, text} <- [
          {0, "0 s"},
          {1_999, "1 s"},
          {99_999, "99 s"},
          {100_000, "1 min"},
          {5_999_999, "99 min"},
          {6_000_000, "1 h"},
          {172_800_000, "2 d"},
          {nil, "?"}
        ],
        do: assert(Text.span(ms) == text)
  end
end
