import Config

config :libcluster,
  topologies: [
    my_app: [
      strategy: Caravan.Cluster.DnsStrategy,
      config: [
        query: "_my-app._tcp.example.org",
        # The one of bin/example. Without this line the system's servers are queried.
        nameservers: [System.get_env("NAMESERVER", "127.0.0.1:5353")]
      ]
    ]
  ]
