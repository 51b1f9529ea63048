//! The signals that ask a command to stop, and the exit codes that tell them apart. Called by
//! [`crate::interrupt`]; errors carry the signal.

/// A signal that asks to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt = 2,
    /// SIGTERM: another program, such as a job scheduler, asks to stop.
    Terminate = 15,
    /// SIGHUP: the terminal was closed.
    HangUp = 1,
}

impl Signal {
    /// The exit code of a command that this signal stopped: 128 and its number, as shells count.
    pub fn exit_code(self) -> u8 {
        128 + self as u8
    }

    /// The signal with this number.
    pub(crate) fn of_number(number: u8) -> Option<Self> {
        [Self::Interrupt, Self::Terminate, Self::HangUp]
            .into_iter()
            .find(|signal| *signal as u8 == number)
    }
}

/// Calls `on_signal` on a thread of its own for each signal from now on.
///
/// # Errors
/// Fails if the system refuses.
#[cfg(unix)]
pub(crate) fn listen(mut on_signal: impl FnMut(Signal) + Send + 'static) -> std::io::Result<()> {
    let mut wanted = vec![Signal::Interrupt, Signal::Terminate];
    // `nohup` ignores this signal, so that a run outlives its terminal.
    if !is_ignored(Signal::HangUp) {
        wanted.push(Signal::HangUp);
    }
    let numbers = wanted.into_iter().map(|signal| signal as i32);
    let mut signals = signal_hook::iterator::Signals::new(numbers)?;
    let thread = std::thread::Builder::new().name("signals".into());
    let started = thread.spawn(move || {
        let numbers = signals.forever();
        let known = numbers.filter_map(|number| Signal::of_number(u8::try_from(number).ok()?));
        known.for_each(&mut on_signal);
    });
    started.map(drop)
}

/// Calls `on_signal` for each Ctrl-C, the only signal here.
///
/// # Errors
/// Fails if the system refuses.
#[cfg(not(unix))]
pub(crate) fn listen(mut on_signal: impl FnMut(Signal) + Send + 'static) -> std::io::Result<()> {
    ctrlc::set_handler(move || on_signal(Signal::Interrupt)).map_err(std::io::Error::other)
}

/// Whether this process was started with the signal ignored, where the system tells.
#[cfg(unix)]
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    is_ignored_in(&status, signal)
}

#[cfg(unix)]
fn is_ignored_in(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal as u8 - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_shells() {
        let codes = [Signal::Interrupt, Signal::Terminate, Signal::HangUp].map(Signal::exit_code);
        assert_eq!(codes, [130, 143, 129]);
        assert_eq!(Signal::of_number(15), Some(Signal::Terminate));
        assert_eq!(Signal::of_number(9), None);
    }

    #[cfg(unix)]
    #[test]
    fn an_ignored_signal_is_seen() {
        let status = |mask: &str| format!("Name:\tprogtune\nSigIgn:\t{mask}\nSigCgt:\t1\n");
        let ignored = status("0000000000000001");
        assert!(is_ignored_in(&ignored, Signal::HangUp));
        assert!(!is_ignored_in(&ignored, Signal::Interrupt));
        assert!(!is_ignored_in(&status("0000000000001000"), Signal::HangUp));
        assert!(!is_ignored_in("", Signal::HangUp));
    }
}
