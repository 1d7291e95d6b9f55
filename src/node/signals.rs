//! SIGTERM and SIGINT: the first asks to stop in order, the second ends the process.

use crossbeam::channel::{Receiver, bounded};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

/// Exit code after a second signal: as a shell tells of SIGINT.
const IMPATIENT: i32 = 130;

/// Listens from now on; the channel tells of the first signal.
///
/// # Errors
/// The system refuses to hand signals over.
pub fn listen(runtime: &Runtime) -> std::io::Result<Receiver<()>> {
    let (stop, stopped) = bounded(1);
    let _context = runtime.enter();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    runtime.spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        // Nobody may listen any more: the process is ending then.
        let _ = stop.send(());
        either(&mut terminate, &mut interrupt).await;
        warn!("second signal: ending at once; nothing committed is lost, the next owner recovers from the log");
        std::process::exit(IMPATIENT);
    });
    Ok(stopped)
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
