//! What can happen next.

use std::net::IpAddr;

use stateright::{Model, Property};

use crate::shared::hash_of;
use crate::world::{Did, Life, Mutant, Phase, Record, Scenario, World};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The pod's owner.
    Start(usize),
    Finish(usize),
    Force(usize),
    /// The kubelet has ended the pod: it leaves the API.
    Vanish(usize),
    /// The kubelet makes a sandbox, and its ADD begins.
    Add(usize),
    /// The kubelet ends a sandbox: the interface is gone.
    Del(usize, usize),
    /// The agent: its next step in a call; `true`: without knowing that the pod ends.
    Plan(usize, usize, bool),
    Attach(usize, usize),
    Answer(usize, usize),
    Lose(usize, usize, bool),
    Read(usize, usize),
    Deliver(usize),
    DeliverAgain(usize),
    Orphan(usize),
    Kill(usize),
    Restart(usize),
    Cut(usize),
    Heal(usize),
    /// A request of somebody who does not wait for it any more.
    Arrive(usize),
    /// The controller.
    Look(IpAddr),
    Act,
    KillController,
}

impl Action {
    /// What happens when nothing goes wrong any more, and nobody starts or ends pods.
    pub(crate) fn is_quiet(&self) -> bool {
        use Action as A;
        match self {
            A::Start(_) | A::Finish(_) | A::Force(_) | A::Lose(..) | A::DeliverAgain(_) | A::Kill(_) => false,
            A::Cut(_) | A::Arrive(_) | A::KillController | A::Plan(_, _, true) => false,
            A::Vanish(_) | A::Add(_) | A::Del(..) | A::Plan(_, _, false) | A::Attach(..) => true,
            A::Answer(..) | A::Read(..) | A::Deliver(_) | A::Orphan(_) | A::Restart(_) => true,
            A::Heal(_) | A::Look(_) | A::Act => true,
        }
    }
}

impl World {
    pub(crate) fn all_actions(&self, scenario: &Scenario, actions: &mut Vec<Action>) {
        if self.wrong.is_some() {
            return;
        }
        for n in 0..self.late.len() {
            actions.push(Action::Arrive(n));
        }
        for node in 0..self.nodes.len() {
            self.node_actions(scenario, node, actions);
        }
        for pod in 0..self.pods.len() {
            self.pod_actions(scenario, pod, actions);
        }
        if self.pending.is_some() {
            actions.push(Action::Act);
            if self.left.controller > 0 {
                actions.push(Action::KillController);
            }
        } else {
            actions.extend(self.server.claims.keys().map(|address| Action::Look(*address)));
        }
    }

    fn pod_actions(&self, scenario: &Scenario, index: usize, actions: &mut Vec<Action>) {
        let pod = self.pods[index];
        let node = &self.nodes[pod.node];
        match pod.life {
            Life::Gone => {
                if usize::from(pod.lives) < scenario.pods[index].nodes.len() {
                    actions.push(Action::Start(index));
                }
                return;
            }
            Life::Running => {
                if scenario.pods[index].ends {
                    actions.push(Action::Finish(index));
                }
                if node.works() && !self.has_sandbox(index) {
                    actions.push(Action::Add(index));
                }
            }
            Life::Ending => {
                if !node.cut && !self.has_sandbox(index) {
                    actions.push(Action::Vanish(index));
                }
            }
        }
        if self.left.force > 0 {
            actions.push(Action::Force(index));
        }
    }

    fn has_sandbox(&self, pod: usize) -> bool {
        let lives = self.pods[pod].lives;
        self.nodes[self.pods[pod].node]
            .records
            .iter()
            .any(|record| (record.pod, record.lives) == (pod, lives) && !record.ends())
    }

    fn node_actions(&self, scenario: &Scenario, node: usize, actions: &mut Vec<Action>) {
        let state = &self.nodes[node];
        if state.works() {
            if !state.queue.is_empty() {
                actions.push(Action::Deliver(node));
            }
            if state.last.is_some() && self.left.twice > 0 {
                actions.push(Action::DeliverAgain(node));
            }
            let is_orphan = |claim| state.is_orphan(scenario, claim);
            if state.taken.own().any(is_orphan) && !scenario.is(Mutant::LeavesOrphans) {
                actions.push(Action::Orphan(node));
            }
        }
        for (index, record) in state.records.iter().enumerate() {
            self.record_actions(scenario, node, index, record, actions);
        }
        // To be dead or cut off matters to a node that has something; to others it is a watch that lags.
        let busy = !state.records.is_empty();
        let fails = scenario.fails.contains(&node);
        if state.alive && busy && fails && self.left.crash > 0 {
            actions.push(Action::Kill(node));
        }
        if !state.alive && !state.cut {
            actions.push(Action::Restart(node));
        }
        if state.cut {
            actions.push(Action::Heal(node));
        } else if busy && fails && self.left.cut > 0 {
            actions.push(Action::Cut(node));
        }
    }

    fn record_actions(
        &self,
        scenario: &Scenario,
        node: usize,
        index: usize,
        record: &Record,
        actions: &mut Vec<Action>,
    ) {
        let state = &self.nodes[node];
        let running = self.runs(record);
        if !record.ends() && !state.cut && (!running || self.left.sandbox > 0) {
            actions.push(Action::Del(node, index));
        }
        if !state.alive {
            return;
        }
        if matches!(record.phase, Phase::Claimed(..)) {
            actions.push(Action::Attach(node, index));
        }
        match &record.sent {
            Some(sent) if sent.unsure && state.cut => {}
            Some(sent) if sent.unsure => actions.push(Action::Read(node, index)),
            Some(_) => {
                if !state.cut {
                    actions.push(Action::Answer(node, index));
                }
                if self.left.lost > 0 && scenario.fails.contains(&node) {
                    actions.extend([Action::Lose(node, index, true), Action::Lose(node, index, false)]);
                }
            }
            None if state.cut => {}
            None if record.ends() => {
                actions.push(Action::Plan(node, index, false));
                if self.left.blind > 0 && !running && scenario.pods[record.pod].kept_for.is_some() {
                    actions.push(Action::Plan(node, index, true));
                }
            }
            None if record.phase == Phase::Adding => actions.push(Action::Plan(node, index, false)),
            None => {}
        }
    }

    pub(crate) fn after(&self, scenario: &Scenario, action: &Action) -> Option<World> {
        let mut next = self.clone();
        next.happen(scenario, action)?;
        if crate::controller::overlaps(&next).next().is_some() {
            scenario.did(Did::Overlap);
        }
        Some(next)
    }

    fn happen(&mut self, scenario: &Scenario, action: &Action) -> Option<()> {
        match *action {
            Action::Start(pod) => {
                let lives = self.pods[pod].lives;
                self.pods[pod].node = scenario.pods[pod].nodes[usize::from(lives)];
                self.pods[pod].lives = lives + 1;
                self.pods[pod].life = Life::Running;
            }
            Action::Finish(pod) => self.pods[pod].life = Life::Ending,
            Action::Force(pod) => {
                self.left.force -= 1;
                self.pods[pod].life = Life::Gone;
            }
            Action::Vanish(pod) => self.pods[pod].life = Life::Gone,
            Action::Add(pod) => {
                let state = &mut self.pods[pod];
                state.sandboxes += 1;
                let container = format!("{}-c{}", scenario.pods[pod].name, state.sandboxes);
                let (lives, phase) = (state.lives, Phase::Adding);
                let record = Record { pod, lives, container, phase, sent: None, away: false };
                self.nodes[state.node].change(|node| node.records.push(record));
            }
            Action::Del(node, index) => {
                if self.runs(&self.nodes[node].records[index]) {
                    self.left.sandbox -= 1;
                }
                self.nodes[node].change(|node| node.records[index].phase = Phase::Ending);
            }
            Action::Plan(node, index, blind) => self.plan(scenario, node, index, blind)?,
            Action::Attach(node, index) => self.attach(scenario, node, index)?,
            Action::Answer(node, index) => self.answer(scenario, node, index)?,
            Action::Lose(node, index, arrived) => self.lose(scenario, node, index, arrived)?,
            Action::Read(node, index) => self.read(scenario, node, index)?,
            Action::Deliver(node) => self.deliver(scenario, node, false)?,
            Action::DeliverAgain(node) => self.deliver(scenario, node, true)?,
            Action::Orphan(node) => self.adopt_orphan(scenario, node)?,
            Action::Kill(node) => self.kill(node)?,
            Action::Restart(node) => self.restart(scenario, node)?,
            Action::Cut(node) => self.cut(node)?,
            Action::Heal(node) => self.nodes[node].change(|node| node.cut = false),
            Action::Arrive(n) => {
                scenario.did(Did::Late);
                let late = self.late.remove(n);
                let _unheard = self.write(scenario, &late.0, &late.1);
            }
            Action::Look(address) => self.look(scenario, address)?,
            Action::Act => self.act(scenario)?,
            Action::KillController => self.kill_controller()?,
        }
        Some(())
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        hash_of(self)
    }
}

impl Model for Scenario {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![self.start()]
    }

    fn actions(&self, state: &World, actions: &mut Vec<Action>) {
        state.all_actions(self, actions);
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        last.after(self, &action)
    }

    fn properties(&self) -> Vec<Property<Scenario>> {
        crate::properties::all()
    }
}
