//! The pages for probes and for Prometheus on an address, on the driver's thread: a scrape needs no thread of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::{Driver, Error, Result};

/// A page for a `GET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// 200 or 503.
    pub status: u16,
    /// `text/plain`, `application/json`.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Page {
    /// A page of plain text.
    pub fn text(status: u16, body: impl Into<String>) -> Page {
        Page { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }
}

/// The page of a path, such as `/healthz`, `/readyz` and `/metrics`.
type Pages = dyn Fn(&str) -> Option<Page> + Send + Sync;

/// Most connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 8;
/// Most bytes of a request: it has no body.
const REQUEST: usize = 8 << 10;
/// A request has to be whole after this, and its answer taken.
const LIMIT: Duration = Duration::from_secs(5);

/// Serves `GET` of the pages on the address, and says which one it is: port 0 means any.
///
/// # Errors
/// The address cannot be listened on.
pub fn serve(
    driver: &Driver,
    address: SocketAddr,
    pages: impl Fn(&str) -> Option<Page> + Send + Sync + 'static,
) -> Result<SocketAddr> {
    let failed = |reason: String| Error { address, reason };
    let bound = driver.wait(Instant::now() + LIMIT, async move {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok::<_, std::io::Error>((listener, address))
    });
    let (listener, bound) = match bound {
        Some(bound) => bound.map_err(|error| failed(error.to_string()))?,
        None => return Err(failed("no answer".to_owned())),
    };
    driver.spawn(accept(listener, Arc::new(pages)));
    Ok(bound)
}

async fn accept(listener: TcpListener, pages: Arc<Pages>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let pages = Arc::clone(&pages);
        tokio::spawn(async move {
            let _ = timeout(LIMIT, one(stream, pages)).await;
            drop(slot);
        });
    }
}

async fn one(mut stream: TcpStream, pages: Arc<Pages>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > REQUEST || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let page = match path(&head) {
        Some(path) => {
            pages(path).unwrap_or_else(|| Page::text(404, "known are /healthz, /readyz and /metrics\n"))
        }
        None => Page::text(405, "only GET\n"),
    };
    let reason = match page.status {
        200 => "OK",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "Service Unavailable",
    };
    let text = format!(
        "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
        page.status,
        page.content_type,
        page.body.len(),
        page.body
    );
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}

/// The path of a `GET`, without its query.
fn path(head: &[u8]) -> Option<&str> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let target = std::str::from_utf8(line).ok()?.strip_prefix("GET ")?;
    let target = target.split(' ').next()?;
    target.split('?').next()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn one(path: &str) -> Option<Page> {
        (path == "/healthz").then(|| Page::text(200, "ok\n"))
    }

    #[test]
    fn a_probe_gets_its_page_and_everything_else_an_answer() {
        let driver = Driver::start().unwrap();
        let address = serve(&driver, "127.0.0.1:0".parse().unwrap(), one).unwrap();
        let ask = |request: &[u8]| {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.write_all(request).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        let good = ask(b"GET /healthz?verbose=1 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(good.starts_with("HTTP/1.1 200 OK\r\n") && good.ends_with("\r\n\r\nok\n"), "{good}");
        assert!(ask(b"GET /dump HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
        assert!(ask(b"POST /healthz HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
        assert!(ask(b"\xff\xfe\r\n\r\n").starts_with("HTTP/1.1 405 "));
        assert!(ask(b"GET\r\n\r\n").starts_with("HTTP/1.1 405 "));
    }

    #[test]
    fn an_address_that_is_taken_is_told() {
        let driver = Driver::start().unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = serve(&driver, address, one).unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
