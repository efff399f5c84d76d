//! How much is logged: a level for each logger, which can be changed while the broker runs (KIP-412).
//!
//! A logger is a module of this crate with all that is under it, the authorizer's, or the root logger: whatever has no
//! level of its own has that of the nearest logger above it. Levels that are changed last until the process ends.

use std::{
    collections::BTreeMap,
    fmt,
    io::IsTerminal,
    str::FromStr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tracing_subscriber::{
    Registry,
    filter::{LevelFilter, ParseError, Targets},
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

/// The logger above all others.
pub const ROOT: &str = "root";

/// The logger of who was let do what, by Kafka's name.
pub(crate) const AUTHORIZER: &str = "kafka.authorizer.logger";

/// The loggers that there are, whether they have a level of their own or not.
const LOGGERS: &[&str] = &[
    AUTHORIZER,
    "ottla",
    "ottla::broker",
    "ottla::cli",
    "ottla::coordinator",
    "ottla::groups",
    "ottla::handlers",
    "ottla::log",
    "ottla::metadata",
    "ottla::network",
    "ottla::server",
    "ottla::transactions",
];

/// What separates a logger from one below it.
const SEPARATOR: &str = "::";

/// From how important on something is logged. The names are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// What helps to find a fault.
    Debug,
    /// What an operator wants to know.
    Info,
    /// What may become a problem, and more.
    Warn,
    /// What went wrong.
    Error,
    /// Nothing: no message is more than an error.
    Fatal,
}

/// Text that names no level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such level")]
pub struct UnknownLevel;

/// The levels of all loggers.
pub struct LogLevels {
    /// By logger; the root logger always has one.
    set: Mutex<BTreeMap<String, LogLevel>>,
    /// What goes by them; nothing, where somebody else logs.
    filter: Option<reload::Handle<Targets, Registry>>,
}

impl LogLevels {
    /// Has this process log to stderr with these levels, as in `info,ottla::network=debug`. At most once in a process.
    pub fn log_to_stderr(directives: &str) -> Result<Self, ParseError> {
        let targets = Targets::from_str(directives)?;
        let set = levels_of(&targets);
        let (filter, handle) = reload::Layer::new(targets_of(&set));
        let lines = tracing_subscriber::fmt::layer()
            .with_target(false)
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr);
        tracing_subscriber::registry().with(filter).with(lines).init();
        Ok(Self { set: Mutex::new(set), filter: Some(handle) })
    }

    /// Levels that nothing goes by.
    #[must_use]
    pub fn detached() -> Self {
        Self { set: Mutex::new(BTreeMap::from([(ROOT.to_owned(), LogLevel::Info)])), filter: None }
    }

    /// All loggers with the level that counts for each, by name.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, LogLevel> {
        let set = self.lock();
        let known = LOGGERS.iter().map(|logger| ((*logger).to_owned(), level_in(&set, logger)));
        known.chain(set.iter().map(|(logger, level)| (logger.clone(), *level))).collect()
    }

    /// Whether there is a logger of this name.
    #[must_use]
    pub fn has(&self, logger: &str) -> bool {
        LOGGERS.contains(&logger) || self.lock().contains_key(logger)
    }

    /// Gives a logger a level of its own.
    pub fn set(&self, logger: &str, level: LogLevel) {
        let mut set = self.lock();
        set.insert(logger.to_owned(), level);
        self.go_by(&set);
    }

    /// Takes the level of a logger's own away. The root logger keeps its level.
    pub fn unset(&self, logger: &str) {
        if logger == ROOT {
            return;
        }
        let mut set = self.lock();
        set.remove(logger);
        self.go_by(&set);
    }

    fn go_by(&self, set: &BTreeMap<String, LogLevel>) {
        if let Some(filter) = &self.filter
            && let Err(error) = filter.reload(targets_of(set))
        {
            tracing::error!(%error, "the levels of loggers cannot be changed any more");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, LogLevel>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The level of a logger: its own, or that of the nearest above it.
fn level_in(set: &BTreeMap<String, LogLevel>, logger: &str) -> LogLevel {
    let mut name = logger;
    loop {
        if let Some(level) = set.get(name) {
            return *level;
        }
        name = name.rsplit_once(SEPARATOR).map_or(ROOT, |(above, _)| above);
    }
}

/// The levels that directives come to. Without one for everything, that is errors alone.
fn levels_of(targets: &Targets) -> BTreeMap<String, LogLevel> {
    let root = targets.default_level().unwrap_or(LevelFilter::ERROR);
    let set = targets.iter().map(|(target, level)| (target.to_owned(), LogLevel::from(level)));
    set.chain([(ROOT.to_owned(), LogLevel::from(root))]).collect()
}

fn targets_of(set: &BTreeMap<String, LogLevel>) -> Targets {
    set.iter().fold(Targets::new(), |targets, (logger, level)| {
        let level = LevelFilter::from(*level);
        if logger == ROOT { targets.with_default(level) } else { targets.with_target(logger.clone(), level) }
    })
}

impl LogLevel {
    const NAMES: [(Self, &'static str); 6] = [
        (Self::Trace, "TRACE"),
        (Self::Debug, "DEBUG"),
        (Self::Info, "INFO"),
        (Self::Warn, "WARN"),
        (Self::Error, "ERROR"),
        (Self::Fatal, "FATAL"),
    ];
}

/// Kafka takes the names in capital letters only.
impl FromStr for LogLevel {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        Self::NAMES.iter().find(|(_, name)| *name == text).map(|(level, _)| *level).ok_or(UnknownLevel)
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, name) = Self::NAMES.iter().find(|(level, _)| level == self).expect("each level has a name");
        f.write_str(name)
    }
}

impl From<LevelFilter> for LogLevel {
    fn from(level: LevelFilter) -> Self {
        match level {
            LevelFilter::TRACE => Self::Trace,
            LevelFilter::DEBUG => Self::Debug,
            LevelFilter::INFO => Self::Info,
            LevelFilter::WARN => Self::Warn,
            LevelFilter::ERROR => Self::Error,
            LevelFilter::OFF => Self::Fatal,
        }
    }
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Trace => Self::TRACE,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Info => Self::INFO,
            LogLevel::Warn => Self::WARN,
            LogLevel::Error => Self::ERROR,
            LogLevel::Fatal => Self::OFF,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn levels(directives: &str) -> LogLevels {
        let targets = Targets::from_str(directives).expect("valid directives");
        LogLevels { set: Mutex::new(levels_of(&targets)), filter: None }
    }

    #[test]
    fn a_logger_has_the_level_of_the_nearest_above_it() {
        let levels = levels("info,ottla=warn,ottla::log::cleaner=trace");
        let all = levels.all();
        assert_eq!(all["root"], LogLevel::Info);
        assert_eq!(all["ottla::log"], LogLevel::Warn);
        assert_eq!(all["ottla::log::cleaner"], LogLevel::Trace);
        levels.set("ottla::log", LogLevel::Fatal);
        assert_eq!(levels.all()["ottla::log"], LogLevel::Fatal);
        levels.unset("ottla::log");
        levels.unset(ROOT);
        assert_eq!(levels.all(), all);
    }

    #[test]
    fn what_is_logged_follows_the_levels() {
        let levels = levels("warn,ottla::network=debug");
        levels.set("ottla::log", LogLevel::Fatal);
        let targets = targets_of(&levels.lock());
        assert!(targets.would_enable("ottla::network::listener", &tracing::Level::DEBUG));
        assert!(!targets.would_enable("ottla::log::scrub", &tracing::Level::ERROR));
        assert!(targets.would_enable("tokio", &tracing::Level::WARN));
        assert!(!targets.would_enable("tokio", &tracing::Level::INFO));
    }

    #[test]
    fn levels_are_named_as_kafka_names_them() {
        for (level, name) in LogLevel::NAMES {
            assert_eq!((name.parse(), level.to_string()), (Ok(level), name.to_owned()));
        }
        assert_eq!("info".parse::<LogLevel>(), Err(UnknownLevel));
    }

    #[test]
    fn each_module_that_logs_is_a_logger() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for entry in fs::read_dir(&source).expect("readable") {
            let name = entry.expect("readable").file_name().into_string().expect("text");
            let module = name.trim_end_matches(".rs");
            let logger = if module == "main" || module == "lib" { "ottla".into() } else { format!("ottla::{module}") };
            assert!(LOGGERS.contains(&logger.as_str()) || !logs(&source.join(&name)), "{logger} is no logger");
        }
    }

    /// Whether there is a message anywhere in a file or directory.
    fn logs(path: &Path) -> bool {
        if path.is_dir() {
            return fs::read_dir(path).expect("readable").any(|entry| logs(&entry.expect("readable").path()));
        }
        let text = fs::read_to_string(path).expect("readable");
        !path.ends_with("logging.rs")
            && ["error!", "warn!", "info!", "debug!", "trace!"]
                .iter()
                .any(|call| text.contains(&format!("tracing::{call}")))
    }
}
