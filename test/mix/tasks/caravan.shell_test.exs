defmodule Mix.Tasks.Caravan.ShellTest do
  use ExUnit.Case, async: true
  alias Caravan.{ReleaseApp, Terminal, Vm}
  alias Mix.Tasks.Caravan.Shell

  test "the arguments of iex" do
    for {args, expected} <- [
          {~w(a-0), ~w(--sname a-0 -S mix)},
          {~w(a-0@laptop), ~w(--sname a-0@laptop -S mix)},
          {~w(a-0@h.example.org), ~w(--name a-0@h.example.org -S mix)},
          {~w(a-0@10.0.0.1), ~w(--name a-0@10.0.0.1 -S mix)},
          {~w(a-0@fd00::1), ~w(--name a-0@fd00::1 -S mix)},
          {~w(a-0 --name), ~w(--name a-0 -S mix)},
          {~w(--sname a-0@h.test), ~w(--sname a-0@h.test -S mix)},
          {["a-0", "--cookie", "a b"], ["--sname", "a-0", "--cookie", "a b", "-S", "mix"]},
          {~w(a-0 -- --hidden --no-pry), ~w(--sname a-0 --hidden --no-pry -S mix)},
          {~w(a-0 -- -S mix phx.server), ~w(--sname a-0 -S mix phx.server)}
        ],
        do: assert(Shell.parse(args) == {:ok, expected})

    for {args, sentence} <- [
          {[], "expected one node name, such as a-0, got 0: mix caravan.shell NAME"},
          {~w(a b), "expected one node name, such as a-0, got 2"},
          {~w(a-0 --hidden), "unknown or invalid option --hidden: expected mix caravan.shell NAME"},
          {~w(app-70000), "node name \"app-70000\" gives port 70000, but ports end at 65535"},
          {~w(rpc-1a-app-3434), "rpc-1a-app-3434"}
        ] do
      assert {:error, message} = Shell.parse(args)
      assert message =~ sentence
    end
  end

  @tag :tmp_dir
  test "without the library there is a sentence", %{tmp_dir: dir} do
    libs = Path.join(dir, "libs")
    File.mkdir_p!(Path.join(libs, "caravan"))
    File.cp_r!(Application.app_dir(:caravan, "ebin"), Path.join(libs, "caravan/ebin"))
    trial = "defmodule Trial do\n  use Mix.Project\n  def project, do: [app: :trial, prune_code_paths: false]\nend\n"
    File.write!(Path.join(dir, "mix.exs"), trial)
    env = [ERL_LIBS: Path.expand(libs), MIX_ENV: "prod", MIX_EXS: nil, MIX_BUILD_PATH: nil]
    assert {1, output} = Vm.command("mix", ["caravan.shell", "a-0"], cd: dir, env: env, timeout: 60_000)
    assert output =~ "caravan_nif.so is missing. Run"
    refute output =~ "Caravan.Error"
  end

  @mix """
  defmodule Tiny.MixProject do
    use Mix.Project

    def project do
      [app: :tiny, version: "0.1.0", deps: [{:caravan, path: System.fetch_env!("CARAVAN_CHECKOUT")}]]
    end
  end
  """

  @tiny ~S"""
  defmodule Tiny do
    def node_and_cookie, do: IO.puts("I am #{node()} with #{Node.get_cookie()}")
    def parent, do: IO.puts("my parent is #{ps("ppid=", "-p")}")
    def zombies, do: IO.puts("zombies: #{"stat=" |> ps("--ppid") |> String.graphemes() |> Enum.count(&(&1 == "Z"))}")

    # Who ignores SIGCHLD never learns how its children end.
    def child, do: IO.puts("the child's status: #{"sh" |> System.cmd(["-c", "sleep 0.01; exit 3"]) |> elem(1)}")

    def peer(port) do
      cookie = [~c"-setcookie", Atom.to_charlist(Node.get_cookie())]
      {:ok, _, _} = :peer.start_link(%{name: :"two-#{port}", host: ~c"127.0.0.1", longnames: true, args: cookie})
      IO.puts("linked with #{hd(Node.list())}")
    end

    defp ps(column, which), do: "ps" |> System.cmd(["-o", column, which, System.pid()]) |> elem(0) |> String.trim()
  end
  """

  describe "as a command" do
    @describetag :releases
    @describetag :tmp_dir
    @describetag timeout: 300_000
    setup do: Vm.no_epmd()

    test "the shell owns its terminal, and its status is the command's", %{tmp_dir: tmp} do
      # What a path may have.
      dir = Path.join(tmp, ~s(it's "my" app))
      File.mkdir_p!(Path.join(dir, "lib"))
      File.write!(Path.join(dir, "mix.exs"), @mix)
      File.write!(Path.join(dir, "lib/tiny.ex"), @tiny)
      env = ReleaseApp.build_env()
      assert {0, _} = Vm.command("mix", ["compile"], cd: dir, env: env, timeout: 180_000)

      [port, other] = Vm.free_ports(2)
      node = "one-#{port}@127.0.0.1"
      bash = Terminal.open("bash --norc --noprofile --noediting -i", cd: dir, env: env)
      type = &Terminal.type(bash, &1, &2)
      Terminal.await(bash, ~r/[#$] $/)
      type.("PS1='ready> '\n", ~r/\nready> $/)
      # What is typed early comes after a prompt.
      settings = type.("stty -a | md5sum\n", ~r/(\w{32})  -/)
      [pid] = type.("echo bash is $$\n", ~r/bash is (\d+)\r/)
      type.("mix caravan.shell #{node} --cookie secret\n", ~r/iex\(#{node}\)1> /)

      # Keys do what they do in IEx.
      type.("Enum.coun\t", ~r/Enum\.count/)
      type.("([1, 2]) + 40\r", ~r/^42\r/m)
      type.("Tiny.node_and_cookie\r", ~r/I am #{node} with secret\r/)
      type.("Tiny.parent\r", ~r/my parent is #{pid}\r/)
      type.("Tiny.zombies\r", ~r/zombies: 0\r/)
      type.("Tiny.child\r", ~r/the child's status: 3\r/)
      type.("Tiny.peer(#{other})\r", ~r/linked with two-#{other}@127.0.0.1\r/)
      type.("\x03", ~r/\(a\)bort/)
      type.("c\r", ~r/\n/)
      type.("System.halt(7)\r", ~r/ready> $/)

      type.("echo status $?\n", ~r/status 7\r/)
      assert type.("stty -a | md5sum\n", ~r/(\w{32})  -/) == settings
      # Nothing keeps the next program from reading what is typed.
      type.("cat\nsay it\n", ~r/say it\r\n.*say it\r\n/s)
      type.("\x03", ~r/ready> $/)
      type.("mix caravan.shell one-70000; echo status $?\n", ~r/gives port 70000.*status 1\r/s)
      Terminal.close(bash)
    end
  end
end
