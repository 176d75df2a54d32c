defmodule Caravan.Generator.DiffTest do
  use ExUnit.Case, async: true
  alias Caravan.Generator.Diff

  test "nothing, if nothing changes" do
    assert Diff.unified("f", "a\n", "a\n") == ""
  end

  test "a new file" do
    assert Diff.unified("f", nil, "a\nb\n") == "--- /dev/null\n+++ f\n@@ -0,0 +1,2 @@\n+a\n+b\n"
  end

  test "lines are shown with what is around them" do
    assert Diff.unified("f", "1\n2\n3\n4\n5\n", "1\n2\n3\n4\n5\nx\n") ==
             "--- f\n+++ f\n@@ -3,3 +3,4 @@\n 3\n 4\n 5\n+x\n"
  end

  @tag :tmp_dir
  @tag skip: is_nil(System.find_executable("patch")) && "needs patch"
  test "patch reads it", %{tmp_dir: dir} do
    numbers = Enum.map(1..30, &"#{&1}\n")
    file = Path.join(dir, "f")

    for {old, new} <- [
          {numbers, List.insert_at(numbers, 3, "x\n")},
          {numbers, numbers |> List.delete_at(0) |> List.insert_at(20, "x\n") |> List.replace_at(29, "y\n")},
          {numbers ++ ["end"], numbers ++ ["end\n", "x\n"]},
          {["a\n"], ["b"]},
          {[], ["a\n"]}
        ] do
      [old, new] = for lines <- [old, new], do: Enum.join(lines)
      File.write!(file, old)
      File.write!(file <> ".diff", Diff.unified("f", old, new))
      assert {_, 0} = System.cmd("patch", ["-p0", "-i", "f.diff"], cd: dir, stderr_to_stdout: true)
      assert File.read!(file) == new
    end
  end
end
