use super::*;

fn server(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

#[test]
fn a_plain_server_is_checked_now_and_then_until_it_answers_with_edns() {
    let start = Instant::now();
    let mut support = EdnsSupport::default();
    assert_eq!(support.mode(server(1), start), Mode::Edns);
    support.note(server(1), Evidence::Silence, start);
    assert_eq!(support.mode(server(1), start), Mode::PlainUntilChecked);
    support.note(server(1), Evidence::Silence, start);
    assert_eq!(support.mode(server(1), start), Mode::Plain);
    assert_eq!(support.mode(server(2), start), Mode::Edns);
    let later = start + RECHECK;
    assert_eq!(support.mode(server(1), later), Mode::PlainUntilChecked);
    assert_eq!(support.mode(server(1), later), Mode::Plain);
    support.note(server(1), Evidence::Edns, later);
    assert_eq!(support.mode(server(1), later), Mode::Edns);
    // Who said so need not be asked so soon.
    support.note(server(1), Evidence::NoEdns, later);
    assert_eq!(support.mode(server(1), later), Mode::Plain);
}

#[test]
fn no_more_than_a_few_are_remembered_those_noted_last() {
    let start = Instant::now();
    let mut support = EdnsSupport::default();
    for port in 1..=1_000 {
        let now = start + Duration::from_millis(port.into());
        support.note(server(port), Evidence::Silence, now);
    }
    assert_eq!(support.plain.len(), MAX_SERVERS);
    assert_ne!(support.mode(server(1_000), start), Mode::Edns);
    assert_eq!(support.mode(server(1), start), Mode::Edns);
}
