use super::*;

fn server(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

#[test]
fn a_plain_server_is_checked_now_and_then_until_it_answers_with_edns() {
    let start = Instant::now();
    let mut manners = Manners::default();
    assert_eq!(manners.of(server(1), start), Manner::Edns);
    manners.note(server(1), Shown::Silence, start);
    assert_eq!(manners.of(server(1), start), Manner::PlainUntilChecked);
    manners.note(server(1), Shown::Silence, start);
    assert_eq!(manners.of(server(1), start), Manner::Plain);
    assert_eq!(manners.of(server(2), start), Manner::Edns);
    let later = start + CHECK;
    assert_eq!(manners.of(server(1), later), Manner::PlainUntilChecked);
    assert_eq!(manners.of(server(1), later), Manner::Plain);
    manners.note(server(1), Shown::Edns, later);
    assert_eq!(manners.of(server(1), later), Manner::Edns);
    // Who said so need not be asked so soon.
    manners.note(server(1), Shown::NoEdns, later);
    assert_eq!(manners.of(server(1), later), Manner::Plain);
}

#[test]
fn no_more_than_a_few_are_remembered_those_noted_last() {
    let start = Instant::now();
    let mut manners = Manners::default();
    for port in 1..=1_000 {
        let now = start + Duration::from_millis(port.into());
        manners.note(server(port), Shown::Silence, now);
    }
    assert_eq!(manners.plain.len(), MOST);
    assert_ne!(manners.of(server(1_000), start), Manner::Edns);
    assert_eq!(manners.of(server(1), start), Manner::Edns);
}
