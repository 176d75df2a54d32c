//! The command line. PURE.

use std::net::SocketAddr;

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Flags {
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) control: Option<SocketAddr>,
    pub(crate) keep_running: bool,
    pub(crate) no_tcp: bool,
    pub(crate) seed: u64,
    pub(crate) help: bool,
}

pub(crate) const HELP: &str = include_str!("help.txt");

pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Flags, String> {
    let mut flags = Flags::default();
    let mut arguments = arguments.into_iter();
    while let Some(flag) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("expected a value after {flag}, got nothing"))
        };
        match flag.as_str() {
            "--listen" => flags.listen.push(listen_address(&value()?)?),
            "--control" => flags.control = Some(control_address(&value()?)?),
            "--keep-running" => flags.keep_running = true,
            "--no-tcp" => flags.no_tcp = true,
            "--seed" => {
                let seed = value()?;
                flags.seed = seed
                    .parse()
                    .map_err(|_| format!("expected a whole number after --seed, got {seed:?}"))?;
            }
            "--help" | "-h" => flags.help = true,
            _ => {
                return Err(format!("expected one of the flags that --help lists, got {flag:?}"));
            }
        }
    }
    if flags.listen.is_empty() && !flags.help {
        return Err("expected at least one `--listen ADDRESS:PORT`, got none; see --help".into());
    }
    Ok(flags)
}

/// This server lies on command, so it must not be reachable by everybody.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let address = address(text)?;
    if address.ip().is_unspecified() || address.ip().is_multicast() {
        return Err(format!(
            "expected one address of this host, such as 127.0.0.1:5353, after --listen, got {text:?}"
        ));
    }
    Ok(address)
}

fn control_address(text: &str) -> Result<SocketAddr, String> {
    let address = address(text)?;
    if !address.ip().is_loopback() {
        return Err(format!(
            "expected a loopback address, such as 127.0.0.1:0, after --control, got {text:?}"
        ));
    }
    Ok(address)
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("expected an address and a port, such as 127.0.0.1:5353 or [::1]:0, got {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Result<Flags, String> {
        parse(line.split_ascii_whitespace().map(String::from))
    }

    #[test]
    fn every_flag_is_taken_and_documented() {
        let line = "--listen 127.0.0.1:5353 --listen [::1]:0 --control 127.0.0.1:0 --keep-running --no-tcp --seed 7";
        let expected = Flags {
            listen: vec![([127, 0, 0, 1], 5353).into(), "[::1]:0".parse().expect("an address")],
            control: Some(([127, 0, 0, 1], 0).into()),
            keep_running: true,
            no_tcp: true,
            seed: 7,
            help: false,
        };
        assert_eq!(flags(line), Ok(expected));
        assert!(flags("--help").expect("flags").help);
        for flag in [
            "--listen",
            "--control",
            "--keep-running",
            "--no-tcp",
            "--seed",
            "--help",
        ] {
            assert!(HELP.contains(flag), "{flag}");
        }
    }

    #[test]
    fn anything_else_gets_a_sentence() {
        for line in [
            "",
            "--listen",
            "--listen 5353",
            "--listen localhost:53",
            "--listen 0.0.0.0:53",
            "--listen [::]:53",
            "--what",
            "--listen 127.0.0.1:0 --control 10.0.0.1:0",
            "--listen 127.0.0.1:0 --seed x",
            "--listen 127.0.0.1:0 more",
        ] {
            let sentence = flags(line).expect_err(line);
            assert!(sentence.starts_with("expected "), "{sentence}");
        }
    }
}
