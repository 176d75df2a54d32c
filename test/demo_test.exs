defmodule Caravan.DemoTest do
  # The picture with which the README opens, and how bin/demo records it.
  use ExUnit.Case, async: true
  alias Caravan.Readme

  for file <- ~w(story picture screen), do: Code.require_file("../bin/demo.d/#{file}.exs", __DIR__)
  alias Demo.{Picture, Screen, Story}

  @picture "guides/images/demo.svg"
  @green "\e[32m"
  @plain "\e[0m"

  # The texts on the last screen, which is what is seen where nothing moves, line by line.
  defp last_screen(svg) do
    texts = Regex.scan(~r/<text x="(\d+)" y="(\d+)" textLength="[\d.]+" class="([^"]*)">([^<]*)</, svg)
    shown = for [_, x, y, class, text] <- texts, "off" not in String.split(class), do: {int(y), int(x), text}

    shown
    |> Enum.sort()
    |> Enum.chunk_by(&elem(&1, 0))
    |> Enum.map(fn line -> Enum.map_join(line, " ", &elem(&1, 2)) end)
  end

  defp int(text), do: String.to_integer(text)

  # Numbers and the names of ports differ with each run.
  defp alike(line), do: line |> String.replace(~r/\e\[\d+m/, "") |> String.replace(~r/\d+/, "N") |> String.split()

  # What the demo shows when all is well.
  defp drawn do
    names = for port <- 4501..4506, do: "demo-#{port}@127.0.0.1"

    nodes =
      for {name, port} <- Enum.zip(names, 4501..4506), into: %{} do
        {port, %{name: name, listens: [port], os_pid: "1", state: :up, lookup: "ok", peers: names -- [name]}}
      end

    screen = Enum.reduce(Story.steps(), Screen.new(Keyword.values(Story.steps()), false, true), fn _, s -> run(s) end)
    state = %{nodes: nodes, records: 6, nameserver: "127.0.0.1:1", dns_state: :answering, epmd_looks: 1}
    [{_, lines}] = Screen.draw(screen, state).frames
    lines
  end

  defp run(screen) do
    ExUnit.CaptureIO.with_io(fn -> screen |> Screen.began() |> Screen.passed() end) |> elem(0)
  end

  test "the picture shows what the demo draws; if not, record it again: bin/demo --record #{@picture}" do
    svg = File.read!(@picture)
    {drawn, [verdict]} = svg |> last_screen() |> Enum.map(&alike/1) |> Enum.split(-1)
    assert drawn == for(line <- drawn(), words = alike(line), words != [], do: words)
    assert Enum.join(verdict, " ") == "Every check passed: N nodes, N links, none lost in the silence, no epmd."
    for title <- Keyword.values(Story.steps()), do: assert(svg =~ ">#{title}<")
    assert byte_size(svg) < 100_000
  end

  test "README.md opens with it, before what becomes the module's documentation" do
    assert [_title, image | _] = String.split(Readme.text(), "\n\n")
    assert image =~ ~r/\A!\[[^\]]+\]\(#{Regex.escape(@picture)}\)\z/
  end

  describe "a recording" do
    defp svg(frames), do: Picture.svg(frames, 20, "title", "about")

    test "ends with the last screen, and rests there before it begins again" do
      svg = svg([{1_000, ["one", "both"]}, {3_000, ["two  a<b & c", "both"]}])
      assert last_screen(svg) == ["two a&lt;b &amp; c", "both"]
      assert svg =~ "animation:8000ms step-end infinite"
      # What comes, what goes, and what stays.
      assert [_, one] = Regex.run(~r/class="k(\d+) off">one</, svg)
      assert [_, two] = Regex.run(~r/class="k(\d+)">two</, svg)
      assert svg =~ ~s(class="still">both<)
      assert svg =~ "@keyframes k#{one}{0.0%{visibility:visible}25.0%{visibility:hidden}}"
      assert svg =~ "@keyframes k#{two}{0.0%{visibility:hidden}25.0%{visibility:visible}}"
    end

    test "puts each run of characters into its column, in its color" do
      svg = svg([{0, ["#{@green}up#{@plain}  x y     3"]}])
      assert svg =~ ~s(<text x="16" y="44" textLength="15.6" class="still green">up</text>)
      assert svg =~ ~s(<text x="47" y="44" textLength="23.4" class="still">x y</text>)
      assert svg =~ ~s(<text x="110" y="44" textLength="7.8" class="still">3</text>)
    end

    test "what comes back is drawn once" do
      svg = svg([{0, ["a"]}, {1_000, ["b"]}, {2_000, ["a"]}])
      assert [[_, _]] = Regex.scan(~r/class="(k\d+)">a</, svg)
      assert svg =~ "{0.0%{visibility:visible}12.5%{visibility:hidden}25.0%{visibility:visible}}"
    end

    test "of screens that differ in their clocks alone, it has one a second and the last" do
      frames = for ms <- 0..2_500//100, do: {ms, ["running    #{ms / 1_000} s"]}
      seconds = Regex.scan(~r/>([\d.]+) s</, svg(frames), capture: :all_but_first)
      assert Enum.sort(List.flatten(seconds)) == ["0.0", "1.0", "2.0", "2.5"]
    end
  end
end
