use tokio::net::{TcpListener, TcpSocket};

use super::*;

const PATIENCE: Duration = Duration::from_millis(400);

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, format!("app-{port}@127.0.0.1"))
}

#[tokio::test]
async fn who_hangs_up_is_there() {
    let (listener, name) = listener().await;
    let peer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    };
    let (result, ()) = tokio::join!(probe(name, PATIENCE, Purpose::Dial), peer);
    assert_eq!(result, Ok(()));
}

#[tokio::test]
async fn who_was_missed_is_given_time_however_prompt() {
    let (listener, name) = listener().await;
    let start = Instant::now();
    let peer = async { drop(listener.accept().await.unwrap()) };
    let (result, ()) = tokio::join!(probe(name, 2 * RECOVERY, Purpose::Redial), peer);
    assert_eq!(result, Ok(()));
    assert!(start.elapsed() >= RECOVERY);
}

#[tokio::test]
async fn the_time_given_is_part_of_the_patience() {
    let (listener, name) = listener().await;
    let start = Instant::now();
    let peer = async { drop(listener.accept().await.unwrap()) };
    let (result, ()) = tokio::join!(probe(name, PATIENCE, Purpose::Redial), peer);
    assert!(matches!(result, Err(Error::Late { .. })), "{result:?}");
    assert!(start.elapsed() < RECOVERY, "{:?}", start.elapsed());
}

#[tokio::test]
async fn who_has_just_answered_is_not_asked_again_unless_missed() {
    let (listener, name) = listener().await;
    let peer = async { drop(listener.accept().await.unwrap()) };
    let (first, ()) = tokio::join!(probe(name.clone(), PATIENCE, Purpose::Dial), peer);
    // Nobody accepts any more.
    let second = probe(name.clone(), PATIENCE, Purpose::Dial).await;
    assert_eq!((first, second), (Ok(()), Ok(())));
    assert!(probe(name, PATIENCE, Purpose::Redial).await.is_err());
}

#[tokio::test]
async fn an_answer_counts_for_others_only_after_the_time_given() {
    let (listener, name) = listener().await;
    let address = listener.local_addr().unwrap();
    let asked = tokio::spawn(probe(name, 2 * RECOVERY, Purpose::Redial));
    drop(listener.accept().await.unwrap());
    sleep(RECOVERY / 2).await;
    assert!(!answers().contains(&address, Instant::now()));
    assert_eq!(asked.await.unwrap(), Ok(()));
    assert!(answers().contains(&address, Instant::now()));
    assert!(!answers().contains(&address, Instant::now() + FRESH));
}

#[tokio::test]
async fn a_lost_one_that_takes_a_while_is_given_time_and_another_is_not() {
    for (purpose, given_time) in [(Purpose::Link, true), (Purpose::Dial, false)] {
        let (listener, name) = listener().await;
        let peer = async {
            let (_stream, _) = listener.accept().await.unwrap();
            sleep(2 * AWAKE).await;
            Instant::now()
        };
        let (result, hung_up) = tokio::join!(probe(name, 10 * PATIENCE, purpose), peer);
        assert_eq!(result, Ok(()), "{purpose:?}");
        assert_eq!(hung_up.elapsed() >= RECOVERY, given_time, "{purpose:?}");
    }
}

#[tokio::test]
async fn a_link_that_had_to_wait_long_is_not_made_but_the_next_one_is() {
    let (listener, name) = listener().await;
    let peer = async {
        let (_stream, _) = listener.accept().await.unwrap();
        sleep(LONG).await;
    };
    let patience = 10 * PATIENCE;
    let link = probe(name.clone(), patience, Purpose::Link);
    let (waited, ()) = tokio::join!(link, peer);
    assert!(matches!(waited, Err(Error::Late { .. })), "{waited:?}");
    assert_eq!(probe(name, patience, Purpose::Link).await, Ok(()));
}

#[tokio::test]
async fn who_accepts_and_says_nothing_is_not() {
    let (_listener, name) = listener().await;
    let Err(error) = probe(name, PATIENCE, Purpose::Dial).await else {
        panic!("nobody accepts there")
    };
    assert_eq!(error.kind(), crate::error::Kind::Timeout);
    assert!(error.to_string().contains("the node did not respond"), "{error}");
}

#[tokio::test]
async fn nobody_listens() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    let Err(error) = probe(format!("app-{port}@127.0.0.1"), PATIENCE, Purpose::Dial).await else {
        panic!("nothing listens there")
    };
    assert!(error.to_string().contains("nothing listens"), "{error}");
}

#[tokio::test]
async fn a_peer_that_answers_is_remembered_but_not_under_the_name_of_a_link() {
    for (purpose, remembered) in [(Purpose::Dial, true), (Purpose::Link, false)] {
        let (listener, name) = listener().await;
        let peer = async { drop(listener.accept().await.unwrap()) };
        let (result, ()) = tokio::join!(probe(name.clone(), PATIENCE, purpose), peer);
        assert_eq!(result, Ok(()));
        assert_eq!(known_nodes::has_answered(&name), remembered, "{purpose:?}");
    }
}
