use super::*;

const OWN: &str = "app-3999@n1.test";

fn names() -> Names {
    Names::new("app-3999", 3999, PortRules::default())
}

fn node(name: &str, port: u16) -> Node {
    Node::ordinary(name, port)
}

fn port(names: &Names, name: &str) -> Option<u16> {
    names.find(name).map(|node| node.port)
}

fn present(names: &Names) -> Vec<(String, u16)> {
    let mut present: Vec<_> = names.present().map(|(name, port)| (name.into(), port)).collect();
    present.sort();
    present
}

fn listed(names: &[(&str, u16)]) -> Vec<(String, u16)> {
    names.iter().map(|(name, port)| ((*name).into(), *port)).collect()
}

#[test]
fn ports_follow_from_names_unless_they_were_told() {
    let mut names = names();
    assert_eq!(port(&names, "app-3999"), Some(3999));
    assert_eq!(port(&names, "other-4000"), Some(4000));
    assert_eq!(port(&names, "other-2"), Some(4372));
    assert_eq!(port(&names, "plain"), Some(4370));
    assert_eq!(port(&names, "rem-1a-app-3999"), None);
    assert_eq!(port(&names, "app-70000"), None);

    for (name, told) in [
        ("plain", 40_001),
        ("rem-1a-app-3999", 40_002),
        ("app-70000", 40_003),
        ("other-4000", 40_004),
    ] {
        assert!(names.register(node(name, told)), "{name}");
        assert_eq!(port(&names, name), Some(told), "{name}");
        names.unregister(name);
    }
    assert_eq!(port(&names, "other-4000"), Some(4000));
    assert_eq!(port(&names, "rem-1a-app-3999"), None);
}

#[test]
fn the_own_node_is_where_it_listens() {
    let mapped = Names::new("app-31234", 3434, PortRules::default());
    assert_eq!(port(&mapped, "app-31234"), Some(3434));
    assert_eq!(present(&mapped), listed(&[("app-31234", 3434)]));
}

#[test]
fn a_name_has_one_owner_at_a_time() {
    let mut names = names();
    assert!(names.register(node("plain", 40_001)));
    for taken in ["app-3999", "plain"] {
        assert!(!names.register(node(taken, 40_002)), "{taken}");
    }
    assert_eq!(port(&names, "plain"), Some(40_001));
    names.unregister("plain");
    assert!(names.register(node("plain", 40_002)));
}

#[test]
fn a_peer_that_registers_is_where_it_says() {
    let mut names = names();
    names.linked(OWN, "plain@n1.test", true);
    assert_eq!(port(&names, "plain"), Some(4370));
    assert!(names.register(node("plain", 40_001)));
    assert_eq!(port(&names, "plain"), Some(40_001));
    assert_eq!(present(&names), listed(&[("app-3999", 3999), ("plain", 40_001)]));
}

#[test]
fn who_is_present() {
    let mut names = names();
    names.linked(OWN, OWN, true);
    names.linked(OWN, "peer-4000@n1.test", true);
    names.linked(OWN, "afar-4001@n2.test", true);
    names.linked(OWN, "rpc-1-app-3999@n1.test", true);
    assert!(names.register(node("plain", 40_001)));
    names.linked(OWN, "plain@n1.test", true);
    let all = [("app-3999", 3999), ("peer-4000", 4000), ("plain", 40_001)];
    assert_eq!(present(&names), listed(&all));
    // A namesake elsewhere is another node.
    names.linked(OWN, "peer-4000@n2.test", false);
    assert_eq!(present(&names), listed(&all));
    names.unregister("plain");
    names.linked(OWN, "plain@n1.test", false);
    names.linked(OWN, "peer-4000@n1.test", false);
    assert_eq!(present(&names), listed(&[("app-3999", 3999)]));
}

#[test]
fn registrations_are_bounded() {
    let mut names = names();
    for number in 0..MAX_REGISTERED {
        assert!(names.register(node(&format!("plain{number}"), 40_001)));
    }
    assert!(!names.register(node("more", 40_001)));
    names.unregister("plain7");
    assert!(names.register(node("more", 40_001)));
}
