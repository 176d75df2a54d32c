use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, MessageType};
use hickory_resolver::proto::rr::rdata::{A, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record};
use tokio::net::UdpSocket;

use super::*;
use crate::known_nodes;
use crate::resolver::{Recall, Spec, Type};

/// A VM that knows nothing.
struct Blank;

impl Vm for Blank {
    fn is_atom(&self, _name: &str) -> bool {
        false
    }
    fn has_answered(&self, _name: &str) -> bool {
        false
    }
    fn atoms_left(&self) -> usize {
        usize::MAX
    }
}

/// A server that lists one service on port 3434 of `host`, which is at 127.0.0.1.
async fn server(host: &'static str) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let mut message = Message::from_vec(&buffer[..length]).unwrap();
            message.metadata.message_type = MessageType::Response;
            let (owner, host) = (message.queries[0].name.clone(), Name::from_ascii(host).unwrap());
            let service = RData::SRV(SRV::new(0, 0, 3434, host.clone()));
            message.answers = vec![Record::from_rdata(owner, 5, service)];
            let ip = RData::A(A([127, 0, 0, 1].into()));
            message.additionals = vec![Record::from_rdata(host, 5, ip)];
            let bytes = message.to_vec().unwrap();
            socket.send_to(&bytes, from).await.unwrap();
        }
    });
    address
}

fn config(server: SocketAddr) -> DiscoveryConfig {
    DiscoveryConfig {
        queries: vec!["_app._tcp.test".into()],
        source: Source::Dns(Spec {
            query: String::new(),
            record_type: Type::Srv,
            nameservers: Some(vec![server]),
            tcp: false,
            timeout: Duration::from_secs(20),
            ipv6: false,
            recall: Recall::On,
        }),
        sname: None,
        template: None,
        allow: Vec::new(),
        expire_after: Duration::from_secs(300),
        withdraw_after: None,
        max_members: 10,
        links: None,
    }
}

fn identity(name: &str) -> OwnIdentity {
    OwnIdentity {
        name: name.into(),
        long_names: Some(true),
        bound: None,
        probes: true,
    }
}

#[tokio::test]
async fn whom_dns_took_for_this_node_is_a_member_once_it_was_linked() {
    let (own, peer) = ("twin-3434@127.0.0.1", "twin-3434@twin.test");
    let discovery = Discovery::new(config(server("twin.test.").await), &identity(own)).unwrap();
    for _ in 0..2 {
        let report = discovery.poll(0, own, &Blank).await.unwrap();
        assert_eq!((report.itself, report.members), (vec![peer.into()], 0));
    }
    // That it is another's changes no answer.
    known_nodes::note_link(peer);
    let report = discovery.poll(0, own, &Blank).await.unwrap();
    assert_eq!((report.itself, report.changes.added), (vec![], vec![peer.into()]));
    let again = discovery.poll(0, own, &Blank).await.unwrap();
    assert!(again.lookup.unchanged && again.members == 1);
}
