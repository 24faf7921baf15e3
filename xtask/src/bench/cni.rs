//! The plugin's scenarios: each peer does the same, in turn, in one run.

use super::peers::{Attachment, FLOOR, Kind, LLANO, NETWORK, Peer, container_id};
use super::process::{Prepared, run_many};
use super::report::{Budget, Figure, Limit, Scenario, Unit};
use super::samples::Samples;
use super::site::{Site, Storage};
use anyhow::{Context, Result, bail};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The name under which the kernel's own time stands.
const KERNEL: &str = "kernel";
/// Leases in the directory that is nearly full.
const MANY: u32 = 60_000;
/// Attachments made in one go, and how many of them at once.
const BURST: u32 = 200;
const AT_ONCE: usize = 16;

/// The peers, a place, and a count that never repeats.
pub(super) struct Bench {
    pub(super) site: Site,
    pub(super) peers: Vec<Peer>,
    pub(super) runs: usize,
    pub(super) floor: PathBuf,
    pub(super) number: u32,
}

/// What to measure: name, and how.
type Scenarios = &'static [(&'static str, fn(&mut Bench) -> Result<Vec<Scenario>>)];

/// In the order they run.
pub(super) const SCENARIOS: Scenarios = &[
    ("size", Bench::size),
    ("version", Bench::version),
    ("add", Bench::add),
    ("dual", Bench::dual),
    ("many", Bench::many),
    ("burst", Bench::burst),
    ("memory", Bench::memory),
];

impl Bench {
    fn next(&mut self) -> u32 {
        self.number += 1;
        self.number
    }

    fn peer(&self, name: &str) -> Result<&Peer> {
        self.peers.iter().find(|peer| peer.name == name).with_context(|| format!("there is no peer {name}"))
    }

    /// The better median of the reference plugins.
    fn reference(&self, scenario: &Scenario, better: fn(f64, f64) -> f64) -> f64 {
        self.peers
            .iter()
            .filter(|peer| peer.is_reference())
            .map(|peer| scenario.median(peer.name))
            .fold(f64::NAN, better)
    }

    /// A process that starts, finds out that it has nothing to do and says its versions.
    fn version(&mut self) -> Result<Vec<Scenario>> {
        let programs = self.peers.iter().map(Peer::version).collect::<Result<Vec<_>>>()?;
        let mut samples = vec![Samples::default(); programs.len()];
        for round in 0..self.runs {
            for turn in 0..programs.len() {
                let who = (round + turn) % programs.len();
                samples[who].push(programs[who].run()?.time);
            }
        }
        let figures = self.figures(samples);
        Ok(vec![Scenario { name: "version".into(), title: "VERSION".into(), figures, budgets: vec![] }])
    }

    fn figures(&self, samples: Vec<Samples>) -> Vec<Figure> {
        let figure =
            |(peer, samples): (&Peer, Samples)| Figure { who: peer.name.into(), unit: Unit::Micros, samples };
        self.peers.iter().zip(samples).map(figure).collect()
    }

    /// ADD and DEL of one attachment after the other, everyone in turn. The reference plugins do only every n-th round.
    fn add_and_del(
        &mut self,
        storage: Storage,
        dual: bool,
        reference_every: usize,
    ) -> Result<[Vec<Figure>; 2]> {
        let mut places = Vec::new();
        for peer in &self.peers {
            let stack = if dual { "dual" } else { "v4" };
            let pod = self.site.pod(&format!("{stack}-{}-{}", storage.name(), peer.name))?;
            places.push((pod, self.site.data_dir(storage, &format!("{stack}-{}", peer.name))?));
        }
        let mut adds = vec![Samples::default(); self.peers.len()];
        let mut dels = adds.clone();
        let mut kernel = Samples::default();
        for round in 0..self.runs {
            for turn in 0..self.peers.len() {
                let who = (round + turn) % self.peers.len();
                if self.peers[who].is_reference() && !round.is_multiple_of(reference_every) {
                    continue;
                }
                let number = self.next();
                let (pod, data_dir) = &places[who];
                let attachment = Attachment { number, pod, data_dir, dual };
                let peer = &self.peers[who];
                adds[who].push(peer.call("ADD", &attachment)?.run()?.time);
                let del = peer.call("DEL", &attachment)?.run()?;
                dels[who].push(del.time);
                if matches!(peer.kind, Kind::Floor(_)) {
                    kernel.push_micros(number_of(&del.stdout)?);
                }
            }
        }
        let adds = self.figures(adds);
        let mut dels = self.figures(dels);
        dels.push(Figure { who: KERNEL.into(), unit: Unit::Micros, samples: kernel });
        Ok([adds, dels])
    }

    fn add(&mut self) -> Result<Vec<Scenario>> {
        let mut scenarios = Vec::new();
        for storage in [Storage::Run, Storage::Disk] {
            let [adds, dels] = self.add_and_del(storage, false, 4)?;
            let place = storage.name();
            let mut add = Scenario {
                name: format!("add-{place}"),
                title: format!("ADD, IPv4, leases on {place}"),
                figures: adds,
                budgets: vec![],
            };
            let (ours, floor) = (add.median(LLANO), add.median(FLOOR));
            add.budgets = vec![
                Budget {
                    what: "times faster than the faster reference",
                    value: self.reference(&add, f64::min) / ours,
                    limit: Limit::AtLeast(10.0),
                },
                Budget { what: "times the floor", value: ours / floor, limit: Limit::AtMost(1.6) },
            ];
            scenarios.push(add);
            let mut del = Scenario {
                name: format!("del-{place}"),
                title: format!("DEL, IPv4, leases on {place}"),
                figures: dels,
                budgets: vec![],
            };
            let value = del.median(LLANO) / del.median(KERNEL);
            del.budgets =
                vec![Budget { what: "times the kernel's own time", value, limit: Limit::AtMost(1.15) }];
            scenarios.push(del);
        }
        Ok(scenarios)
    }

    fn dual(&mut self) -> Result<Vec<Scenario>> {
        // The reference waits for duplicate address detection: 1.6 s each time.
        let every = (self.runs / 5).max(1);
        let [figures, _] = self.add_and_del(Storage::Run, true, every)?;
        let mut add = Scenario {
            name: "add-dual".into(),
            title: "ADD, IPv4 and IPv6, leases on run".into(),
            figures,
            budgets: vec![],
        };
        let ours = add.median(LLANO);
        add.budgets = vec![
            Budget {
                what: "times faster than the faster reference",
                value: self.reference(&add, f64::min) / ours,
                limit: Limit::AtLeast(100.0),
            },
            Budget { what: "times the floor", value: ours / add.median(FLOOR), limit: Limit::AtMost(1.6) },
        ];
        Ok(vec![add])
    }

    /// A directory with 60,000 leases against one with none.
    fn many(&mut self) -> Result<Vec<Scenario>> {
        let mut scenarios = Vec::new();
        for storage in [Storage::Run, Storage::Disk] {
            let place = storage.name();
            let pod = self.site.pod(&format!("many-{place}"))?;
            let empty = self.site.data_dir(storage, "none")?;
            let full = self.site.data_dir(storage, "many")?;
            fill(&full.join(NETWORK))?;
            let mut figures = Vec::new();
            // The first ADD after a reboot, or after the reference has been at work, has to look for itself.
            figures.push(Figure {
                who: "llano, 60,000 leases, first".into(),
                unit: Unit::Micros,
                samples: self.adds(LLANO, &pod, &[&full], 1)?.remove(0),
            });
            let mut ours = self.adds(LLANO, &pod, &[&empty, &full], self.runs)?;
            let (with, without) = (ours.remove(1), ours.remove(0));
            let value = with.median() / without.median();
            figures.push(Figure { who: "llano, none".into(), unit: Unit::Micros, samples: without });
            figures.push(Figure { who: "llano, 60,000 leases".into(), unit: Unit::Micros, samples: with });
            if storage == Storage::Run {
                let references: Vec<&'static str> =
                    self.peers.iter().filter(|peer| peer.is_reference()).map(|peer| peer.name).collect();
                for name in references {
                    let samples = self.adds(name, &pod, &[&full], 5)?.remove(0);
                    figures.push(Figure {
                        who: format!("{name}, 60,000 leases"),
                        unit: Unit::Micros,
                        samples,
                    });
                }
            }
            scenarios.push(Scenario {
                name: format!("add-many-{place}"),
                title: format!("ADD with 60,000 leases on {place}"),
                figures,
                budgets: vec![Budget { what: "times an ADD with none", value, limit: Limit::AtMost(1.5) }],
            });
        }
        Ok(scenarios)
    }

    /// Times of one peer's ADDs for each directory in turn, each undone at once.
    fn adds(&mut self, name: &str, pod: &Path, dirs: &[&PathBuf], runs: usize) -> Result<Vec<Samples>> {
        let mut samples = vec![Samples::default(); dirs.len()];
        for _ in 0..runs {
            for (data_dir, samples) in dirs.iter().zip(&mut samples) {
                let number = self.next();
                let attachment = Attachment { number, pod, data_dir, dual: false };
                let peer = self.peer(name)?;
                samples.push(peer.call("ADD", &attachment)?.run()?.time);
                peer.call("DEL", &attachment)?.run()?;
            }
        }
        Ok(samples)
    }

    /// Many at once, as when a node comes back.
    fn burst(&mut self) -> Result<Vec<Scenario>> {
        let pods =
            (0..BURST).map(|pod| self.site.pod(&format!("burst-{pod}"))).collect::<Result<Vec<_>>>()?;
        let mut figures: Vec<Figure> = self
            .peers
            .iter()
            .map(|peer| Figure { who: peer.name.into(), unit: Unit::PerSecond, samples: Samples::default() })
            .collect();
        for round in 0..(self.runs / 40).clamp(1, 5) {
            for turn in 0..self.peers.len() {
                let who = (round + turn) % self.peers.len();
                let data_dir =
                    self.site.data_dir(Storage::Run, &format!("burst-{}", self.peers[who].name))?;
                let first = self.number;
                self.number += BURST;
                let peer = &self.peers[who];
                let calls = |verb| -> Result<Vec<Prepared>> {
                    (first..)
                        .zip(&pods)
                        .map(|(number, pod)| {
                            peer.call(verb, &Attachment { number, pod, data_dir: &data_dir, dual: false })
                        })
                        .collect()
                };
                let time = run_many(&calls("ADD")?, AT_ONCE)?;
                run_many(&calls("DEL")?, AT_ONCE)?;
                figures[who].samples.push_micros(f64::from(BURST) / time.as_secs_f64());
            }
        }
        let mut burst = Scenario {
            name: "burst".into(),
            title: "200 ADDs, 16 at once, leases on run".into(),
            figures,
            budgets: vec![],
        };
        let value = burst.median(LLANO) / self.reference(&burst, f64::max);
        burst.budgets =
            vec![Budget { what: "times as many as the faster reference", value, limit: Limit::AtLeast(8.0) }];
        Ok(vec![burst])
    }

    fn size(&mut self) -> Result<Vec<Scenario>> {
        let mut figures = Vec::new();
        for peer in &self.peers {
            let Kind::Plugins(dir) = &peer.kind else { continue };
            let mut bytes = 0;
            // What the scenarios here need: ours has both, and seven more, in one file.
            for plugin in if peer.name == LLANO { &["macvlan"][..] } else { &["macvlan", "host-local"] } {
                let file = dir.join(plugin);
                bytes += std::fs::metadata(&file)
                    .with_context(|| format!("cannot read {}", file.display()))?
                    .len();
            }
            let mut samples = Samples::default();
            samples.push_micros(f64::from(u32::try_from(bytes)?));
            figures.push(Figure { who: peer.name.into(), unit: Unit::Bytes, samples });
        }
        let mut size =
            Scenario { name: "size".into(), title: "size on disk".into(), figures, budgets: vec![] };
        let value = size.median(LLANO) / 1000.0;
        size.budgets = vec![Budget { what: "KB", value, limit: Limit::AtMost(700.0) }];
        Ok(vec![size])
    }

    /// The most memory each call had, seen from a small parent: a child starts with its parent's figure.
    fn memory(&mut self) -> Result<Vec<Scenario>> {
        let pod = self.site.pod("memory")?;
        let mut figures = Vec::new();
        for index in 0..self.peers.len() {
            if matches!(self.peers[index].kind, Kind::Floor(_)) {
                continue;
            }
            let name = self.peers[index].name;
            let full = self.site.data_dir(Storage::Run, &format!("memory-{name}"))?;
            fill(&full.join(NETWORK))?;
            let mut samples = Samples::default();
            for _ in 0..3 {
                let number = self.next();
                let attachment = Attachment { number, pod: &pod, data_dir: &full, dual: true };
                for verb in ["ADD", "DEL"] {
                    if let Some(call) = self.peers[index].memory(&self.floor, verb, &attachment)? {
                        samples.push_micros(number_of(&call.run()?.stdout)? * 1024.0);
                    }
                }
            }
            // The most of them, not the middle.
            let mut most = Samples::default();
            most.push_micros(samples.most());
            figures.push(Figure { who: name.into(), unit: Unit::Bytes, samples: most });
        }
        let mut memory = Scenario {
            name: "memory".into(),
            title: "most memory, ADD and DEL, 60,000 leases".into(),
            figures,
            budgets: vec![],
        };
        let value = memory.median(LLANO) / 1e6;
        memory.budgets = vec![Budget { what: "MB", value, limit: Limit::AtMost(3.0) }];
        Ok(vec![memory])
    }
}

/// Lease files as host-local writes them, for containers that are not here.
fn fill(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let mut last = String::new();
    for lease in 0..MANY {
        let [_, _, third, fourth] = (lease + 256).to_be_bytes();
        last = format!("10.64.{third}.{fourth}");
        let mut file =
            std::fs::File::create(dir.join(&last)).with_context(|| format!("cannot write {last}"))?;
        write!(file, "{}\r\neth0", container_id(u32::MAX - lease))?;
    }
    std::fs::write(dir.join("last_reserved_ip.0"), last).context("cannot write last_reserved_ip.0")
}

/// A number printed by the floor program.
fn number_of(stdout: &[u8]) -> Result<f64> {
    let text = String::from_utf8_lossy(stdout);
    match text.trim().parse() {
        Ok(number) => Ok(number),
        Err(_) => bail!("the floor program printed `{}`, expected a number", text.trim()),
    }
}
