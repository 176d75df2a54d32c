use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> ResolvConf {
    ResolvConf::parse(text, "host\n")
}

fn servers(text: &str) -> Vec<String> {
    let servers = parse(text).servers;
    servers.iter().map(|(ip, _)| ip.to_string()).collect()
}

#[test]
fn servers_comments_and_nonsense() {
    let text = "; generated\n#nameserver 10.0.0.9\n  nameserver 10.0.0.1 # first\nnameserver\t::1\r\n\
                nameserver x\nnameserver\nnameserver 10.0.0.300\n\u{fffd}\u{0}\nname server\nfamily inet4\n\
                nameserver fe80::1%eth0\nnameserver 10.0.0.4\n";
    assert_eq!(servers(text), ["10.0.0.1", "::1", "fe80::1"]);
    assert_eq!(parse(text).servers[2].1.as_deref(), Some("eth0"));
    assert_eq!(servers("nameserver 10.0.0.1%eth0\nnameserver fe80::1%"), [""; 0]);
    assert_eq!(servers(""), [""; 0]);
}

#[test]
fn options_have_the_c_librarys_bounds_and_unknown_ones_do_no_harm() {
    let conf = parse("options ndots:5 timeout:1 attempts:3 use-vc rotate edns0 single-request trust-ad x:y");
    assert_eq!((conf.ndots, conf.attempts, conf.tcp), (5, 3, true));
    assert_eq!(conf.timeout, Duration::from_secs(1));
    let conf = parse("options ndots:99 timeout:0 attempts:0\noptions timeout:x ndots");
    assert_eq!((conf.ndots, conf.attempts, conf.tcp), (15, 1, false));
    assert_eq!(conf.timeout, Duration::from_secs(1));
    assert_eq!(parse("options timeout:600").timeout.as_secs(), 30);
}

#[test]
fn the_search_list() {
    let candidates = |text, name: &str| parse(text).candidates(name.to_owned());
    let list = "search A.test. a..b b.test a,b";
    assert_eq!(candidates(list, "x"), ["x.a.test", "x.b.test", "x"]);
    assert_eq!(candidates(list, "x.y"), ["x.y", "x.y.a.test", "x.y.b.test"]);
    assert_eq!(
        candidates("search a.test\noptions ndots:2", "x.y"),
        ["x.y.a.test", "x.y"]
    );
    assert_eq!(candidates("search a.test\noptions ndots:0", "x"), ["x", "x.a.test"]);
    assert_eq!(candidates("search a.test\ndomain b.test", "x")[0], "x.b.test");
    assert_eq!(candidates("domain a.test\nsearch b.test", "x")[0], "x.b.test");
    assert_eq!(candidates("search .", "x"), ["x"]);
    assert_eq!(candidates("search . a.test", "x"), ["x", "x.a.test"]);
    let long = format!("search {}", ["abcdefg"; 31].join("."));
    assert_eq!(candidates(&long, "abcdefgh"), ["abcdefgh"]);
}

#[test]
fn the_hosts_own_domain_is_searched_where_the_file_names_none() {
    let candidates = |text| ResolvConf::parse(text, "node1.example.test\n").candidates("x".into());
    assert_eq!(candidates(""), ["x.example.test", "x"]);
    assert_eq!(candidates("search a.test"), ["x.a.test", "x"]);
    assert_eq!(parse("").candidates("x".into()), ["x"]);
}

proptest! {
    #[test]
    fn whatever_the_file_says_hosts_are_looked_up(
        words in "(search|domain|nameserver|options ndots:)[ a-z0-9.:%#-]{0,60}",
        noise in "\\PC{0,60}",
    ) {
        let conf = ResolvConf::parse(&format!("{noise}\n{words}\n"), &noise);
        let names = conf.candidates("x.y".into());
        prop_assert!(names.contains(&"x.y".to_owned()));
        prop_assert!(names.iter().all(|name| endpoint::is_host(name)));
        prop_assert!((1..=5).contains(&conf.attempts) && conf.servers.len() <= MAX_SERVERS);
    }
}
