//! Any bytes as a node name: a port from 1 to 65535 or a typed error; and as a template, whose names must be valid.

#![no_main]

use std::net::IpAddr;

use caravan_nif::endpoint::is_host;
use caravan_nif::error::{Error, Kind};
use caravan_nif::node_name::{PortRules, dist_port, is_name};
use caravan_nif::template::{Template, TemplateValues};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for (base_port, fixed) in [(4370, None), (65_535, None), (1, None), (4370, Some(4000))] {
        let rules = PortRules {
            base_port,
            dist_port: fixed,
        };
        match dist_port(bytes, &rules) {
            Ok(port) => {
                assert_ne!(port, 0);
                assert!(bytes.len() <= 255 && bytes.iter().all(u8::is_ascii_graphic));
                let peer = bytes.starts_with(b"peer-");
                assert!(peer || fixed.is_none_or(|fixed| port == fixed));
                assert!(!bytes.starts_with(b"@") && !bytes.ends_with(b"@"));
            }
            Err(error) => {
                assert!(matches!(
                    error.kind(),
                    Kind::InvalidName | Kind::ToolNode | Kind::PortOutOfRange
                ));
                readable(&error);
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        template(text);
        if is_name(text) {
            // Discovery never admits a name that is invalid by the rules for ports.
            let error = dist_port(bytes, &PortRules::default()).err();
            assert!(error.is_none_or(|error| error.kind() != Kind::InvalidName), "{text}");
        }
    }
});

/// The first line is the template, the second, if any, the host.
fn template(text: &str) {
    let (text, host) = text.split_once('\n').unwrap_or((text, "n1.example.org"));
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(error) => return readable(&error),
    };
    let values = TemplateValues {
        sname: "app",
        port: Some(3434),
        host: Some(host),
        ip: Some(IpAddr::from([127, 0, 0, 1])),
    };
    let name = template.render(&values).unwrap_or_default();
    if is_host(host) {
        assert_eq!(name.matches('@').count(), 1, "{name}");
    }
    if is_name(&name) {
        let port = dist_port(name.as_bytes(), &PortRules::default());
        assert!(
            port.is_ok() || port.is_err_and(|error| error.kind() != Kind::InvalidName),
            "{name}"
        );
    }
    let bare = TemplateValues {
        port: None,
        host: None,
        ip: None,
        ..values
    };
    let placeholders = ["{port}", "{host}", "{ip}"]
        .iter()
        .any(|placeholder| text.contains(placeholder));
    assert_eq!(template.render(&bare).is_none(), placeholders);
}

fn readable(error: &Error) {
    let sentence = error.to_string();
    assert!(
        sentence.len() <= 2_048 && !sentence.chars().any(char::is_control),
        "{sentence:?}"
    );
}
