//! TCP streams that are open while the network changes.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::Host;

/// A connection on which the client asks and the server answers, one question at a time.
#[derive(Debug)]
pub struct Stream {
    /// The server's address.
    pub what: String,
    stop: Arc<AtomicBool>,
    client: JoinHandle<Result<Duration, String>>,
}

impl Stream {
    /// Opens it, and begins to ask.
    ///
    /// # Panics
    /// When there is no connection.
    pub fn open(server: &Host, client: &Host, at: IpAddr) -> Self {
        let listener = server.run_in(|| TcpListener::bind(SocketAddr::new(at, 0)).unwrap()).unwrap();
        let to = listener.local_addr().unwrap();
        let socket =
            client.run_in(|| TcpStream::connect_timeout(&to, Duration::from_secs(5)).unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        for socket in [&socket, &peer] {
            socket.set_nodelay(true).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
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

    /// Ends it; the longest that an answer took.
    ///
    /// # Panics
    /// When it was reset.
    pub fn worst(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        self.client.join().unwrap().unwrap_or_else(|error| panic!("{}: {error}", self.what))
    }
}

fn ask(mut socket: TcpStream, stop: &AtomicBool) -> Result<Duration, String> {
    let mut worst = Duration::ZERO;
    let mut buffer = [0; 8];
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        socket.write_all(&[7; 8]).map_err(|error| error.to_string())?;
        socket.read_exact(&mut buffer).map_err(|error| error.to_string())?;
        worst = worst.max(begun.elapsed());
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(worst)
}
