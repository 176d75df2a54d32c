//! The port of a node name, as a function that is declared by hand: rustler's wrapper collects the arguments in a vector
//! and moves the answer around, which takes longer than reading the name.

use std::ffi::{c_int, c_uint};
use std::panic::catch_unwind;
use std::thread;

use rustler::codegen_runtime::{handle_nif_result, inventory};
use rustler::sys::{ErlNifEnv, ErlNifTerm, enif_make_tuple_from_array, enif_make_uint};
use rustler::{Env, Nif, SchedulerFlags, Term};

use super::encode::{Failure, atoms};
use super::text::{TextBuffer, text};
use crate::{node_name, settings};

inventory::submit!(Nif {
    name: c"dist_port".as_ptr(),
    arity: 1,
    flags: SchedulerFlags::Normal as c_uint,
    raw_func: dist_port,
});

unsafe extern "C" fn dist_port(env: *mut ErlNifEnv, _arity: c_int, arguments: *const ErlNifTerm) -> ErlNifTerm {
    let lifetime = ();
    // SAFETY: the VM passes an environment and one argument, as declared, and both are valid until this returns.
    let (env, name) = unsafe {
        let env = Env::new(&lifetime, env);
        (env, Term::new(env, *arguments))
    };
    match catch_unwind(|| port(name)) {
        // SAFETY: both terms belong to this environment.
        Ok(Ok(port)) => unsafe {
            let pair = [atoms::ok().as_c_arg(), enif_make_uint(env.as_c_arg(), port.into())];
            enif_make_tuple_from_array(env.as_c_arg(), pair.as_ptr(), 2)
        },
        Ok(Err(failure)) => not_a_port(env, Ok(failure)),
        Err(panic) => not_a_port(env, Err(panic)),
    }
}

fn port(name: Term<'_>) -> Result<u16, Failure> {
    let mut buffer = TextBuffer::new();
    let port = match text(name, &mut buffer) {
        Some(text) => node_name::dist_port(text, &settings::settings().rules),
        None => Err(node_name::no_text(format!("{name:?}"))),
    };
    port.map_err(|error| Failure::from(&error))
}

/// Any other answer is made as rustler makes it.
#[cold]
#[inline(never)]
fn not_a_port(env: Env<'_>, outcome: thread::Result<Failure>) -> ErlNifTerm {
    // SAFETY: the VM gets it at once, in the environment in which it was made.
    unsafe { handle_nif_result(outcome.map(Ok), env).apply(env) }
}
