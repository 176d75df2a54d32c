//! Reads the text of a term, without allocating.

use std::mem::MaybeUninit;
use std::slice;

use rustler::{Term, sys};

/// Room for the longest name that the VM can hold, and a little more to show that a list was longer.
const TEXT_BUFFER: usize = 512;

/// The buffer of [`text`]; not zeroed, since that would cost as much as reading a name.
pub(crate) struct TextBuffer([MaybeUninit<u8>; TEXT_BUFFER]);

impl TextBuffer {
    pub(crate) fn new() -> Self {
        Self([MaybeUninit::uninit(); TEXT_BUFFER])
    }
}

/// The text of an atom, a charlist or a binary, without allocating; `None` for other terms and for text outside
/// Latin-1.
pub(crate) fn text<'a, 'b>(term: Term<'a>, buffer: &'b mut TextBuffer) -> Option<&'b [u8]>
where
    'a: 'b,
{
    let room = TEXT_BUFFER as sys::c_uint;
    let env = term.get_env().as_c_arg();
    let out = buffer.0.as_mut_ptr().cast();
    let latin1 = sys::ErlNifCharEncoding::ERL_NIF_LATIN1;
    // SAFETY: the term belongs to this environment, whose binaries stay as they are while it is valid, that is, for
    // 'a. The string and the atom write at most `room` bytes into the buffer, including the closing zero, and return
    // how many.
    let written = unsafe {
        let mut written = sys::enif_get_string(env, term.as_c_arg(), out, room, latin1);
        if written == 0 {
            let mut binary = MaybeUninit::<sys::ErlNifBinary>::uninit();
            if sys::enif_inspect_binary(env, term.as_c_arg(), binary.as_mut_ptr()) != 0 {
                let binary = binary.assume_init_ref();
                // A longer one is read no further than a list would be: a scheduler waits for it.
                return Some(slice::from_raw_parts(binary.data, binary.size.min(TEXT_BUFFER)));
            }
            written = sys::enif_get_atom(env, term.as_c_arg(), out, room, latin1);
        }
        written
    };
    let length = match usize::try_from(written) {
        Ok(0) => return None,
        Ok(written) => written - 1,
        // Negative: the list is longer than any name, and the buffer full.
        Err(_) => TEXT_BUFFER - 1,
    };
    // SAFETY: that many bytes were written.
    Some(unsafe { slice::from_raw_parts(buffer.0.as_ptr().cast(), length) })
}
