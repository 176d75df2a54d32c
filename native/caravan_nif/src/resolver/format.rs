//! Numbers of the DNS message format, for code that reads or writes the bytes itself.

/// The header's bytes (RFC 1035, 4.1.1).
pub(super) const HEADER: usize = 12;

/// The types of records: RFC 1035, 3.2.2; RFC 3596, 2.1; RFC 2782; RFC 6891, 6.1.1.
pub(super) const A: u16 = 1;
pub(super) const CNAME: u16 = 5;
pub(super) const AAAA: u16 = 28;
pub(super) const SRV: u16 = 33;
pub(super) const OPT: u16 = 41;
