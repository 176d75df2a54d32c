//! Messages that no honest server sends. PURE: bytes to broken bytes.

use crate::random::Dice;

const HEADER: usize = 12;
const ANSWER_COUNT: std::ops::Range<usize> = 6..8;
/// Type A, class IN, TTL 5.
const A_RECORD: [u8; 8] = [0, 1, 0, 1, 0, 0, 0, 5];
const QUESTION_NAME: [u8; 2] = [0xC0, HEADER as u8];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Malformation {
    Loop,
    Counts,
    Data,
    Id,
    Question,
    Label,
    Garbage,
}

impl Malformation {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "loop" => Ok(Self::Loop),
            "counts" => Ok(Self::Counts),
            "rdata" => Ok(Self::Data),
            "id" => Ok(Self::Id),
            "question" => Ok(Self::Question),
            "label" => Ok(Self::Label),
            "garbage" => Ok(Self::Garbage),
            _ => Err(format!(
                "expected loop, counts, rdata, id, question, label or garbage, got {text:?}"
            )),
        }
    }

    /// Breaks a well-formed answer with one uncompressed question. Faults of a record need no record in it: they bring
    /// their own.
    pub(crate) fn apply(self, mut message: Vec<u8>, dice: &Dice) -> Vec<u8> {
        match self {
            Self::Loop => {
                // A label before the pointer to itself: a careless decoder not only runs forever, but also eats memory.
                let start = question_end(&message) as u16;
                let [high, low] = (0xC000 | start).to_be_bytes();
                only_record(message, &[&[1, b'a', high, low], &A_RECORD, &[0, 4, 127, 0, 0, 1]])
            }
            Self::Label => only_record(message, &[&[0x80 | 1, b'a', 0], &A_RECORD, &[0, 4, 127, 0, 0, 1]]),
            Self::Data => only_record(message, &[&QUESTION_NAME, &A_RECORD, &[0x03, 0xE8, 127, 0, 0, 1]]),
            Self::Counts => {
                let count = u16::from_be_bytes([message[6], message[7]]).saturating_add(100);
                message[ANSWER_COUNT].copy_from_slice(&count.to_be_bytes());
                message
            }
            Self::Id => {
                message[0] ^= 0xFF;
                message[1] ^= 0xFF;
                message
            }
            Self::Question => {
                // The first letter of the name; the root has none, so its type is changed.
                let changed = if message[HEADER] == 0 { HEADER + 2 } else { HEADER + 1 };
                message[changed] = if message[changed].eq_ignore_ascii_case(&b'x') {
                    b'y'
                } else {
                    b'x'
                };
                message
            }
            Self::Garbage => {
                message[HEADER..].fill_with(|| dice.roll() as u8);
                message
            }
        }
    }
}

fn question_end(message: &[u8]) -> usize {
    let mut index = HEADER;
    while message[index] != 0 {
        index += 1 + usize::from(message[index]);
    }
    index + 5
}

/// The header and the question, and these bytes as the only record.
fn only_record(mut message: Vec<u8>, record: &[&[u8]]) -> Vec<u8> {
    message.truncate(question_end(&message));
    message[ANSWER_COUNT.start..HEADER].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
    message.extend(record.iter().copied().flatten());
    message
}

#[cfg(test)]
mod tests {
    use hickory_server::proto::op::Message;

    use super::*;

    /// One A record for `app.test`, id 0x1234.
    const GOOD: &[u8] = b"\x12\x34\x85\x80\0\x01\0\x01\0\0\0\0\x03app\x04test\0\0\x01\0\x01\
                          \xC0\x0C\0\x01\0\x01\0\0\0\x05\0\x04\x7F\0\0\x02";

    fn broken(kind: &str) -> Vec<u8> {
        Malformation::parse(kind)
            .expect(kind)
            .apply(GOOD.to_vec(), &Dice::new(1))
    }

    #[test]
    fn the_good_one_is_good() {
        let message = Message::from_vec(GOOD).expect("a message");
        assert_eq!(
            (message.id, message.queries.len(), message.answers.len()),
            (0x1234, 1, 1)
        );
    }

    #[test]
    fn these_cannot_be_decoded() {
        for kind in ["loop", "counts", "rdata", "label", "garbage"] {
            let bytes = broken(kind);
            assert!(Message::from_vec(&bytes).is_err(), "{kind}");
            assert_eq!(
                bytes[..3],
                GOOD[..3],
                "{kind}: a client must take it for the answer to its query"
            );
        }
    }

    #[test]
    fn each_is_broken_in_its_own_way() {
        let end = question_end(GOOD);
        assert_eq!(end, 26);
        assert_eq!(broken("loop")[end..end + 4], [1, b'a', 0xC0, end as u8]);
        assert_eq!(broken("label")[end], 0x81);
        assert_eq!(broken("counts")[ANSWER_COUNT], [0, 101]);
        let data = broken("rdata");
        assert!(usize::from(u16::from_be_bytes([data[end + 10], data[end + 11]])) > data.len());
        assert_eq!(broken("garbage").len(), GOOD.len());
    }

    #[test]
    fn these_are_answers_to_something_else() {
        let message = Message::from_vec(&broken("id")).expect("a message");
        assert_eq!((message.id, message.answers.len()), (!0x1234, 1));
        let message = Message::from_vec(&broken("question")).expect("a message");
        assert_eq!(message.queries[0].name().to_string(), "xpp.test.");
        assert_eq!(message.answers[0].name.to_string(), "xpp.test.");
        let root = b"\x12\x34\x85\x80\0\x01\0\0\0\0\0\0\0\0\x01\0\x01".to_vec();
        let message = Malformation::Question.apply(root, &Dice::new(1));
        assert_eq!(message[HEADER + 2], b'x');
    }
}
