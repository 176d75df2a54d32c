//! Any bytes as a request to epmd: an answer that its clients can read, or none.

#![no_main]

use caravan_nif::epmd::names::Names;
use caravan_nif::epmd::{MAX_REQUEST, Node, Request, alive_request, names_answer, port_answer};
use caravan_nif::node_name::PortRules;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut names = Names::new("app-3999", 3999, PortRules::default());
    match Request::read(bytes) {
        Some(Request::Alive(node)) => registered(&mut names, node),
        Some(Request::Port(name)) => {
            readable(&name);
            let node = names.find(&name);
            assert!(node.as_deref().is_none_or(|node| node.name == name && node.port != 0));
            assert!(port_answer(node.as_deref()).len() <= MAX_REQUEST + 2);
        }
        Some(Request::Names | Request::Kill) | None => {}
    }
});

fn registered(names: &mut Names, node: Node) {
    readable(&node.name);
    let request = alive_request(&node);
    assert!(request.len() <= MAX_REQUEST + 2);
    assert_eq!(Request::read(&request[2..]), Some(Request::Alive(node.clone())));
    let own = node.name == "app-3999";
    assert_ne!(names.register(node.clone()), own);
    assert!(!names.register(node.clone()));
    if own {
        return;
    }
    assert_eq!(names.find(&node.name).as_deref(), Some(&node));
    let list = names_answer(4369, names.present());
    let list = std::str::from_utf8(&list[4..]).expect("text");
    let line = format!("name {} at port {}", node.name, node.port);
    assert_eq!(list.lines().collect::<Vec<_>>(), ["name app-3999 at port 3999", &line]);
    names.unregister(&node.name);
    assert_eq!(names.present().count(), 1);
}

/// It must fit into one line of a list.
fn readable(name: &str) {
    assert!((1..=255).contains(&name.chars().count()));
    assert!(!name.contains(|char: char| char.is_whitespace() || char.is_control()));
}
