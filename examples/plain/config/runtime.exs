import Config

# bin/example has a DNS server of its own. Without it, the system's are queried.
nameserver = System.get_env("NAMESERVER")

config :my_app,
  topologies: [
    my_app: [
      query: "_my-app._tcp.example.org",
      nameservers: if(nameserver, do: [nameserver], else: :system)
    ]
  ]
