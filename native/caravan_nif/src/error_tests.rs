use super::*;

#[test]
fn a_sentence_names_the_question_the_servers_and_the_time() {
    let error = Error::Timeout {
        asked: Asked {
            did: "looked up",
            question: "app.test A".into(),
            servers: vec!["127.0.0.1:53".into(), "[::1]:53".into()],
            elapsed: Duration::from_millis(2000),
        },
    };
    assert_eq!(error.kind(), Kind::Timeout);
    let sentence = error.to_string();
    assert!(
        sentence.starts_with(
            r#"looked up "app.test A" at 127.0.0.1:53 and [::1]:53 for 2000 ms: no answer"#
        ),
        "{sentence}"
    );
}

#[test]
fn hostile_bytes_are_escaped_and_cut() {
    let error = Error::ToolNode {
        name: b"rem-1-\"\n\x1b[31m".to_vec(),
        whose: "a tool's",
    };
    assert!(
        error.to_string().contains(r#""rem-1-\"\n\x1b[31m""#),
        "{error}"
    );
    let long = Error::ToolNode {
        name: vec![b'a'; 1000],
        whose: "a tool's",
    };
    assert!(long.to_string().contains("(1000 bytes)"));
    assert!(long.to_string().len() < 300);
}
