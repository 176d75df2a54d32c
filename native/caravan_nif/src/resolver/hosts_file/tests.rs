use super::*;

#[test]
fn names_have_the_addresses_of_all_their_lines() {
    let hosts = HostsFile::parse(
        "127.0.0.1\tlocalhost\n# 10.0.0.9 app\n10.0.0.1  App.Test app # app2\n::1 app\n\
         10.0.0.300 app\napp app\n10.0.0.2\nfe80::1%lo app\n\u{fffd}\n10.0.0.3 last",
    );
    let text = |name| -> Vec<String> { hosts.get(name).iter().map(IpAddr::to_string).collect() };
    assert_eq!(text("app"), ["10.0.0.1", "::1"]);
    assert_eq!(text("app.test"), ["10.0.0.1"]);
    assert_eq!(text("last"), ["10.0.0.3"]);
    assert_eq!(text("app2"), [""; 0]);
}
