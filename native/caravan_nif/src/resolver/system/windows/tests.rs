use super::*;

#[test]
fn the_adapters_settings_read_as_resolv_conf() {
    let conf = resolv_conf().expect("Windows tells");
    for line in conf.lines() {
        match line.split_once(' ') {
            Some(("nameserver", ip)) => assert!(ip.parse::<IpAddr>().is_ok(), "{line}"),
            Some(("search", _domains)) => {}
            _ => panic!("{line}"),
        }
    }
}

#[test]
fn adapters_without_a_server_have_addresses_of_nobody() {
    for (ip, nobody) in [
        ("fec0:0:0:ffff::1", true),
        ("fec0:0:0:ffff::3", true),
        ("fec0::1", false),
        ("10.0.0.1", false),
    ] {
        assert_eq!(is_nobody(&ip.parse().expect(ip)), nobody, "{ip}");
    }
}
