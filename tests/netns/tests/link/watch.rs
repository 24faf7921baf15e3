//! What `watch` and `tree --watch` print.

use super::*;

/// A program that prints line by line, ended with the test.
struct Printer {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Printer {
    fn start(host: &Host, words: &str) -> Self {
        let mut command = host.command(bin_dir().join("llano")).unwrap();
        let command = command.args(words.split(' ')).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (tell, lines) = std::sync::mpsc::channel();
        let told = [
            Box::new(child.stdout.take().unwrap()) as Box<dyn std::io::Read + Send>,
            Box::new(child.stderr.take().unwrap()),
        ];
        for stream in told {
            let tell = tell.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = tell.send(line);
                }
            });
        }
        Printer { child, lines }
    }

    /// The next line that has this in it.
    fn wait_for(&self, part: &str) -> String {
        let end = Instant::now() + Duration::from_secs(60);
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if line.contains(part) {
                return line;
            }
            seen.push(line);
        }
        panic!("no line has {part:?}: {seen:#?}");
    }
}

impl Drop for Printer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn watch_tells_what_happens() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let text = Printer::start(host, "link watch");
    let lines = Printer::start(host, "link watch mv0 --output json");
    text.wait_for("watching 3 links here");
    lines.wait_for("watching");
    ok(host, "link add mv0 --parent eth0 --mac 02:00:00:00:09:60");
    text.wait_for(" mv0: added");
    ok(host, "link set mv0 --mtu 1400 --mode private --mac 02:00:00:00:09:61");
    text.wait_for("mtu 1500 → 1400");
    ok(host, "link set mv0 --address 10.9.0.60/24 --up");
    text.wait_for("mv0: address 10.9.0.60/24 added");
    ok(host, "link set eth1 --alias hello");
    text.wait_for("eth1: alias none → hello");
    ok(host, "link set mv0 --rename mv1 --down");
    text.wait_for("name mv0 → mv1");
    ok(host, "link del mv1");
    text.wait_for("mv1: deleted");
    let event = |part: &str| serde_json::from_str::<Value>(&lines.wait_for(part)).unwrap();
    let added = event("\"added\"");
    assert!(added["name"] == "mv0" && added["time"].as_u64().unwrap() > 1_600_000_000_000, "{added}");
    let changed = event("\"mtu\"");
    assert!(changed["event"] == "changed", "{changed}");
    assert_eq!(event("addressAdded")["address"], "10.9.0.60/24");
    assert_eq!(event("\"mv1\"")["changes"][0]["from"], "mv0", "a link is followed to its new name");
}

#[test]
fn the_watched_tree_is_drawn_again() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let tree = Printer::start(host, "link tree --watch");
    tree.wait_for("eth0");
    ok(host, "link add mv0 --parent eth0");
    tree.wait_for("└─ mv0");
    // One that goes may come again.
    let of_one = Printer::start(host, "link tree mv0 --watch");
    of_one.wait_for("mv0");
    ok(host, "link set mv0 --rename mv9");
    of_one.wait_for("there is no link \"mv0\"");
    ok(host, "link set mv9 --rename mv0");
    of_one.wait_for("mv0  ");
    // A namespace that was not there when it began.
    let late = host.container("late").unwrap();
    ok(host, "link add late1 --parent eth0 --netns late");
    // A picture that was begun before the namespace had its name shows the process that makes it; another follows.
    while !tree.wait_for("late1").contains("netns late") {}
    ok(host, "link set late1 --netns late --mode private");
    tree.wait_for("macvlan private");
    late.delete().unwrap();
    ok(host, "link del mv0");
    let end = Instant::now() + Duration::from_secs(60);
    let mut drawn = Vec::new();
    // The last picture has neither.
    loop {
        assert!(Instant::now() < end, "{drawn:#?}");
        match tree.lines.recv_timeout(Duration::from_secs(60)) {
            Ok(line) if line.starts_with("LINK") => drawn.clear(),
            Ok(line)
                if line.starts_with("eth1")
                    && !drawn.iter().any(|l: &String| l.contains("mv0") || l.contains("late1")) =>
            {
                return;
            }
            Ok(line) => drawn.push(line),
            Err(_) => panic!("{drawn:#?}"),
        }
    }
}
