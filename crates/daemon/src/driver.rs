//! The one thread on which everything runs that is asynchronous: the clients of Kubernetes, the runtime and kubelet. The
//! engine's threads hand it work and wait.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The thread. It ends with this value, and its tasks with it.
#[derive(Debug)]
pub struct Driver {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    /// Starts it.
    ///
    /// # Errors
    /// The system gives no thread or no epoll.
    pub fn start() -> io::Result<Driver> {
        // Names are looked up on a thread of its own, only where the API server has one instead of an address.
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(2)
            .thread_stack_size(256 << 10)
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread =
            std::thread::Builder::new().name("clients".to_owned()).stack_size(1 << 20).spawn(move || {
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })?;
        Ok(Driver { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Starts a task that nobody waits for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(task);
    }

    /// Runs a task there and waits for what it gives; none when that is not there by `until`, or when the thread is ending.
    pub fn wait<T: Send + 'static>(
        &self,
        until: Instant,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (give, take) = sync_channel(1);
        let running = self.handle.spawn(async move {
            let _ = give.send(task.await);
        });
        match take.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(value) => Some(value),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                running.abort();
                None
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
