use super::*;
use crate::command::ADDRESSES;
use crate::record::{parse_data, parse_name, parse_type};

fn name(text: &str) -> Name {
    parse_name(text).expect(text)
}

fn record(line: &str) -> Record {
    let words: Vec<&str> = line.split(' ').collect();
    let data = parse_data(parse_type(words[2]).expect(line), &words[3..]).expect(line);
    Record::from_rdata(name(words[0]), words[1].parse().expect(line), data)
}

fn zone(lines: &[&str]) -> Zone {
    let mut zone = Zone::default();
    lines.iter().for_each(|line| zone.add(record(line)));
    zone
}

fn ask(zone: &Zone, asked: &str, kind: RecordType) -> (ResponseCode, Vec<String>) {
    let answer = zone.answer(&LowerName::new(&name(asked)), kind);
    (answer.code, answer.records.iter().map(|record| show(record)).collect())
}

fn found(lines: &[&str]) -> (ResponseCode, Vec<String>) {
    (ResponseCode::NoError, lines.iter().map(ToString::to_string).collect())
}

#[test]
fn finds_by_name_and_type_whatever_the_case() {
    let zone = zone(&[
        "App.test 5 A 127.0.0.2",
        "app.TEST 5 A 127.0.0.3",
        "app.test 5 AAAA ::1",
    ]);
    assert_eq!(
        ask(&zone, "aPP.test", RecordType::A),
        found(&["App.test 5 A 127.0.0.2", "app.TEST 5 A 127.0.0.3"])
    );
    assert_eq!(ask(&zone, "app.test", RecordType::SRV), found(&[]));
    assert_eq!(ask(&zone, "app.test", RecordType::ANY).1.len(), 3);
    assert_eq!(
        ask(&zone, "other.test", RecordType::A),
        (ResponseCode::NXDomain, vec![])
    );
}

#[test]
fn the_records_of_a_name_are_a_set() {
    let zone = zone(&["app.test 5 A 127.0.0.2", "APP.test 9 A 127.0.0.2"]);
    assert_eq!(zone.list(), ["app.test 9 A 127.0.0.2"]);
}

#[test]
fn removes_one_a_type_or_all() {
    let lines = [
        "app.test 5 A 127.0.0.2",
        "app.test 5 A 127.0.0.3",
        "app.test 5 AAAA ::1",
        "b.test 5 A 127.0.0.4",
    ];
    let mut zone = zone(&lines);
    let app = name("APP.test");
    assert_eq!(
        zone.remove(&app, Some(RecordType::A), Some(&record(lines[0]).data)),
        Ok(())
    );
    assert_eq!(zone.list(), lines[1..]);
    assert_eq!(zone.remove(&app, Some(RecordType::A), None), Ok(()));
    assert_eq!(zone.list(), lines[2..]);
    assert!(zone.remove(&app, Some(RecordType::A), None).is_err());
    assert_eq!(zone.remove(&app, None, None), Ok(()));
    assert_eq!(ask(&zone, "app.test", RecordType::A).0, ResponseCode::NXDomain);
    assert_eq!(zone.list(), lines[3..]);
    zone.clear();
    assert!(zone.list().is_empty());
}

#[test]
fn follows_aliases() {
    let zone = zone(&[
        "a.test 5 CNAME b.test",
        "b.test 5 CNAME C.test",
        "c.test 5 A 127.0.0.2",
        "d.test 5 CNAME nowhere.test",
    ]);
    assert_eq!(
        ask(&zone, "a.test", RecordType::A),
        found(&["a.test 5 CNAME b.test", "b.test 5 CNAME C.test", "c.test 5 A 127.0.0.2"])
    );
    assert_eq!(
        ask(&zone, "a.test", RecordType::CNAME),
        found(&["a.test 5 CNAME b.test"])
    );
    assert_eq!(ask(&zone, "a.test", RecordType::ANY), found(&["a.test 5 CNAME b.test"]));
    let (code, records) = ask(&zone, "d.test", RecordType::A);
    assert_eq!((code, records.len()), (ResponseCode::NXDomain, 1));
}

#[test]
fn a_loop_of_aliases_ends_after_16_records() {
    let zone = zone(&["a.test 5 CNAME b.test", "b.test 5 CNAME a.test"]);
    let (code, records) = ask(&zone, "a.test", RecordType::A);
    assert_eq!((code, records.len()), (ResponseCode::NoError, 16));
}

#[test]
fn additional_has_every_targets_addresses_once() {
    let zone = zone(&[
        "app.test 5 SRV 0 0 1 n1.test",
        "app.test 5 SRV 0 0 2 N1.test",
        "app.test 5 SRV 0 0 3 n2.test",
        "n1.test 5 A 127.0.0.2",
        "n1.test 5 AAAA ::1",
    ]);
    let answer = zone.answer(&LowerName::new(&name("app.test")), RecordType::SRV);
    assert_eq!(answer.records.len(), 3);
    let additional: Vec<String> = zone
        .additional(&answer.records, ADDRESSES)
        .iter()
        .map(|record| show(record))
        .collect();
    assert_eq!(additional, ["n1.test 5 A 127.0.0.2", "n1.test 5 AAAA ::1"]);
}

#[test]
fn a_flood_never_repeats_and_its_targets_resolve() {
    let mut zone = zone(&[]);
    zone.flood(&name("app.test"), 100);
    let mut seen = HashSet::new();
    for _ in 0..10 {
        let (code, records) = ask(&zone, "app.test", RecordType::SRV);
        assert_eq!((code, records.len()), (ResponseCode::NoError, 100));
        assert!(records.into_iter().all(|record| seen.insert(record)));
    }
    assert_eq!(ask(&zone, "app.test", RecordType::A), found(&[]));
    assert_eq!(
        ask(&zone, "F999.app.test", RecordType::A),
        found(&["f999.app.test 0 A 127.255.255.254"])
    );
    assert_eq!(ask(&zone, "f1.app.test", RecordType::AAAA), found(&[]));
    assert_eq!(ask(&zone, "f1000.app.test", RecordType::A).0, ResponseCode::NXDomain);
    assert_eq!(ask(&zone, "g1.app.test", RecordType::A).0, ResponseCode::NXDomain);
    let answer = zone.answer(&LowerName::new(&name("app.test")), RecordType::SRV);
    assert_eq!(zone.additional(&answer.records, ADDRESSES).len(), 100);
    zone.flood(&name("app.test"), 0);
    assert_eq!(ask(&zone, "app.test", RecordType::SRV).0, ResponseCode::NXDomain);
}
