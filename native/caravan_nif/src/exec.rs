//! Replaces this VM with another program: the same process on the same terminal.

use std::io;

/// Runs `program` in place of this VM, with `env` added to the environment; returns only if that fails.
#[cfg(unix)]
pub fn exec(program: &str, args: &[String], env: &[(String, String)]) -> io::Error {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    let mut command = Command::new(program);
    command.args(args).envs(env.iter().map(|(name, value)| (name, value)));
    // SAFETY: nothing is forked, so all of this process's threads and locks are there while the function runs.
    unsafe {
        command.pre_exec(|| {
            leave_terminal();
            reset_signals();
            close_the_rest()
        });
    }
    command.exec()
}

/// Windows has nothing of the kind.
#[cfg(not(unix))]
pub fn exec(_program: &str, _args: &[String], _env: &[(String, String)]) -> io::Error {
    io::ErrorKind::Unsupported.into()
}

/// The VM sets its terminal to non-blocking, and whoever shares it would have to live with that.
#[cfg(unix)]
fn leave_terminal() {
    for fd in 0..3 {
        // SAFETY: these calls have no preconditions; on a closed descriptor they fail.
        unsafe {
            let flags = libc::fcntl(fd, libc::F_GETFL);
            if flags >= 0 {
                libc::fcntl(fd, libc::F_SETFL, flags & !libc::O_NONBLOCK);
            }
        }
    }
}

/// The signals that the VM ignores, which a new program would go on ignoring. `SIGPIPE` and the mask are reset by
/// `Command`.
#[cfg(unix)]
fn reset_signals() {
    for signal in [libc::SIGCHLD, libc::SIGFPE, libc::SIGXFSZ] {
        // SAFETY: the default takes no handler of ours.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Closes the VM's other descriptors as soon as the new program runs.
#[cfg(unix)]
fn close_the_rest() -> io::Result<()> {
    for entry in std::fs::read_dir("/dev/fd")? {
        let fd = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(fd @ 3..) = fd {
            // SAFETY: a flag of a descriptor; that of the listing itself may be closed by then.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}
