//! The owner of a lock or a temporary file: a process, identified by its id, its start and its
//! machine. Called by [`super::lock`] and [`super::temporary`].

use std::{
    fs,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The process id.
    pub pid: u32,
    /// The start of the process, in clock ticks since the machine booted; 0 if unknown.
    pub started: u64,
    /// A hash of the host, its boot and the process namespace, outside of which ids mean nothing; 0
    /// if unknown.
    pub place: u32,
    /// The host name.
    pub host: String,
    /// The start of the process, for people.
    pub since: String,
}

/// Whether a process is still running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// The process is running.
    Running,
    /// The process has ended.
    Ended,
    /// The process belongs to another machine or container, or this system does not tell.
    Unknown,
}

impl Owner {
    /// This process.
    pub fn this() -> &'static Self {
        static THIS: OnceLock<Owner> = OnceLock::new();
        THIS.get_or_init(|| {
            let pid = std::process::id();
            let host = first_line("/proc/sys/kernel/hostname");
            Self {
                pid,
                started: process_start(pid).unwrap_or(0),
                place: place(host.as_deref().unwrap_or_default()),
                host: host.unwrap_or_else(|| "this host".into()),
                since: utc(SystemTime::now()),
            }
        })
    }

    /// Whether the process is still running.
    pub(crate) fn life(&self) -> Life {
        if self.place == 0 || self.place != Self::this().place {
            return Life::Unknown;
        }
        if process_start(self.pid) == Some(self.started) {
            Life::Running
        } else {
            Life::Ended
        }
    }

    /// Whether it is this process.
    pub(crate) fn is_this(&self) -> bool {
        let this = Self::this();
        (self.pid, self.started, self.place) == (this.pid, this.started, this.place)
    }

    /// The part of a temporary file's name that identifies its owner.
    pub fn tag(&self) -> String {
        format!("{:08x}-{}-{}", self.place, self.pid, self.started)
    }

    /// The owner at the beginning of a file name; its host and its start time are not part of the
    /// name.
    pub(crate) fn of_tag(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '-');
        let place = u32::from_str_radix(parts.next()?, 16).ok()?;
        let pid = parts.next()?.parse().ok()?;
        let started = parts.next()?.parse().ok()?;
        parts.next()?;
        Some(Self {
            pid,
            started,
            place,
            host: String::new(),
            since: String::new(),
        })
    }

    /// The contents of a lock file.
    pub fn to_text(&self) -> String {
        format!(
            "pid = {}\nhost = {}\nsince = {}\nstarted = {}\nplace = {:08x}\n",
            self.pid, self.host, self.since, self.started, self.place
        )
    }

    /// The owner named by a lock file; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            text.lines()
                .filter_map(|line| line.split_once(" = "))
                .find_map(|(name, value)| (name == key).then(|| value.trim().to_owned()))
        };
        Some(Self {
            pid: value("pid")?.parse().ok()?,
            host: value("host")?,
            since: value("since")?,
            started: value("started")?.parse().ok()?,
            place: u32::from_str_radix(&value("place")?, 16).ok()?,
        })
    }
}

fn first_line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().next().map(str::to_owned)
}

fn place(host: &str) -> u32 {
    let Some(boot) = first_line("/proc/sys/kernel/random/boot_id") else {
        return 0;
    };
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let text = format!("{host}\n{boot}\n{}", namespace.display());
    crc32fast::hash(text.as_bytes()).max(1)
}

/// The start of a process on this machine; `None` if no process has this id, or if it is a zombie.
fn process_start(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name, in parentheses, may contain any characters.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    // `starttime` is field 22; the state is field 3.
    fields.nth(18)?.parse().ok()
}

/// A time for people: `2026-11-28 22:17:03 UTC`.
fn utc(time: SystemTime) -> String {
    let secs = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (days, rest) = (secs / 86_400, secs % 86_400);
    // Days since 0000-03-01 in eras of 400 years (Howard Hinnant, `civil_from_days`).
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = match shifted_month {
        0..10 => shifted_month + 3,
        _ => shifted_month - 9,
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (secs, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_709_251_200, "2024-03-01 00:00:00 UTC"),
            (1_798_761_599, "2026-12-31 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(secs)), expected);
        }
    }

    #[test]
    fn texts_and_tags_name_their_owner() {
        let owner = Owner::this();
        assert_eq!(Owner::parse(&owner.to_text()).as_ref(), Some(owner));
        assert_eq!(Owner::parse("pid = 7\n"), None);
        assert_eq!(Owner::parse(""), None);
        let read = Owner::of_tag(&format!("{}-AbCdEf.tokens", owner.tag())).unwrap();
        assert!(read.is_this());
        assert_eq!(Owner::of_tag("AbCdEf"), None, "names of other programs");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_living_are_told_from_the_dead() {
        let this = Owner::this();
        assert_eq!(this.life(), Life::Running);
        let earlier = Owner {
            started: this.started - 1,
            ..this.clone()
        };
        assert_eq!(earlier.life(), Life::Ended, "another one had this id");
        let elsewhere = Owner {
            place: this.place ^ 1,
            ..this.clone()
        };
        assert_eq!(elsewhere.life(), Life::Unknown);
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let other = Owner {
            pid: child.id(),
            started: process_start(child.id()).unwrap(),
            ..this.clone()
        };
        assert_eq!(other.life(), Life::Running);
        child.kill().unwrap();
        // A zombie counts as ended.
        while other.life() == Life::Running {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(other.life(), Life::Ended);
        child.wait().unwrap();
        assert_eq!(other.life(), Life::Ended);
    }
}
