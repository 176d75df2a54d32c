defmodule Caravan.Certificates do
  @moduledoc "What makes VMs speak TLS: authorities, and certificates that they have signed."

  @subject_alt_name {2, 5, 29, 17}

  # OTP's defaults, SHA-1 and a small RSA key, are refused by TLS 1.3 on OTP 27.
  @strong [digest: :sha256, key: {:namedCurve, :secp256r1}]

  @names [
    dNSName: ~c"127.0.0.1",
    dNSName: ~c"::1",
    iPAddress: <<127, 0, 0, 1>>,
    iPAddress: <<1::128>>
  ]

  @doc "A new authority."
  def authority, do: :public_key.pkix_test_root_cert(~c"Caravan's tests", @strong)

  @doc """
  The arguments for a VM with a certificate of `authority`, for the one side of a link as for the other. It trusts that
  authority, too, and checks the other side.

  `names` are those in the certificate, `validity` is `{from, to}` as dates, `trusts` another authority. `options` go to
  `:ssl` on both sides. The files are in `dir`.
  """
  def arguments(dir, authority, opts \\ []) do
    File.mkdir_p!(dir)
    names = [{:Extension, @subject_alt_name, false, Keyword.get(opts, :names, @names)}]
    peer = [extensions: names] ++ Keyword.take(opts, [:validity]) ++ @strong
    made = :public_key.pkix_test_data(%{root: authority, intermediates: [], peer: peer})
    {key_type, key} = made[:key]
    file = fn kind -> dir |> Path.join("#{kind}.pem") |> to_charlist() end
    trusted = Keyword.get(opts, :trusts, authority)

    write(file.("cert"), :Certificate, made[:cert])
    write(file.("key"), key_type, key)
    write(file.("ca"), :Certificate, trusted.cert)

    side =
      [certfile: file.("cert"), keyfile: file.("key"), cacertfile: file.("ca"), verify: :verify_peer] ++
        Keyword.get(opts, :options, [])

    optfile = Path.join(dir, "tls.conf")
    server = side ++ [fail_if_no_peer_cert: true]
    File.write!(optfile, :io_lib.format("~p.~n", [[server: server, client: side]]))
    ["-ssl_dist_optfile", optfile]
  end

  defp write(path, type, der),
    do: File.write!(path, :public_key.pem_encode([{type, der, :not_encrypted}]))
end
