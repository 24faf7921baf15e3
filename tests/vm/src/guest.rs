//! A machine that is led by shell scripts from the host.

use anyhow::{Result, ensure};
use lab::vm::{PowerCut, Vm, VmSpec};

/// A running machine that takes jobs.
#[derive(Debug)]
pub struct Guest(Vm);

impl Guest {
    /// One that was had otherwise.
    #[must_use]
    pub fn new(vm: Vm) -> Self {
        Self(vm)
    }

    /// Powers it on.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn boot(spec: &VmSpec) -> Result<Self> {
        Ok(Self(Vm::boot(spec)?))
    }

    /// Runs a script, which must succeed; what it printed.
    ///
    /// # Errors
    /// When it does not.
    pub fn ok(&mut self, script: &str) -> Result<String> {
        let answer = self.0.run(script)?;
        ensure!(answer.status == 0, "`{script}` ended with {}:\n{}", answer.status, answer.text());
        Ok(answer.text())
    }

    /// Runs a script, which must fail; what it printed.
    ///
    /// # Errors
    /// When it succeeds.
    pub fn fails(&mut self, script: &str) -> Result<String> {
        let answer = self.0.run(script)?;
        ensure!(answer.status != 0, "`{script}` was to fail:\n{}", answer.text());
        Ok(answer.text())
    }

    /// Until a shell command succeeds, for a minute at most.
    ///
    /// # Errors
    /// When it never does.
    pub fn wait_for(&mut self, command: &str) -> Result<()> {
        let answer = self.0.run(&format!(
            "n=0; until {command}; do n=$((n+1)); [ $n -lt 300 ] || exit 1; sleep 0.2; done"
        ))?;
        ensure!(answer.status == 0, "`{command}` never came true:\n{}", answer.text());
        Ok(())
    }

    /// Writes a file of the guest.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, path: &str, content: &str) -> Result<()> {
        self.ok(&format!("cat > {path} <<'END-OF-FILE'\n{content}\nEND-OF-FILE")).map(drop)
    }

    /// Plugs the cable of a card in at both of its ends, or pulls it.
    ///
    /// # Errors
    /// When the machine is gone.
    pub fn plug(&mut self, cards: [usize; 2], plugged: bool) -> Result<()> {
        Ok(cards.into_iter().try_for_each(|card| self.0.plug(card, plugged))?)
    }

    /// Starts a script and does not wait for it.
    ///
    /// # Errors
    /// When the machine is gone.
    pub fn start(&mut self, script: &str) -> Result<()> {
        Ok(self.0.start(script)?)
    }

    /// The next line of what was started, or nothing when it has ended.
    ///
    /// # Errors
    /// When the machine is gone, or the time is over.
    pub fn line(&mut self) -> Result<Option<String>> {
        Ok(self.0.line()?)
    }

    /// Cuts the power.
    ///
    /// # Errors
    /// When a disk's losses cannot be written.
    pub fn power_cut(self) -> Result<PowerCut> {
        Ok(self.0.power_cut()?)
    }
}
