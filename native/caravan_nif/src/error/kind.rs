//! What programs get of an error: its word, and its details.

use super::{Asked, Error};

/// The closed list of error words; `terms.rs` turns each into the atom of the same spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "each variant is documented at the error of its name"
)]
pub enum Kind {
    Nxdomain,
    Nodata,
    Servfail,
    Refused,
    Timeout,
    Truncated,
    Network,
    Handshake,
    Malformed,
    InvalidName,
    InvalidOption,
    PortOutOfRange,
    ToolNode,
    Overloaded,
    Internal,
}

/// The details of an error, for programs.
#[derive(Debug, Clone, Copy)]
pub struct Details<'a> {
    /// Who was asked for what, and for how long.
    pub asked: &'a Asked,
    /// The response code of the answer, where one came and was the failure (IANA's DNS RCODEs).
    pub rcode: Option<u16>,
}

impl Error {
    /// The closed word of this error.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NxDomain { .. } => Kind::Nxdomain,
            Self::NoData { .. } => Kind::Nodata,
            Self::ServFail { .. } => Kind::Servfail,
            Self::Refused { .. } => Kind::Refused,
            Self::Timeout { .. }
            | Self::Silent { .. }
            | Self::Unserved { .. }
            | Self::Late { .. } => Kind::Timeout,
            Self::Truncated { .. } => Kind::Truncated,
            Self::Network { .. } | Self::PortTaken { .. } => Kind::Network,
            Self::Handshake { .. } => Kind::Handshake,
            Self::Malformed { .. } => Kind::Malformed,
            Self::InvalidName { .. } | Self::NoHost { .. } | Self::NoOuterPort { .. } => {
                Kind::InvalidName
            }
            Self::InvalidOption { .. } => Kind::InvalidOption,
            Self::PortOutOfRange { .. } => Kind::PortOutOfRange,
            Self::ToolNode { .. } => Kind::ToolNode,
            Self::Overloaded { .. } => Kind::Overloaded,
            Self::BrokenOff { .. } => Kind::Internal,
        }
    }

    /// What a program may want to know of the look-up or the probe that failed; `None` for other errors.
    pub fn details(&self) -> Option<Details<'_>> {
        let (asked, rcode) = match self {
            Self::NxDomain { asked, .. } => (asked, Some(3)),
            Self::NoData { asked, .. } => (asked, Some(0)),
            Self::ServFail { asked, rcode, .. } => (asked, Some(*rcode)),
            Self::Refused { asked } => (asked, Some(5)),
            Self::Timeout { asked }
            | Self::Silent { asked }
            | Self::Unserved { asked }
            | Self::Late { asked }
            | Self::Truncated { asked, .. }
            | Self::Network { asked, .. }
            | Self::Handshake { asked, .. }
            | Self::Malformed { asked, .. }
            | Self::NoHost { asked, .. }
            | Self::Overloaded { asked, .. }
            | Self::BrokenOff { asked } => (asked, None),
            Self::InvalidName { .. }
            | Self::InvalidOption { .. }
            | Self::NoOuterPort { .. }
            | Self::PortTaken { .. }
            | Self::PortOutOfRange { .. }
            | Self::ToolNode { .. } => return None,
        };
        Some(Details { asked, rcode })
    }
}
