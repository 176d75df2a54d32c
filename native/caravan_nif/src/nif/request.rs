//! The one tokio runtime, and `Reply`: exactly one message for each request, whatever happens to the work.

use std::future::Future;
use std::io;
use std::thread;
use std::time::Duration;

use once_cell::sync::OnceCell;
use rustler::env::SavedTerm;
use rustler::thread::is_scheduler_thread;
use rustler::{Encoder, Env, LocalPid, Monitor, OwnedEnv, Resource, ResourceArc, Term};
use tokio::runtime::{Builder, Handle};
use tokio::task::AbortHandle;

use crate::abort_slot::AbortSlot;
use crate::error::{Context, Error};
use crate::probe::suspension;
use crate::request_limit::{self, Permit};
use crate::resolver::pool::{self, Requester};
use crate::resolver::{self, Lookup, Spec, Unfinished};

use super::encode::Outcome;

static RUNTIME: OnceCell<Handle> = OnceCell::new();

/// One thread does everything: on one core it answers faster than a pool that passes work around, and lookups wait more
/// than they compute. Resolving a host through the system takes up to four more threads, which end when idle.
fn runtime() -> io::Result<&'static Handle> {
    RUNTIME.get_or_try_init(|| {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(4)
            .thread_name("caravan")
            .build()?;
        let handle = runtime.handle().clone();
        handle.spawn(async {
            loop {
                suspension::remaining(Duration::ZERO);
                tokio::time::sleep(suspension::INTERVAL).await;
            }
        });
        thread::Builder::new()
            .name("caravan".into())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(handle)
    })
}

/// Drops a value on the runtime's thread: dropping a big one would block one of the VM's.
pub(crate) fn drop_later(value: impl Send + 'static) {
    // If nothing ever ran, nothing has grown big.
    if let Some(runtime) = RUNTIME.get() {
        runtime.spawn(async move { drop(value) });
    }
}

/// A request under way. The monitor on its caller aborts the task when the caller dies.
pub(crate) struct Request(AbortSlot<AbortHandle>);

#[rustler::resource_impl]
impl Resource for Request {
    const IMPLEMENTS_DOWN: bool = true;

    fn down<'a>(&'a self, _env: Env<'a>, _pid: LocalPid, _monitor: Monitor) {
        if let Some(task) = self.0.abort() {
            task.abort();
        }
    }
}

/// Runs `work` on the runtime, for the calling process: it gets `{tag, answer}`, once. `context` describes it in
/// errors.
///
/// # Errors
/// `Overloaded` if too much is under way, or the thread could not be started.
pub(crate) fn look_up<T>(
    env: Env<'_>,
    tag: Term<'_>,
    context: Context,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<(), Error>
where
    T: Encoder + Send + 'static,
{
    match request_limit::lookup_permit() {
        Some(permit) => run(env, tag, context, permit, work),
        None => Err(Error::too_many_lookups(context)),
    }
}

/// Looks up `spec` for the calling process, which gets `{tag, answer}`, once, as from [`look_up`]: the quick way, if that
/// is possible.
///
/// # Errors
/// The same.
pub(crate) fn look_up_at_once(env: Env<'_>, tag: Term<'_>, context: Context, spec: Spec) -> Result<(), Error> {
    let Some(permit) = request_limit::lookup_permit() else {
        return Err(Error::too_many_lookups(context));
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return Err(Error::no_thread(context, &error)),
    };
    let waiting = Waiting {
        reply: Reply::new(env, tag, context),
        permit,
        runtime,
    };
    if let Err((spec, waiting)) = pool::ask(runtime, spec, Box::new(waiting)) {
        // On the runtime's thread, as when it is handed over later.
        runtime.spawn(async move { waiting.unfinished(spec.into()) });
    }
    Ok(())
}

/// A process that waits for a lookup.
struct Waiting {
    reply: Reply,
    permit: Permit,
    runtime: &'static Handle,
}

impl Requester for Waiting {
    fn answered(self: Box<Self>, lookup: Lookup) {
        self.reply.send(&Outcome(Ok(lookup)));
    }

    fn unfinished(self: Box<Self>, lookup: Unfinished) {
        let Self { reply, permit, runtime } = *self;
        answer(None, runtime, reply, permit, async {
            Outcome(resolver::lookup(lookup).await)
        });
    }
}

/// Runs a probe as [`look_up`] runs a lookup.
///
/// # Errors
/// The same.
pub(crate) fn probe<T>(
    env: Env<'_>,
    tag: Term<'_>,
    context: Context,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<(), Error>
where
    T: Encoder + Send + 'static,
{
    match request_limit::probe_permit() {
        Some(permit) => run(env, tag, context, permit, work),
        None => Err(Error::too_many_probes(context)),
    }
}

fn run<T>(
    env: Env<'_>,
    tag: Term<'_>,
    context: Context,
    permit: Permit,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<(), Error>
where
    T: Encoder + Send + 'static,
{
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return Err(Error::no_thread(context, &error)),
    };
    let reply = Reply::new(env, tag, context);
    answer(Some(env), runtime, reply, permit, work);
    Ok(())
}

/// Runs `work` and sends what comes of it. `env` is that of the calling process, if this is its thread.
fn answer<T>(
    env: Option<Env<'_>>,
    runtime: &Handle,
    reply: Reply,
    permit: Permit,
    work: impl Future<Output = T> + Send + 'static,
) where
    T: Encoder + Send + 'static,
{
    let caller = reply.to;
    spawn(env, caller, runtime, async move {
        // Moved in, so that it is dropped with the task, however that ends.
        let _permit = permit;
        let answer = work.await;
        reply.send(&answer);
    });
}

/// Runs `work` on the runtime for as long as the calling process lives; it may never end by itself.
///
/// # Errors
/// If the thread could not be started.
pub(crate) fn serve(env: Env<'_>, work: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    spawn(Some(env), env.pid(), runtime()?, work);
    Ok(())
}

fn spawn(env: Option<Env<'_>>, caller: LocalPid, runtime: &Handle, work: impl Future<Output = ()> + Send + 'static) {
    let request = ResourceArc::new(Request(AbortSlot::new()));
    let monitored = request.monitor(env, &caller).is_some();
    let held = request.clone();
    let task = runtime.spawn(async move {
        // Moved in, so that the monitor is dropped with the task.
        let _held = held;
        work.await;
    });
    let late = request.0.put(task.abort_handle()).is_some();
    if late || !monitored {
        task.abort();
    }
}

/// Sends to a process from the runtime's thread.
pub(crate) fn send(to: &LocalPid, message: &impl Encoder) {
    // An error means that the process is gone: nobody is left to be told.
    let _ = OwnedEnv::new().send_and_clear(to, |env| message.encode(env));
}

/// The answer that a process waits for. If dropped unsent, by a panic or an abort, it sends an error.
struct Reply {
    to: LocalPid,
    message: Option<(OwnedEnv, SavedTerm)>,
    context: Context,
}

impl Reply {
    fn new(env: Env<'_>, tag: Term<'_>, context: Context) -> Self {
        let message_env = OwnedEnv::new();
        let tag = message_env.save(tag);
        Self {
            to: env.pid(),
            message: Some((message_env, tag)),
            context,
        }
    }

    fn send(mut self, answer: &impl Encoder) {
        self.deliver(answer);
    }

    fn deliver(&mut self, answer: &impl Encoder) {
        if let Some((mut env, tag)) = self.message.take() {
            // An error means that the process is gone: nobody is left to be told.
            let _ = env.send_and_clear(&self.to, |env| (tag.load(env), answer).encode(env));
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // Sending from an `OwnedEnv` panics on the VM's own threads. Tasks are dropped on the runtime's, except if it
        // never ran.
        if self.message.is_some() && !is_scheduler_thread() {
            let context = self.context.clone();
            self.deliver(&super::encode::Failure::from(&Error::Panicked { context }));
        }
    }
}
