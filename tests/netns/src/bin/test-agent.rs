//! An agent whose cluster is a directory: `test-agent DIR serve|call|reconcile|ask|follow POD`.
//!
//! `serve` says `ready` once everything that was left behind is done, and ends when its standard input does. `call` serves the one call on
//! its standard input in the same thread, so that it can be killed at each of its system calls.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::server::{Hooks, Observed, Page, Server};
use agent::{Cluster, Config, Engine, Found, Limits, PodKey, Runtime, Setup, Store};
use anyhow::{Context, Result, bail};
use netns_tests::files::Files;

struct Silent;

impl Hooks for Silent {
    fn page(&self, _: &str) -> Option<Page> {
        None
    }

    fn observed(&self, _: &Observed<'_>) {}
}

fn engine(dir: &Path) -> Result<Arc<Engine>> {
    let files = Arc::new(Files::new(dir));
    let (cluster, runtime): (Arc<dyn Cluster>, Arc<dyn Runtime>) = (Arc::clone(&files) as _, files);
    // A test says when a sandbox is gone, and does not wait.
    let limits = Limits {
        missing: Duration::ZERO,
        retry: Duration::from_millis(20),
        slowest: Duration::from_millis(100),
        ..Limits::default()
    };
    let config = match std::fs::read(dir.join("config")) {
        Ok(text) => Config::parse(&cni::json::Object::root(&cni::json::parse(&text)?)?)?,
        Err(_) => Config::default(),
    };
    let setup = Setup {
        config,
        spool: dir.join("spool"),
        settings: dir.join("settings.json"),
        paths: attach::paths::Paths::from_env(),
        limits,
    };
    Ok(Engine::new(Store::open(&dir.join("store"))?, cluster, runtime, setup))
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, dir, verb, rest @ ..] = args.as_slice() else {
        bail!("test-agent DIR serve|call|reconcile|follow")
    };
    let dir = Path::new(dir);
    match verb.as_str() {
        "serve" => serve(dir),
        "call" => {
            let engine = engine(dir)?;
            // Everything before this read is the start, everything after it is the call.
            let mut body = Vec::new();
            std::io::stdin().read_to_end(&mut body)?;
            let request = cni::forward::parse_call(&body)?;
            let reply = engine.call(&request);
            let text = match &reply.answer {
                Ok(Some(result)) => result.to_json(request.version)?.to_compact(),
                Ok(None) => "{}".to_owned(),
                Err(error) => error.to_json().to_compact(),
            };
            let failed = reply.answer.is_err();
            writeln!(std::io::stdout(), "{text}")?;
            engine.sent(reply);
            std::process::exit(failed.into());
        }
        "reconcile" => {
            engine(dir)?.reconcile();
            Ok(())
        }
        "follow" => {
            let name = rest.first().context("follow whom?")?;
            let key = PodKey { namespace: "shop".to_owned(), name: name.clone(), uid: format!("uid-{name}") };
            match Files::new(dir).pod(&key, Instant::now())? {
                Found::Pod(view) => engine(dir)?.annotation_changed(&view),
                Found::Gone => bail!("no pod {name}"),
            }
            Ok(())
        }
        "ask" => {
            let mut stream = UnixStream::connect(dir.join("agent.sock"))?;
            let mut answer = String::new();
            // Whoever is not served finds the connection closed, at once or while it writes.
            let _ = stream.write_all(b"GET /dump HTTP/1.1\r\n\r\n");
            let _ = stream.read_to_string(&mut answer);
            write!(std::io::stdout(), "{answer}")?;
            Ok(())
        }
        other => bail!("{other}: expected serve, call, reconcile, follow or ask"),
    }
}

fn serve(dir: &Path) -> Result<()> {
    let engine = engine(dir)?;
    let server = Server::open(&dir.join("agent.sock"))?;
    let stop = server.stopper();
    engine.reconcile();
    let worker = Arc::clone(&engine);
    std::thread::spawn(move || worker.repeat_deletions());
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        stop.stop();
    });
    writeln!(std::io::stdout(), "ready")?;
    let hooks: Arc<dyn Hooks> = Arc::new(Silent);
    let done = server.run(&engine, &hooks, Duration::from_secs(60))?;
    engine.stop();
    if done { Ok(()) } else { bail!("a call was not done") }
}
