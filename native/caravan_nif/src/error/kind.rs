//! The parts of an error for programs: its kind and its details.

use super::{Context, Error};

/// The closed list of kinds; `nif/encode.rs` turns each into the atom of the same spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is documented at the error of its name")]
pub enum Kind {
    Nxdomain,
    Nodata,
    Servfail,
    Refused,
    Timeout,
    Truncated,
    Network,
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
    pub context: &'a Context,
    /// The response code of the answer, if that was the failure (IANA's DNS RCODEs).
    pub rcode: Option<u16>,
}

impl Error {
    /// The kind of this error.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NxDomain { .. } => Kind::Nxdomain,
            Self::NoData { .. } => Kind::Nodata,
            Self::ServFail { .. } => Kind::Servfail,
            Self::Refused { .. } => Kind::Refused,
            Self::Timeout { .. } | Self::Silent { .. } | Self::Unresponsive { .. } | Self::Late { .. } => Kind::Timeout,
            Self::Truncated { .. } => Kind::Truncated,
            Self::Network { .. } | Self::PortTaken { .. } => Kind::Network,
            Self::Malformed { .. } => Kind::Malformed,
            Self::InvalidName { .. } | Self::NoHost { .. } | Self::NoOuterPort { .. } => Kind::InvalidName,
            Self::InvalidOption { .. } => Kind::InvalidOption,
            Self::PortOutOfRange { .. } => Kind::PortOutOfRange,
            Self::ToolNode { .. } => Kind::ToolNode,
            Self::Overloaded { .. } => Kind::Overloaded,
            Self::Panicked { .. } => Kind::Internal,
        }
    }

    /// What a program may want to know about a failed lookup or probe; `None` for other errors.
    pub fn details(&self) -> Option<Details<'_>> {
        let (context, rcode) = match self {
            Self::NxDomain { context, .. } => (context, Some(3)),
            Self::NoData { context, .. } => (context, Some(0)),
            Self::ServFail { context, rcode, .. } => (context, Some(*rcode)),
            Self::Refused { context } => (context, Some(5)),
            Self::Timeout { context }
            | Self::Silent { context }
            | Self::Unresponsive { context }
            | Self::Late { context }
            | Self::Truncated { context, .. }
            | Self::Network { context, .. }
            | Self::Malformed { context, .. }
            | Self::NoHost { context, .. }
            | Self::Overloaded { context, .. }
            | Self::Panicked { context } => (context, None),
            Self::InvalidName { .. }
            | Self::InvalidOption { .. }
            | Self::NoOuterPort { .. }
            | Self::PortTaken { .. }
            | Self::PortOutOfRange { .. }
            | Self::ToolNode { .. } => return None,
        };
        Some(Details { context, rcode })
    }
}
