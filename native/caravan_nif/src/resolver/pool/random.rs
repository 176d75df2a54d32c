//! Numbers from the system's source of randomness, fetched in bulk.

/// A buffer of them.
pub(super) struct Random {
    bytes: [u8; 256],
    used: usize,
}

impl Default for Random {
    fn default() -> Self {
        Self {
            bytes: [0; 256],
            used: 256,
        }
    }
}

impl Random {
    pub(super) fn next(&mut self) -> Option<u16> {
        if self.used == self.bytes.len() {
            getrandom::fill(&mut self.bytes).ok()?;
            self.used = 0;
        }
        let number = *self.bytes.get(self.used..)?.first_chunk()?;
        self.used += 2;
        Some(u16::from_be_bytes(number))
    }
}
