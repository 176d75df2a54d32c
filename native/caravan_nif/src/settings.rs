//! How this VM speaks distribution, and what follows from that for its names.

use std::net::IpAddr;

use once_cell::sync::OnceCell;

use crate::error::Error;
use crate::local_host;
use crate::node_name::{self, Listening, PortRules};

/// How this VM speaks distribution; set once, when the library is loaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// How names become ports.
    pub rules: PortRules,
    /// How this node listens.
    pub listening: Listening,
    /// Whether distribution runs over IPv6.
    pub ipv6: bool,
}

static SETTINGS: OnceCell<Settings> = OnceCell::new();

/// Sets how this VM speaks distribution; the first call counts.
pub fn configure(settings: Settings) {
    let _ = SETTINGS.set(settings);
}

/// How this VM speaks distribution.
pub fn settings() -> Settings {
    SETTINGS.get().copied().unwrap_or_default()
}

/// The port that the node `name`, bound to one address or to none, should listen on; 0 for any free one.
///
/// # Errors
/// Those of the name, and `PortTaken`.
pub fn listen(name: &[u8], bound: Option<IpAddr>) -> Result<u16, Error> {
    let Settings { rules, listening, ipv6 } = settings();
    let port = node_name::listen_port(name, &rules, listening)?;
    if port != 0 && local_host::is_port_taken(port, bound, ipv6) {
        return Err(Error::PortTaken {
            name: name.to_vec(),
            port,
        });
    }
    Ok(port)
}

/// The port that a release's tool named `own` must dial if its node `name` listens on another port than others dial.
pub fn inner_port(own: &[u8], name: &[u8]) -> Option<u16> {
    let port = settings().listening.port?;
    node_name::asks(own, name).then_some(port)
}
