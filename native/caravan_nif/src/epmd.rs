//! epmd's protocol, for `-caravan epmd`: requests and answers as bytes ("Distribution Protocol" in the ERTS User's
//! Guide, or `epmd_srv.c` if that is silent). Pure.

pub mod names;
pub mod server;

/// The longest name, and the longest extra data, of a registration: an atom's 255 characters in UTF-8.
const MAX_FIELD: usize = 4 * 255;

/// The longest request, without its length field: a registration with the longest name and extra data.
pub const MAX_REQUEST: usize = 13 + 2 * MAX_FIELD;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `PORT_PLEASE2_REQ`: where is the node of this name?
    Port(String),
    /// `NAMES_REQ`: who is on this host?
    Names,
    /// `ALIVE2_REQ`: a node wants to be found, for as long as its connection lives.
    Alive(Node),
    /// `KILL_REQ`: epmd itself obeys only while no node is registered.
    Kill,
}

/// What is known about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The part of its name before the `@`.
    pub name: String,
    /// Where it listens.
    pub port: u16,
    /// 77 for ordinary nodes, 72 for hidden ones.
    pub kind: u8,
    /// 0 for TCP.
    pub protocol: u8,
    /// The highest version of the distribution protocol that it speaks.
    pub highest: u16,
    /// The lowest one.
    pub lowest: u16,
    /// Anything else that it publishes.
    pub extra: Vec<u8>,
}

impl Node {
    /// An ordinary node of an OTP release that Caravan supports.
    pub fn ordinary(name: &str, port: u16) -> Self {
        Self {
            name: name.into(),
            port,
            kind: 77,
            protocol: 0,
            highest: 6,
            lowest: 5,
            extra: Vec::new(),
        }
    }
}

impl Request {
    /// Parses a request, without its length field. `None` for garbage, for `STOP_REQ`, which epmd obeys only with
    /// relaxed checks, and for `DUMP_REQ`, which is for debugging: as with epmd, such clients get no answer.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [b'z', name @ ..] => {
                let name = name.strip_suffix(b"\0").unwrap_or(name);
                Some(Self::Port(read_name(name)?))
            }
            [b'n', ..] => Some(Self::Names),
            [b'x', node @ ..] => Some(Self::Alive(read_node(node)?)),
            [b'k', ..] => Some(Self::Kill),
            _ => None,
        }
    }
}

fn read_node(mut bytes: &[u8]) -> Option<Node> {
    let port = read_u16(&mut bytes)?;
    let [kind, protocol] = *read_chunk(&mut bytes)?;
    let (highest, lowest) = (read_u16(&mut bytes)?, read_u16(&mut bytes)?);
    let name = read_name(read_field(&mut bytes)?)?;
    let extra = read_field(&mut bytes)?.to_vec();
    (port != 0).then_some(Node {
        name,
        port,
        kind,
        protocol,
        highest,
        lowest,
        extra,
    })
}

fn read_chunk<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (chunk, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(chunk)
}

fn read_u16(bytes: &mut &[u8]) -> Option<u16> {
    read_chunk(bytes).copied().map(u16::from_be_bytes)
}

fn read_field<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::from(read_u16(bytes)?);
    let (field, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    (length <= MAX_FIELD).then_some(field)
}

/// epmd accepts any UTF-8 without NUL. Names are listed as text, one per line, so ours must also be a single word.
fn read_name(bytes: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(bytes).ok()?;
    let odd = |char: char| char.is_whitespace() || char.is_control() || char == '@';
    ((1..=255).contains(&name.chars().count()) && !name.contains(odd)).then(|| name.into())
}

/// `PORT2_RESP`.
pub fn port_answer(node: Option<&Node>) -> Vec<u8> {
    match node {
        Some(node) => write_node(vec![b'w', 0], node),
        None => vec![b'w', 1],
    }
}

/// `ALIVE2_REQ`, with its length field: registers this node with another one that answers.
pub fn alive_request(node: &Node) -> Vec<u8> {
    let request = write_node(vec![b'x'], node);
    let length = u16::try_from(request.len()).unwrap_or(0);
    [&length.to_be_bytes()[..], &request].concat()
}

/// Whether the beginning of a response to `ALIVE2_REQ` says that the node is registered.
pub fn is_alive(answer: [u8; 2]) -> bool {
    matches!(answer, [b'v' | b'y', 0])
}

fn write_node(mut message: Vec<u8>, node: &Node) -> Vec<u8> {
    message.extend(node.port.to_be_bytes());
    message.extend([node.kind, node.protocol]);
    message.extend(node.highest.to_be_bytes());
    message.extend(node.lowest.to_be_bytes());
    for field in [node.name.as_bytes(), &node.extra] {
        let length = u16::try_from(field.len()).unwrap_or(0);
        message.extend(length.to_be_bytes());
        message.extend(&field[..usize::from(length)]);
    }
    message
}

/// `NAMES_RESP`; `erl_epmd` and `epmd -names` read its lines.
pub fn names_answer<'a>(own_port: u16, nodes: impl Iterator<Item = (&'a str, u16)>) -> Vec<u8> {
    let mut answer = u32::from(own_port).to_be_bytes().to_vec();
    for (name, port) in nodes {
        answer.extend(format!("name {name} at port {port}\n").bytes());
    }
    answer
}

/// `ALIVE2_X_RESP`, or `ALIVE2_RESP` for nodes that know only two-bit creations; `random` becomes the creation. `None`
/// if the name is taken.
pub fn alive_answer(highest: u16, random: Option<u32>) -> Vec<u8> {
    let result = u8::from(random.is_none());
    if highest >= 6 {
        // Creations below 4 are old-style ones.
        let creation = random.map_or(99, |random| random.max(4));
        [&[b'v', result][..], &creation.to_be_bytes()].concat()
    } else {
        let creation = random.map_or(99, |random| 1 + (random % 3) as u16);
        [&[b'y', result][..], &creation.to_be_bytes()].concat()
    }
}

/// The response to `KILL_REQ` while nodes are registered, as this one always is.
pub const REFUSAL: &[u8] = b"NO";

#[cfg(test)]
mod tests;
