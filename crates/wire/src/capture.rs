//! Collecting frames in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kernel::{BpfInsn, Errno, Error, NetNs, Netlink, PacketSocket, Result};

/// Every protocol (`ETH_P_ALL`).
const ALL: u16 = 0x0003;
/// How soon a capture notices that it shall stop.
const GRAIN: Duration = Duration::from_millis(20);
/// Larger than any frame on a lab's wire.
const LONGEST: usize = 65_600;

/// One frame, from the destination MAC on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// When it was read, counted from the capture's begin.
    pub at: Duration,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A running capture. Dropping it ends it.
#[derive(Debug)]
pub struct Capture {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Vec<Frame>>>>,
}

/// Captures the frames that pass `ifname` in `net`, in both directions, from before this call returns.
///
/// The best place is a switch's port: it sees all that a host sends and is sent.
///
/// # Errors
/// When there is no such interface or no socket.
pub fn capture(net: &NetNs, ifname: &str) -> Result<Capture> {
    capture_only(net, ifname, &[])
}

/// As [`capture`], only the frames that a filter accepts.
///
/// # Errors
/// As [`capture`].
pub fn capture_only(net: &NetNs, ifname: &str, filter: &[BpfInsn]) -> Result<Capture> {
    let link = Netlink::open_in(net)?.link_by_name(ifname)?;
    let index = link.map(|link| link.index).ok_or_else(|| failed(ifname, Errno::NODEV))?;
    let socket = net.run(|| {
        let socket = PacketSocket::open(index, ALL, filter)?;
        socket.allmulti()?;
        socket.set_receive_buffer(8 << 20)?;
        Ok(socket)
    })??;
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    let thread = std::thread::spawn(move || collect(&socket, &seen));
    Ok(Capture { stop, thread: Some(thread) })
}

fn failed(object: &str, errno: Errno) -> Error {
    Error::Refused { op: "capture on", object: object.to_owned(), errno, text: None }
}

fn collect(socket: &PacketSocket, stop: &AtomicBool) -> Result<Vec<Frame>> {
    let begin = Instant::now();
    let mut frames = Vec::new();
    let mut buffer = vec![0; LONGEST];
    loop {
        // What is queued when the stop comes still belongs to the capture.
        let last = stop.load(Ordering::Acquire);
        match socket.recv_timeout(&mut buffer, if last { Duration::ZERO } else { GRAIN })? {
            Some(length) => {
                let bytes = buffer.get(..length).unwrap_or(&buffer).to_vec();
                frames.push(Frame { at: begin.elapsed(), bytes });
            }
            None if last => return Ok(frames),
            None => {}
        }
    }
}

impl Capture {
    /// Ends the capture and gives what it saw, in order.
    ///
    /// # Errors
    /// When receiving failed.
    pub fn stop(mut self) -> Result<Vec<Frame>> {
        self.stop.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else { return Ok(vec![]) };
        thread.join().unwrap_or_else(|_| Err(failed("an interface", Errno::IO)))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl Frame {
    /// The sender's MAC, if the frame is long enough.
    pub fn source(&self) -> Option<kernel::MacAddr> {
        Some(kernel::MacAddr(self.bytes.get(6..12)?.try_into().ok()?))
    }

    /// The receiver's MAC, if the frame is long enough.
    pub fn destination(&self) -> Option<kernel::MacAddr> {
        Some(kernel::MacAddr(self.bytes.get(..6)?.try_into().ok()?))
    }

    /// The EtherType, if the frame is long enough.
    pub fn ethertype(&self) -> Option<u16> {
        Some(u16::from_be_bytes(self.bytes.get(12..14)?.try_into().ok()?))
    }

    /// The ARP packet in it, if it is one.
    pub fn arp(&self) -> Option<kernel::arp::ArpPacket> {
        kernel::arp::parse(&self.bytes).ok()
    }

    /// The neighbour discovery packet in it, if it is one.
    pub fn ndp(&self) -> Option<kernel::ndp::NdpPacket> {
        kernel::ndp::parse(&self.bytes).ok()
    }
}
