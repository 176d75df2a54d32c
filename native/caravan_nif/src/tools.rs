//! The tools whose nodes are recognized by their names: they listen on any free port and can't be dialed. Pure.
//!
//! All of them start short-lived hidden nodes, with names that end in the name of the node they connect to, and so in
//! its port. They can't be visible nodes: `global` disconnects a node that some of its peers can't dial.

/// A kind of tool.
#[derive(Debug, PartialEq, Eq)]
pub struct Tool {
    /// The shape of its nodes' names before the `@`.
    shape: &'static [Part],
    /// What it is, for messages.
    pub whose: &'static str,
}

/// A part of a shape. Anything may follow the last part, usually the name of the node that the tool connects to.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(&'static str),
    /// Hex digits, as many as one of the ranges allows.
    Hex(&'static [std::ops::RangeInclusive<usize>]),
    Digits,
    /// Nothing follows.
    End,
}

use Part::{Digits, End, Hex, Text};

const MIX: &str = "a tool of a Mix release (remote, rpc, pid, stop, restart)";
const RELX: &str = "the script of a relx release";
const EJABBERD: &str = "ejabberdctl";

const UUID: Part = Hex(&[3..=3, 8..=8]);
const RELX_ID: Part = Hex(&[8..=8]);

/// The table. The first bytes of its names are in [`tool`], too.
static TOOLS: [Tool; 9] = [
    // Mix, `mix release`, bin/NAME: rem-$(gen_id)-$RELEASE_NODE, where gen_id prints 2 bytes by od or hexdump.
    Tool {
        shape: &[Text("rem-"), Hex(&[1..=4]), Text("-")],
        whose: MIX,
    },
    Tool {
        shape: &[Text("rpc-"), Hex(&[1..=4]), Text("-")],
        whose: MIX,
    },
    // relx, priv/templates/extended_bin: remsh$(relx_gen_id)-${NAME}, maint$(relx_gen_id)-${NAME}; 4 bytes by od.
    Tool {
        shape: &[Text("remsh"), RELX_ID, Text("-")],
        whose: RELX,
    },
    Tool {
        shape: &[Text("maint"), RELX_ID, Text("-")],
        whose: RELX,
    },
    // rabbitmq_cli, lib/rabbitmq/cli/core/distribution.ex: rabbitmqcli-#{id}-#{rmq_hostname}; the id is a number.
    Tool {
        shape: &[Text("rabbitmqcli-"), Digits, Text("-")],
        whose: "a RabbitMQ command",
    },
    // ejabberd, ejabberdctl.template, uid(): ${uuid}-ctl-${ERLANG_NODE}, and debug and top in place of ctl. The first
    // 8 digits of a UUID before 23.01, the first 3 since then.
    Tool {
        shape: &[UUID, Text("-ctl-")],
        whose: EJABBERD,
    },
    Tool {
        shape: &[UUID, Text("-debug-")],
        whose: EJABBERD,
    },
    Tool {
        shape: &[UUID, Text("-top-")],
        whose: EJABBERD,
    },
    // The same, ping: ${uuid}-ping@HOST.
    Tool {
        shape: &[UUID, Text("-ping"), End],
        whose: EJABBERD,
    },
];

/// The tool that `base`, the part of a node's name before the `@`, belongs to.
#[inline]
pub fn tool(base: &[u8]) -> Option<&'static Tool> {
    // Called for each name that is dialed. Most belong to no tool, and a few bytes show that.
    match base {
        [b'r', b'e', b'm', ..]
        | [b'r', b'p', b'c', ..]
        | [b'r', b'a', b'b', b'b', b'i', b't', b'm', ..]
        | [b'm', b'a', b'i', b'n', b't', ..] => among(base),
        [one, two, three, b'-', b'c' | b'd' | b't' | b'p', ..]
        | [one, two, three, _, _, _, _, _, b'-', b'c' | b'd' | b't' | b'p', ..]
            if [one, two, three].into_iter().all(u8::is_ascii_hexdigit) =>
        {
            among(base)
        }
        _ => None,
    }
}

#[cold]
fn among(base: &[u8]) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.target_base(base).is_some())
}

/// The name, before its `@`, of the node that a tool connects to.
pub fn target_base(base: &[u8]) -> Option<&[u8]> {
    tool(base)?.target_base(base)
}

impl Tool {
    /// What follows the tool's own part of `base`; `None` if it isn't the name of such a tool.
    fn target_base<'a>(&self, base: &'a [u8]) -> Option<&'a [u8]> {
        self.shape.iter().try_fold(base, |rest, part| part.skip(rest))
    }
}

impl Part {
    fn skip<'a>(&self, text: &'a [u8]) -> Option<&'a [u8]> {
        let count = |of: fn(&u8) -> bool| text.iter().take_while(|byte| of(byte)).count();
        match self {
            Text(prefix) => text.strip_prefix(prefix.as_bytes()),
            Hex(lengths) => {
                let digits = count(u8::is_ascii_hexdigit);
                let fits = lengths.iter().any(|length| length.contains(&digits));
                fits.then(|| &text[digits..])
            }
            Digits => match count(u8::is_ascii_digit) {
                0 => None,
                digits => Some(&text[digits..]),
            },
            End => text.is_empty().then_some(text),
        }
    }
}

#[cfg(test)]
mod tests;
