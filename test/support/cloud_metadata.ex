defmodule Caravan.CloudMetadata do
  @moduledoc """
  The metadata services of ECS and EC2 in a laboratory of `Caravan.Netns`, at their own addresses on the hub. Each host is
  told the address that it asks from.
  """

  alias Caravan.{Netns, Vm}

  # ECS tells of a container at a path of its own; EC2's version 2 wants a token first.
  @server """
  Reply = fun(Socket, Status, Body) ->
    gen_tcp:send(Socket, ["HTTP/1.1 ", Status, "\\r\\nContent-Length: ", integer_to_list(iolist_size(Body)), "\\r\\n\\r\\n", Body])
  end,
  Answer = fun(Socket, Request, Address) ->
    Token = binary:match(Request, <<"-aws-ec2-metadata-token: secret">>) =/= nomatch,
    case Request of
      <<"GET /v4/container ", _/binary>> ->
        Reply(Socket, "200 OK", ["{\\"DockerId\\":\\"1\\",\\"Networks\\":[{\\"NetworkMode\\":\\"awsvpc\\",\\"IPv4Addresses\\":[\\"", Address,
          "\\"],\\"IPv4SubnetCIDRBlock\\":\\"10.77.0.0/24\\"}]}"]);
      <<"PUT /latest/api/token ", _/binary>> -> Reply(Socket, "200 OK", "secret");
      <<"GET /latest/meta-data/local-ipv4 ", _/binary>> when Token -> Reply(Socket, "200 OK", Address);
      _ -> Reply(Socket, "401 Unauthorized", "")
    end
  end,
  Read = fun Read(Socket, Request) ->
    case binary:match(Request, <<"\\r\\n\\r\\n">>) of
      nomatch -> {ok, More} = gen_tcp:recv(Socket, 0, 5000), Read(Socket, <<Request/binary, More/binary>>);
      _ -> Request
    end
  end,
  Serve = fun Serve(Listen) ->
    {ok, Socket} = gen_tcp:accept(Listen),
    {ok, {Ip, _}} = inet:peername(Socket),
    try Answer(Socket, Read(Socket, <<>>), inet:ntoa(Ip)) catch _:_ -> closed end,
    gen_tcp:close(Socket),
    Serve(Listen)
  end,
  spawn(fun() ->
    {ok, Listen} = gen_tcp:listen(80, [binary, {active, false}, {reuseaddr, true}, {ip, ADDRESS}]),
    persistent_term:put(listening, ADDRESS),
    Serve(Listen)
  end)
  """

  @ecs "169.254.170.2"
  @ec2 "169.254.169.254"

  @doc "Starts that of `:ecs` or of `:ec2`. Answers with what it adds to a host's environment."
  def start(lab, :ecs) do
    serve(lab, @ecs)
    [{"ECS_CONTAINER_METADATA_URI_V4", "http://#{@ecs}/v4/container"}]
  end

  def start(lab, :ec2) do
    serve(lab, @ec2)
    []
  end

  defp serve(lab, address) do
    Netns.run(lab, "hub", ~w(ip address add #{address}/32 dev lo))
    vm = Vm.start([], within: Netns.enter(lab, "hub"))
    ip = address |> String.replace(".", ",")
    Vm.eval(vm, String.replace(@server, "ADDRESS", "{#{ip}}"))
    Vm.eventually("the metadata are served", fn -> Vm.eval(vm, "persistent_term:get(listening, none)") != :none end)
  end
end
