//! Stopping on Ctrl-C and on SIGTERM.

use std::io;

use tokio::sync::watch;

/// Tells everybody who has a clone that the program is to end.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Begins to listen for signals; from here on they do not kill the process by themselves.
    pub(crate) fn on_signals() -> io::Result<Self> {
        let (sender, receiver) = watch::channel(false);
        let signal = signals()?;
        // Lives as long as the program does.
        tokio::spawn(async move {
            signal.await;
            sender.send_replace(true);
        });
        Ok(Self(receiver))
    }

    pub(crate) fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when a stop is requested, at once if it was before.
    pub(crate) async fn requested(&mut self) {
        // The sender goes only when it has sent, or with the runtime.
        let _ = self.0.wait_for(|requested| *requested).await;
    }
}

#[cfg(unix)]
fn signals() -> io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn signals() -> io::Result<impl Future<Output = ()> + Send> {
    Ok(async {
        // Without a handler for it, Ctrl-C ends the process by itself.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}
