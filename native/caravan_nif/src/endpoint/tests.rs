use proptest::prelude::*;

use super::*;

fn record(owner: &str, ttl: u32, data: Data) -> Record {
    Record {
        owner: owner.into(),
        ttl,
        data,
    }
}

fn service(priority: u16, weight: u16, port: u16, target: &str) -> Record {
    record(
        "s",
        60,
        Data::Service {
            priority,
            weight,
            port,
            target: target.into(),
        },
    )
}

fn is_address(data: &Data) -> bool {
    matches!(data, Data::Address(_))
}

#[test]
fn aliases_are_followed_and_the_lowest_ttl_counts() {
    let address = record("c", 30, Data::Address([10, 0, 0, 1].into()));
    let answers = [
        record("a", 60, Data::Alias("b".into())),
        record("b", 5, Data::Alias("c".into())),
        address.clone(),
    ];
    assert_eq!(
        find("a", answers.to_vec(), is_address),
        Found::Records(vec![address], 5)
    );
    assert_eq!(
        find("a", answers[..2].to_vec(), is_address),
        Found::Cname("c".into(), 5)
    );
    assert_eq!(find("x", answers.to_vec(), is_address), Found::Nothing);
}

#[test]
fn a_circle_of_aliases_is_endless() {
    let answers = [
        record("a", 1, Data::Alias("b".into())),
        record("b", 1, Data::Alias("a".into())),
    ];
    assert_eq!(find("a", answers.to_vec(), is_address), Found::CnameLoop);
}

#[test]
fn services_are_ordered_once_each_and_checked() {
    let records = [
        service(1, 0, 3434, "b.test"),
        service(0, 5, 3434, "c.test"),
        service(0, 1, 3434, "a.test"),
        service(0, 1, 3434, "a.test"),
        service(0, 0, 3434, "bad\\032host"),
    ];
    let (endpoints, refused) = services(&records).unwrap();
    let hosts: Vec<_> = endpoints
        .iter()
        .map(|endpoint| endpoint.host.clone().unwrap())
        .collect();
    assert_eq!(hosts, ["a.test", "c.test", "b.test"]);
    assert_eq!(
        refused,
        RefusedNames {
            count: 1,
            example: "bad\\032host".into()
        }
    );
}

#[test]
fn a_port_of_0_is_none() {
    let (endpoints, refused) = services(&[service(0, 0, 0, "portless.test")]).unwrap();
    assert_eq!(
        (endpoints[0].host.as_deref(), endpoints[0].port),
        (Some("portless.test"), None)
    );
    assert_eq!(refused.count, 0);
}

#[test]
fn a_target_of_the_root_means_no_service() {
    assert_eq!(services(&[service(0, 0, 0, "")]), None);
}

#[test]
fn host_names() {
    for good in [
        "a",
        "a-b.c_d.example",
        "7f000202.addr.dc1.consul",
        "127.0.0.1",
        "_x",
        "2001-db8-3333-4444-5555-6666--.pods.shop.test",
        "-a",
        "a-.-b",
    ] {
        assert!(is_host(good), "{good}");
    }
    for bad in ["", ".", "a..b", "a b", "a@b", "a\"b", "a\nb", "é"] {
        assert!(!is_host(bad), "{bad:?}");
    }
    assert!(!is_host(&"a".repeat(64)));
    assert!(!is_host(&["abcdefg"; 40].join(".")));
}

proptest! {
    #[test]
    fn hosts_that_pass_need_no_quoting(name in "\\PC{0,80}") {
        if is_host(&name) {
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)));
        }
    }
}

#[test]
fn a_host_has_a_bounded_number_of_addresses_of_each_family() {
    let v4 = (0..200).map(|last| IpAddr::from([10, 0, 0, last]));
    let v6 = (0..200).map(|last| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last]));
    let all = bounded(v6.clone().rev().chain(v4.clone().rev()).chain(v4.clone()).collect());
    let first: Vec<_> = v4.take(MAX_ADDRESSES).chain(v6.take(MAX_ADDRESSES)).collect();
    assert_eq!(all, first);
}
