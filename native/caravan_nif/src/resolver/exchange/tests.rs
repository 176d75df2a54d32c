use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant as Clock;

use hickory_resolver::proto::op::{Edns, MessageType};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType, rdata::A};
use tokio::net::UdpSocket;
use tokio::runtime;

use super::*;
use crate::endpoint::Data;
use crate::resolver::edns::mode;

const SOON: Duration = Duration::from_millis(40);
const DEADLINE: Duration = Duration::from_secs(20);

/// Which questions a server answers, and how many of both kinds came.
#[derive(Default)]
struct Counted {
    edns: AtomicUsize,
    plain: AtomicUsize,
}

fn run(test: impl Future<Output = ()>) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(test);
}

/// A server that answers the questions for which `answers` says so, given whether there is EDNS in it.
async fn server(answers: impl Fn(bool) -> bool + Send + 'static) -> (SocketAddr, Arc<Counted>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let address = socket.local_addr().expect("an address");
    let counted = Arc::new(Counted::default());
    let seen = Arc::clone(&counted);
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let mut message = Message::from_vec(&buffer[..length]).expect("a question");
            let edns = message.edns.is_some();
            let count = if edns { &seen.edns } else { &seen.plain };
            count.fetch_add(1, Ordering::Relaxed);
            if answers(edns) {
                message.metadata.message_type = MessageType::Response;
                let owner = message.queries[0].name.clone();
                let address = RData::A(A([127, 0, 0, 9].into()));
                message.answers.push(Record::from_rdata(owner, 5, address));
                if edns {
                    message.set_edns(Edns::new());
                }
                let bytes = message.to_vec().expect("bytes");
                socket.send_to(&bytes, from).await.expect("sent");
            }
        }
    });
    (address, counted)
}

/// How long a question took that was answered.
async fn query(server: SocketAddr) -> Duration {
    let name = Name::from_ascii("app.test.").expect("a name");
    let start = Clock::now();
    let deadline = Instant::now() + DEADLINE;
    let timeouts = Timeouts {
        fallback_after: SOON,
        whole_until: deadline,
        deadline,
    };
    let question = Query::query(name, RecordType::A);
    let Ok((answer, Transport::Udp)) = exchange(server, &question, Recall::Off, false, timeouts, None).await else {
        panic!("an answer expected");
    };
    assert!(matches!(answer.records[0].data, Data::Address(_)));
    start.elapsed()
}

fn counts(counted: &Counted) -> (usize, usize) {
    (
        counted.edns.load(Ordering::Relaxed),
        counted.plain.load(Ordering::Relaxed),
    )
}

#[test]
fn a_server_that_answers_is_asked_once_and_with_edns() {
    run(async {
        let (server, counted) = server(|_| true).await;
        for _ in 0..3 {
            query(server).await;
        }
        assert_eq!((counts(&counted), mode(server)), ((3, 0), Mode::Edns));
    });
}

#[test]
fn one_that_drops_edns_is_found_out_once() {
    run(async {
        let (server, counted) = server(|edns| !edns).await;
        assert!(query(server).await >= SOON);
        let checked = Mode::PlainUntilChecked;
        assert_eq!((counts(&counted), mode(server)), ((1, 1), checked));
        for _ in 0..3 {
            query(server).await;
        }
        assert_eq!(counts(&counted), (1, 4));
    });
}

#[test]
fn a_lost_packet_is_no_habit() {
    run(async {
        let lost = AtomicUsize::new(1);
        let (server, counted) = server(move |edns| !edns || lost.swap(0, Ordering::Relaxed) == 0).await;
        query(server).await;
        query(server).await;
        let healed = async {
            while mode(server) != Mode::Edns {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE / 2, healed).await.expect("soon");
        assert_eq!(counts(&counted), (2, 2));
    });
}

#[test]
fn one_that_answers_nothing_else_any_more_is_found_out_too() {
    run(async {
        let (server, counted) = server(|edns| edns).await;
        edns::note(server, Evidence::Silence);
        assert_eq!(mode(server), Mode::PlainUntilChecked);
        assert!(query(server).await >= SOON);
        assert_eq!((counts(&counted), mode(server)), ((1, 1), Mode::Edns));
        query(server).await;
        assert_eq!(counts(&counted), (2, 1));
    });
}

#[test]
fn the_check_costs_the_look_up_nothing_and_heals() {
    run(async {
        let (dropping, counted) = server(|edns| !edns).await;
        let (healed, both) = server(|_| true).await;
        for server in [dropping, healed] {
            edns::note(server, Evidence::Silence);
            query(server).await;
        }
        while mode(healed) != Mode::Edns {
            tokio::task::yield_now().await;
        }
        assert_eq!(counts(&both), (1, 1));
        query(dropping).await;
        assert_eq!((counts(&counted), mode(dropping)), ((1, 2), Mode::Plain));
    });
}
