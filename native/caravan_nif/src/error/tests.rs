use std::time::Duration;

use super::*;

#[test]
fn a_sentence_names_the_question_the_servers_and_the_time() {
    let error = Error::Timeout {
        context: Context {
            action: "looked up",
            question: "app.test A".into(),
            servers: vec!["127.0.0.1:53".into(), "[::1]:53".into()],
            elapsed: Duration::from_millis(2000),
        },
    };
    assert_eq!(error.kind(), Kind::Timeout);
    let sentence = error.to_string();
    assert!(
        sentence.starts_with(r#"looked up "app.test A" at 127.0.0.1:53 and [::1]:53 (2000 ms): no answer"#),
        "{sentence}"
    );
}

#[test]
fn a_panic_is_no_overload() {
    let context = Context::new("looked up", "app.test");
    let error = Error::Panicked { context };
    assert_eq!(error.kind(), Kind::Internal);
    assert!(error.to_string().contains("please report it"), "{error}");
}

#[test]
fn details_are_what_the_sentence_tells() {
    let context = Context::new("looked up", "app.test A");
    for (error, rcode) in [
        (
            Error::Refused {
                context: context.clone(),
            },
            Some(5),
        ),
        (
            Error::ServFail {
                context: context.clone(),
                code: "NOTIMP".into(),
                rcode: 4,
            },
            Some(4),
        ),
        (
            Error::Silent {
                context: context.clone(),
            },
            None,
        ),
    ] {
        let details = error.details().expect("details");
        assert_eq!((details.context, details.rcode), (&context, rcode), "{error}");
    }
    let name = b"rem-1-a".to_vec();
    assert!(Error::ToolNode { name, whose: "a tool" }.details().is_none());
}

#[test]
fn hostile_bytes_are_escaped_and_cut() {
    let error = Error::ToolNode {
        name: b"rem-1-\"\n\x1b[31m".to_vec(),
        whose: "a tool",
    };
    assert!(error.to_string().contains(r#""rem-1-\"\n\x1b[31m""#), "{error}");
    let long = Error::ToolNode {
        name: vec![b'a'; 1000],
        whose: "a tool",
    };
    assert!(long.to_string().contains("(1000 bytes)"));
    assert!(long.to_string().len() < 300);
}

#[test]
fn a_bound_is_told_by_what_met_it_with_a_cure_that_fits() {
    let lookup = Error::too_many_lookups(Context::new("looked up", "app.test")).to_string();
    assert!(lookup.contains("2048 requests are under way already; look up less often"));
    let probe = Error::too_many_probes(Context::new("probed", "app-4370@h")).to_string();
    assert!(probe.contains("1024 probes are under way already; lower the option :dial_concurrency"));
    assert!(!probe.contains("look"), "{probe}");
    let socket = Error::no_socket(Context::new("probed", "app-4370@h")).to_string();
    assert!(!socket.contains("look"), "{socket}");
}
