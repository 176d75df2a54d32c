use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn owner(id: u64) -> Owner {
    Owner { id, bound: false }
}

#[test]
fn the_book_keeps_families_and_owners_apart() {
    let mut book = Book::default();
    book.put(owner(1), "N1.test", [ip("10.0.0.1"), ip("::1")].into());
    book.put(owner(2), "n1.test", [ip("10.0.0.2")].into());
    assert_eq!(
        book.get("n1.test", false).collect::<Vec<_>>(),
        [ip("10.0.0.1"), ip("10.0.0.2")]
    );
    assert_eq!(book.get("n1.TEST", true).collect::<Vec<_>>(), [ip("::1")]);
    book.remove(owner(1), "N1.test");
    assert_eq!(book.get("n1.test", false).collect::<Vec<_>>(), [ip("10.0.0.2")]);
    book.remove_owner(owner(2));
    assert_eq!(book.hosts.len(), 0);
}

#[test]
fn what_is_allowed_goes_before_what_others_found() {
    let mut book = Book::default();
    let bound = Owner { id: 2, bound: true };
    book.put(owner(1), "n1.test", [ip("192.0.2.1")].into());
    book.put(bound, "n1.test", [ip("10.0.0.1")].into());
    book.put(owner(1), "n1.test", [ip("192.0.2.2")].into());
    assert_eq!(book.get("n1.test", false).next(), Some(ip("10.0.0.1")));
    book.remove_owner(bound);
    assert_eq!(book.get("n1.test", false).next(), Some(ip("192.0.2.2")));
}
