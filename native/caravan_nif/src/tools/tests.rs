use proptest::prelude::*;

use super::*;

const OF_TOOLS: [(&str, &str); 16] = [
    ("rem-a1b2-app-3434", "app-3434"),
    ("rem-1-app", "app"),
    ("rpc-FFFF-app-3434", "app-3434"),
    ("rpc-0-", ""),
    ("remsh0a1b2c3d-my_app-3434", "my_app-3434"),
    ("maint0a1b2c3d-my_app-3434", "my_app-3434"),
    ("rabbitmqcli-58-rabbit-25601", "rabbit-25601"),
    ("rabbitmqcli-99391-rabbit", "rabbit"),
    ("a1b-ctl-ejabberd-15701", "ejabberd-15701"),
    ("0c3-ctl-ejabberd", "ejabberd"),
    ("0A3-debug-ejabberd", "ejabberd"),
    ("f00-top-ejabberd", "ejabberd"),
    ("a1b2c3d4-ctl-ejabberd-15701", "ejabberd-15701"),
    ("a1b2c3d4-debug-ejabberd-15701", "ejabberd-15701"),
    ("a1b-ping", ""),
    ("a1b2c3d4-ping", ""),
];

const ORDINARY: [&str; 30] = [
    "",
    "a",
    "rem",
    "rpc-",
    "rpc-4370",
    "rpc-app",
    "rpc-12345-app-3434",
    "rem--app",
    "rem-xyz-app-3434",
    "remote-4370",
    "remsh-4370",
    "remsh0a1b2c3-app",
    "remsh0a1b2c3dd-app",
    "theorem-4370",
    "theorem-a1-4371",
    "maint-4370",
    "maintenance-4370",
    "rabbit-25601",
    "rabbitmqcli-rabbit",
    "rabbitmqcli-58",
    "peer-3-17184",
    "peer-4370",
    "peerage-4370",
    "app-ctl-3434",
    "a1b-ctl",
    "ab-ctl-ejabberd",
    "a1bc-ctl-ejabberd",
    "a1b-pinger-4370",
    "beef-ctl-app",
    "a1b-3434",
];

#[test]
fn names_of_tools_and_whom_they_ask() {
    for (name, asks) in OF_TOOLS {
        assert_eq!(target_base(name.as_bytes()), Some(asks.as_bytes()), "{name}");
    }
}

#[test]
fn ordinary_names() {
    for name in ORDINARY {
        assert_eq!(tool(name.as_bytes()), None, "{name}");
    }
}

#[test]
fn each_row_has_a_name() {
    for row in &TOOLS {
        let names = OF_TOOLS.iter();
        assert!(
            names
                .clone()
                .any(|(name, _)| row.target_base(name.as_bytes()).is_some()),
            "{row:?}"
        );
    }
}

proptest! {
    // The look at the first bytes leaves no row out.
    #[test]
    fn the_first_bytes_decide_nothing_else(name in "(rem|rpc|remsh|maint|rabbitmqcli|[0-9a-f]{3}|[a-z]{1,9})-?[0-9a-f]{0,8}-?(ctl|ping|top|[a-z]{0,4})-?[a-z0-9]{0,6}") {
        let any = TOOLS.iter().find(|tool| tool.target_base(name.as_bytes()).is_some());
        prop_assert_eq!(tool(name.as_bytes()), any);
    }
}
