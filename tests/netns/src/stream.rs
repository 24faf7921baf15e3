//! TCP streams that are open while the network changes.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::Host;

/// After so long without an answer a connection is lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection on which the client asks and the server answers, one question at a time.
#[derive(Debug)]
pub struct Stream {
    /// The server's address.
    pub what: String,
    stop: Arc<AtomicBool>,
    client: JoinHandle<Result<Vec<Wait>, String>>,
}

/// One answer that was waited for.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// When it was asked for.
    pub begun: Instant,
    /// How long it took.
    pub took: Duration,
}

impl Wait {
    /// How long both waited.
    fn overlap(self, other: Self) -> Duration {
        let end = (self.begun + self.took).min(other.begun + other.took);
        end.saturating_duration_since(self.begun.max(other.begun))
    }

    /// The longest of these waits, less the time in which a stream that nothing was done to waited too: then the machine
    /// was busy with something else.
    pub fn worst_beside(waits: &[Self], quiet: &[Self]) -> Duration {
        let own = |wait: &Self| {
            let common = quiet.iter().map(|other| wait.overlap(*other)).sum();
            wait.took.saturating_sub(common)
        };
        waits.iter().map(own).max().unwrap_or_default()
    }
}

impl Stream {
    /// Opens it, and begins to ask.
    ///
    /// # Panics
    /// When there is no connection.
    pub fn open(server: &Host, client: &Host, at: IpAddr) -> Self {
        let listener = server.run_in(|| TcpListener::bind(SocketAddr::new(at, 0)).unwrap()).unwrap();
        let to = listener.local_addr().unwrap();
        let socket = client.run_in(|| TcpStream::connect_timeout(&to, PATIENCE).unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        for socket in [&socket, &peer] {
            socket.set_nodelay(true).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        std::thread::spawn(move || {
            let mut buffer = [0; 8];
            while peer.read_exact(&mut buffer).is_ok() && peer.write_all(&buffer).is_ok() {}
        });
        let stop = Arc::new(AtomicBool::new(false));
        let client = std::thread::spawn({
            let stop = stop.clone();
            move || ask(socket, &stop)
        });
        Self { what: to.to_string(), stop, client }
    }

    /// Ends it; every answer that was waited for.
    ///
    /// # Panics
    /// When it was reset.
    pub fn waits(self) -> Vec<Wait> {
        self.stop.store(true, Ordering::Relaxed);
        self.client.join().unwrap().unwrap_or_else(|error| panic!("{}: {error}", self.what))
    }

    /// Ends it; the longest that an answer took.
    ///
    /// # Panics
    /// When it was reset.
    pub fn worst(self) -> Duration {
        self.waits().iter().map(|wait| wait.took).max().unwrap_or_default()
    }
}

fn ask(mut socket: TcpStream, stop: &AtomicBool) -> Result<Vec<Wait>, String> {
    let mut waits = Vec::new();
    let mut buffer = [0; 8];
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        socket.write_all(&[7; 8]).map_err(|error| error.to_string())?;
        socket.read_exact(&mut buffer).map_err(|error| error.to_string())?;
        waits.push(Wait { begun, took: begun.elapsed() });
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(waits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_held_up_does_not_count() {
        let start = Instant::now();
        let wait = |begun: u64, took: u64| Wait {
            begun: start + Duration::from_millis(begun),
            took: Duration::from_millis(took),
        };
        let waits = [wait(0, 5), wait(10, 400), wait(500, 90)];
        let quiet = [wait(0, 2), wait(100, 200), wait(350, 100), wait(600, 300)];
        // 400 less 200 and 60; the last has no part in any.
        assert_eq!(Wait::worst_beside(&waits, &quiet), Duration::from_millis(140));
        assert_eq!(Wait::worst_beside(&waits, &[]), Duration::from_millis(400));
    }
}
