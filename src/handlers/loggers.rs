//! The levels of loggers as a configuration (KIP-412). The rules and texts are those of Kafka's `RuntimeLoggerManager`.

use super::{alteration::Op, refusal::Refusal};
use crate::{
    logging::{LogLevel, LogLevels, ROOT},
    protocol::{error_code::ErrorCode, wire::StrBytes},
};

/// Changes all of these levels, or none if one of them cannot be.
pub fn alter(
    levels: &LogLevels,
    asked: &[(StrBytes, Op, Option<StrBytes>)],
    validate_only: bool,
) -> Result<(), Refusal> {
    let changes: Vec<_> = asked
        .iter()
        .map(|(logger, op, level)| checked(levels, logger, *op, level.as_ref()))
        .collect::<Result<_, _>>()?;
    if validate_only {
        return Ok(());
    }
    for ((logger, ..), level) in asked.iter().zip(changes) {
        match level {
            Some(level) => levels.set(logger, level),
            None => levels.unset(logger),
        }
        tracing::info!(
            logger = logger.as_str(),
            level = level.map(tracing::field::display),
            "level of a logger changed"
        );
    }
    Ok(())
}

/// The level that a logger is to have; `None` for that of the logger above it.
fn checked(levels: &LogLevels, logger: &str, op: Op, level: Option<&StrBytes>) -> Result<Option<LogLevel>, Refusal> {
    let not_allowed = |op: &str| {
        Err(Refusal::new(
            ErrorCode::InvalidRequest,
            format!("{op} operation is not allowed for the BROKER_LOGGER resource"),
        ))
    };
    match op {
        Op::Append => return not_allowed("APPEND"),
        Op::Subtract => return not_allowed("SUBTRACT"),
        Op::Unknown(code) => {
            let message = format!("Unknown operation type {code} is not allowed for the BROKER_LOGGER resource");
            return Err(Refusal::new(ErrorCode::InvalidRequest, message));
        }
        Op::Set | Op::Delete => {}
    }
    if !levels.has(logger) {
        return Err(Refusal::new(ErrorCode::InvalidConfig, format!("Logger {logger} does not exist!")));
    }
    if op == Op::Delete {
        let message = "Removing the log level of the root logger is not allowed";
        return if logger == ROOT { Err(Refusal::new(ErrorCode::InvalidRequest, message)) } else { Ok(None) };
    }
    let text = level.map(|level| level.as_str()).unwrap_or_default();
    let refuse = |_| {
        let message = format!(
            "Cannot set the log level of {logger} to {text} as it is not a supported log level. Valid log levels are \
             DEBUG, ERROR, FATAL, INFO, TRACE, WARN"
        );
        Refusal::new(ErrorCode::InvalidConfig, message)
    };
    text.parse().map(Some).map_err(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(logger: &str, op: i8, level: Option<&str>) -> (StrBytes, Op, Option<StrBytes>) {
        (logger.into(), op.into(), level.map(Into::into))
    }

    #[test]
    fn levels_are_set_and_unset() {
        let levels = LogLevels::detached();
        alter(&levels, &[asked("ottla::log", 0, Some("DEBUG")), asked("root", 0, Some("WARN"))], false).expect("good");
        assert_eq!((levels.all()["ottla::log"], levels.all()["ottla"]), (LogLevel::Debug, LogLevel::Warn));
        alter(&levels, &[asked("ottla::log", 1, None)], false).expect("good");
        assert_eq!(levels.all()["ottla::log"], LogLevel::Warn);
    }

    #[test]
    fn one_that_is_wrong_leaves_all_as_they_were() {
        let levels = LogLevels::detached();
        let before = levels.all();
        let good = asked("ottla::log", 0, Some("DEBUG"));
        for (bad, error) in [
            (asked("nope", 0, Some("DEBUG")), ErrorCode::InvalidConfig),
            (asked("ottla", 0, Some("debug")), ErrorCode::InvalidConfig),
            (asked("root", 1, None), ErrorCode::InvalidRequest),
            (asked("ottla", 2, Some("DEBUG")), ErrorCode::InvalidRequest),
            (asked("ottla", 3, Some("DEBUG")), ErrorCode::InvalidRequest),
            (asked("ottla", 9, Some("DEBUG")), ErrorCode::InvalidRequest),
        ] {
            assert_eq!(alter(&levels, &[good.clone(), bad], false).expect_err("refused").error, error);
        }
        alter(&levels, &[good], true).expect("could be");
        assert_eq!(levels.all(), before);
    }
}
