//! The built server as a child, and DNS by hand: nothing here shares code with what it tests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

pub(crate) const A: u16 = 1;
pub(crate) const CNAME: u16 = 5;
pub(crate) const AAAA: u16 = 28;
pub(crate) const SRV: u16 = 33;

/// Long enough for any machine: only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
    pub(crate) control: SocketAddr,
}

impl Server {
    pub(crate) fn start(flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_caravan_dns"))
            .args(["--control", "127.0.0.1:0"])
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
        let address = line(&mut stdout).strip_prefix("listening ").map(str::parse);
        let control = line(&mut stdout).strip_prefix("control ").map(str::parse);
        assert_eq!(line(&mut stdout), "ready");
        Self {
            stdin: child.stdin.take(),
            child,
            stdout,
            address: address.expect("a listening line").expect("an address"),
            control: control.expect("a control line").expect("an address"),
        }
    }

    /// With these records and faults.
    pub(crate) fn with(lines: &[&str]) -> Self {
        let mut server = Self::start(&["--listen", "127.0.0.1:0", "--seed", "7"]);
        lines.iter().for_each(|line| server.ok(line));
        server
    }

    pub(crate) fn say(&mut self, command: &str) -> String {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        writeln!(stdin, "{command}").expect("the command is sent");
        line(&mut self.stdout)
    }

    pub(crate) fn ok(&mut self, command: &str) {
        assert_eq!(self.say(command), "ok", "{command}");
    }

    pub(crate) fn next_line(&mut self) -> String {
        line(&mut self.stdout)
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stdout ends when the process does.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut rest = Vec::new();
        self.stdout.read_to_end(&mut rest).expect("stdout ends");
        self.child.wait().expect("a status")
    }

    pub(crate) fn udp(&self) -> UdpSocket {
        let local: SocketAddr = if self.address.is_ipv4() {
            ([127, 0, 0, 1], 0).into()
        } else {
            "[::1]:0".parse().expect("an address")
        };
        let socket = UdpSocket::bind(local).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.connect(self.address).expect("a connected socket");
        socket
    }

    pub(crate) fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    pub(crate) fn ask_udp(&self, name: &str, kind: u16) -> Answer {
        let socket = self.udp();
        socket
            .send(&question(7, name, kind, Some(1_232)))
            .expect("a question is sent");
        Answer::read(receive(&socket))
    }

    pub(crate) fn ask_tcp(&self, name: &str, kind: u16) -> Answer {
        let mut stream = self.tcp();
        send_framed(&mut stream, &question(7, name, kind, None));
        Answer::read(receive_framed(&mut stream).expect("an answer"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(stdout: &mut impl BufRead) -> String {
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    line.trim_end().to_string()
}

/// RD is set; with EDNS when a size is given.
pub(crate) fn question(id: u16, name: &str, kind: u16, edns: Option<u16>) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, edns.is_some().into()]);
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    if let Some(size) = edns {
        bytes.extend([0, 0, 41]);
        bytes.extend(size.to_be_bytes());
        bytes.extend([0; 6]);
    }
    bytes
}

pub(crate) fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut bytes = vec![0; 65_535];
    let length = socket.recv(&mut bytes).expect("an answer");
    bytes.truncate(length);
    bytes
}

pub(crate) fn send_framed(stream: &mut TcpStream, message: &[u8]) {
    let mut framed = (message.len() as u16).to_be_bytes().to_vec();
    framed.extend(message);
    stream.write_all(&framed).expect("a question is sent");
}

/// None when the server closed the connection instead.
pub(crate) fn receive_framed(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("{error}"),
        Err(_) => return None,
    }
    let mut bytes = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut bytes).expect("a whole message");
    Some(bytes)
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) id: u16,
    pub(crate) code: u8,
    pub(crate) truncated: bool,
    /// Owner, type and data of each record.
    pub(crate) answers: Vec<(String, u16, Vec<u8>)>,
    pub(crate) additionals: Vec<(String, u16, Vec<u8>)>,
}

impl Answer {
    pub(crate) fn read(bytes: Vec<u8>) -> Self {
        let short = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        assert_eq!(bytes[2] & 0b1000_0101, 0b1000_0101, "QR, AA and RD are set");
        assert_eq!(bytes[3] & 0b1111_0000, 0b1000_0000, "RA is set");
        assert_eq!((short(4), short(8)), (1, 0), "one question, no authority");
        let (_, mut at) = name(&bytes, 12);
        at += 4;
        let mut records = |count: u16| {
            let mut records = Vec::new();
            for _ in 0..count {
                let (owner, fields) = name(&bytes, at);
                at = fields + 10 + usize::from(short(fields + 8));
                records.push((owner, short(fields), bytes[fields + 10..at].to_vec()));
            }
            records
        };
        let (answers, additionals) = (records(short(6)), records(short(10)));
        assert_eq!(at, bytes.len(), "nothing behind the last record");
        Self {
            id: short(0),
            code: bytes[3] & 15,
            truncated: bytes[2] & 2 != 0,
            answers,
            additionals,
            bytes,
        }
    }

    pub(crate) fn shape(&self) -> (u8, bool, usize, usize) {
        let addresses = self.additionals.iter().filter(|(_, kind, _)| *kind != 41);
        (self.code, self.truncated, self.answers.len(), addresses.count())
    }
}

/// A name and where it ends.
fn name(bytes: &[u8], mut at: usize) -> (String, usize) {
    let mut labels = Vec::new();
    let mut end = None;
    loop {
        match usize::from(bytes[at]) {
            0 => return (labels.join("."), end.unwrap_or(at + 1)),
            length @ 1..64 => {
                labels.push(String::from_utf8_lossy(&bytes[at + 1..at + 1 + length]).into_owned());
                at += 1 + length;
            }
            high => {
                assert!(high >= 0xC0, "a label or a pointer");
                end = end.or(Some(at + 2));
                let target = (high & 0x3F) << 8 | usize::from(bytes[at + 1]);
                assert!(target < at, "pointers lead back");
                at = target;
            }
        }
    }
}
