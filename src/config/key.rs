//! What a configuration key is: its type, its default, what it allows, and what it means.
//!
//! Values are parsed and refused with the words of Kafka's `ConfigDef`, because clients see them: an invalid topic
//! config in a CreateTopics request is answered with this text. One difference: NaN is no DOUBLE, for it is not even
//! equal to itself.

use std::{collections::HashSet, fmt};

use zeroize::Zeroizing;

/// The most characters that an error repeats of a text that somebody sent.
const REPEATED_MAX: usize = 200;

/// A key that can be set, for a topic or for the broker.
#[derive(Clone, Copy, Debug)]
pub struct ConfigKey {
    /// The name, in Kafka's spelling.
    pub name: &'static str,
    /// What its text is parsed to.
    pub config_type: ConfigType,
    /// The text of the default; `None` where unset is a state of its own.
    pub default: Option<&'static str>,
    /// What a parsed value must satisfy.
    pub valid: Validator,
    /// How much a reader of a long list should care.
    pub importance: Importance,
    /// What it does, in a sentence or two.
    pub doc: &'static str,
    /// Whether the broker acts on it.
    pub effect: Effect,
    /// Hidden from listings: for tests and experiments.
    pub internal: bool,
}

/// Kafka's `ConfigDef.Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigType {
    /// `true` or `false`, in any case.
    Boolean,
    /// Text, trimmed.
    String,
    /// A 32-bit integer.
    Int,
    /// A 16-bit integer.
    Short,
    /// A 64-bit integer.
    Long,
    /// A floating point number.
    Double,
    /// Texts, separated by commas.
    List,
    /// The name of a Java class.
    Class,
    /// A secret: never printed.
    Password,
}

/// Kafka's `ConfigDef.Importance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    /// Most installations set it.
    High,
    /// Some do.
    Medium,
    /// Few do.
    Low,
}

/// Whether the broker acts on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It does.
    InUse,
    /// The value is checked, so that Kafka's configuration files are understood, and then changes nothing, for this
    /// reason.
    None(&'static str),
    /// Any value but the default would promise what is not there, for this reason. Clients cannot set one; one that is
    /// found, in a file or on a directory of Kafka's, is kept and reported.
    OnlyDefault(&'static str),
    /// The same of a key that lets somebody in, keeps somebody out or encrypts: a start with any other value is refused.
    Refused(&'static str),
}

/// What a parsed value must satisfy, beyond being of its type. Printed as Kafka prints it under "valid values".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validator {
    /// Nothing more.
    Any,
    /// A number not below this.
    AtLeast(i64),
    /// A number not below the first and not above the second.
    Between(i64, i64),
    /// A number in the range of the first two, or the third.
    BetweenOr(i64, i64, i64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts, in any case.
    OneOfIgnoringCase(&'static [&'static str]),
    /// A list of these texts, possibly empty.
    ListOf(&'static [&'static str]),
    /// `*`, or a list of `partition:broker`.
    ThrottledReplicas,
    /// `latest`, `earliest`, or `by_duration:` and how far back.
    OffsetReset,
}

/// A value of a key, parsed.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a [`ConfigType::Boolean`].
    Boolean(bool),
    /// Of a [`ConfigType::String`] or [`ConfigType::Class`].
    String(String),
    /// Of a [`ConfigType::Int`].
    Int(i32),
    /// Of a [`ConfigType::Short`].
    Short(i16),
    /// Of a [`ConfigType::Long`].
    Long(i64),
    /// Of a [`ConfigType::Double`].
    Double(f64),
    /// Of a [`ConfigType::List`].
    List(Vec<String>),
    /// Of a [`ConfigType::Password`].
    Password(Secret),
}

/// A secret that does not print itself, and is wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

/// A value that a key does not allow, in the words of Kafka's `ConfigException`, on one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid value {} for configuration {key}: {reason}", one_line(.value))]
pub struct InvalidValue {
    /// The key.
    pub key: String,
    /// The value, as it was given or as it was parsed.
    pub value: String,
    /// What is allowed.
    pub reason: String,
}

impl ConfigKey {
    /// A key in use, without words yet.
    pub(super) const fn new(
        name: &'static str,
        config_type: ConfigType,
        default: Option<&'static str>,
        valid: Validator,
        importance: Importance,
    ) -> Self {
        Self { name, config_type, default, valid, importance, doc: "", effect: Effect::InUse, internal: false }
    }

    /// The value that `text` means, if the key allows it.
    pub fn parse(&self, text: &str) -> Result<Value, InvalidValue> {
        let value = self.parse_type(text)?;
        self.validate(&value)?;
        Ok(value)
    }

    /// Holds a value of the key's type against what the key allows.
    pub fn validate(&self, value: &Value) -> Result<(), InvalidValue> {
        self.valid.check(self.name, value).map_err(|(value, reason)| self.refuse(&value, reason))
    }

    /// The value of a key that nobody set.
    #[must_use]
    pub fn default_value(&self) -> Option<Value> {
        self.default.map(|text| self.parse(text).expect("a test parses every default"))
    }

    /// What the key allows, for the end of an error: its type and its valid values.
    #[must_use]
    pub fn allowed(&self) -> String {
        match self.valid {
            Validator::Any => self.config_type.to_string(),
            valid => format!("{} {valid}", self.config_type),
        }
    }

    /// The documentation that is shown: what the key does, and why that is nothing if it is.
    #[must_use]
    pub fn documentation(&self) -> String {
        match self.effect.to_string() {
            effect if effect.is_empty() => self.doc.to_owned(),
            effect => format!("{} {effect}", self.doc),
        }
    }

    /// The reason why clients may not set this value, which the key allows.
    #[must_use]
    pub fn unhonoured(&self, value: &Value) -> Option<&'static str> {
        match self.effect {
            Effect::OnlyDefault(reason) if self.default_value().as_ref() != Some(value) => Some(reason),
            Effect::InUse | Effect::None(_) | Effect::OnlyDefault(_) | Effect::Refused(_) => None,
        }
    }

    /// The reason why no broker starts with this value.
    #[must_use]
    pub fn refused(&self, value: &Value) -> Option<&'static str> {
        match self.effect {
            Effect::Refused(reason) if self.default_value().as_ref() != Some(value) => Some(reason),
            Effect::InUse | Effect::None(_) | Effect::OnlyDefault(_) | Effect::Refused(_) => None,
        }
    }

    /// This key's refusal of a value that is not honoured, for that reason.
    #[must_use]
    pub fn refuse_unhonoured(&self, value: &Value, reason: &str) -> InvalidValue {
        self.refuse(&value.to_string(), format!("Only the default is accepted: {reason}"))
    }

    /// Whether its value must never be shown.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        self.config_type == ConfigType::Password
    }

    /// This key's refusal of `value`.
    #[must_use]
    pub fn refuse(&self, value: &str, reason: impl Into<String>) -> InvalidValue {
        InvalidValue { key: self.name.to_owned(), value: value.to_owned(), reason: reason.into() }
    }

    fn parse_type(&self, text: &str) -> Result<Value, InvalidValue> {
        // What Java's `String.trim` takes off.
        let trimmed = text.trim_matches(|c| c <= ' ');
        let not_a_number = || self.refuse(text, format!("Not a number of type {}", self.config_type));
        match self.config_type {
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("false") => Ok(Value::Boolean(false)),
            ConfigType::Boolean => Err(self.refuse(text, "Expected value to be either true or false")),
            ConfigType::Int => trimmed.parse().map(Value::Int).map_err(|_| not_a_number()),
            ConfigType::Short => trimmed.parse().map(Value::Short).map_err(|_| not_a_number()),
            ConfigType::Long => trimmed.parse().map(Value::Long).map_err(|_| not_a_number()),
            ConfigType::Double => {
                let number = trimmed.parse().ok().filter(|number: &f64| !number.is_nan());
                number.map(Value::Double).ok_or_else(not_a_number)
            }
            ConfigType::String | ConfigType::Class => Ok(Value::String(trimmed.to_owned())),
            ConfigType::Password => Ok(Value::Password(Secret::new(trimmed))),
            ConfigType::List => self.parse_list(trimmed).map(Value::List),
        }
    }

    /// Duplicates are dropped, as Kafka does; an element must not be empty, except where Kafka lets it pass.
    fn parse_list(&self, text: &str) -> Result<Vec<String>, InvalidValue> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let (mut elements, mut known) = (Vec::new(), HashSet::new());
        for element in text.split(',').map(str::trim) {
            if element.is_empty() && self.valid != Validator::ThrottledReplicas {
                return Err(self.refuse(text, "values must not be empty"));
            }
            if known.insert(element) {
                elements.push(element.to_owned());
            }
        }
        Ok(elements)
    }
}

impl Validator {
    /// Or else the value to blame and what is allowed instead.
    fn check(self, name: &str, value: &Value) -> Result<(), (String, String)> {
        let allowed = match self {
            Self::Any => None,
            Self::AtLeast(min) => below(value, min),
            Self::Between(min, max) => below(value, min).or_else(|| above(value, max)),
            Self::BetweenOr(_, _, exception) if value.as_long() == Some(exception) => None,
            Self::BetweenOr(min, max, exception) => below(value, min)
                .or_else(|| above(value, max))
                .map(|_| format!("Value must be between {min} and {max} or equal to {exception}")),
            Self::OneOf(texts) => unknown_text(texts, value.as_str()),
            Self::OneOfIgnoringCase(texts) => {
                let known =
                    value.as_str().is_some_and(|text| texts.iter().any(|known| known.eq_ignore_ascii_case(text)));
                (!known).then(|| format!("String must be one of (case insensitive): {}", texts.join(", ")))
            }
            Self::ListOf(texts) => return check_elements(texts, value.as_list()),
            Self::ThrottledReplicas if are_throttled_replicas(value.as_list()) => None,
            Self::ThrottledReplicas => {
                Some(format!("{name} must be the literal '*' or a list of replicas in the following format: {self}"))
            }
            Self::OffsetReset if value.as_str().is_some_and(is_offset_reset) => None,
            Self::OffsetReset => Some(format!(
                "Invalid value `{value}` for configuration {name}. The value must be either 'earliest', 'latest' or of \
                 the format 'by_duration:<PnDTnHnMn.nS>'."
            )),
        };
        allowed.map_or(Ok(()), |allowed| Err((value.to_string(), allowed)))
    }
}

/// What is wrong with a number under `min`.
fn below(value: &Value, min: i64) -> Option<String> {
    let fits = match value {
        Value::Double(number) => *number >= min as f64,
        _ => value.as_long().is_some_and(|number| number >= min),
    };
    (!fits).then(|| format!("Value must be at least {min}"))
}

/// What is wrong with a number over `max`.
fn above(value: &Value, max: i64) -> Option<String> {
    let fits = match value {
        Value::Double(number) => *number <= max as f64,
        _ => value.as_long().is_some_and(|number| number <= max),
    };
    (!fits).then(|| format!("Value must be no more than {max}"))
}

/// What is wrong with a text that is not among `texts`.
fn unknown_text(texts: &[&str], text: Option<&str>) -> Option<String> {
    let known = text.is_some_and(|text| texts.contains(&text));
    (!known).then(|| format!("String must be one of: {}", texts.join(", ")))
}

fn check_elements(texts: &[&str], elements: &[String]) -> Result<(), (String, String)> {
    elements.iter().find_map(|element| Some((element.clone(), unknown_text(texts, Some(element))?))).map_or(Ok(()), Err)
}

fn are_throttled_replicas(elements: &[String]) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_replica = |element: &String| {
        element.is_empty()
            || element.split_once(':').is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
    };
    elements.iter().all(is_replica) || elements == ["*"]
}

fn is_offset_reset(text: &str) -> bool {
    matches!(text, "latest" | "earliest") || text.strip_prefix("by_duration:").is_some_and(is_duration)
}

/// Whether a text is `PnDTnHnMn.nS`. A part can be left out, but not all after `P` or after `T`.
fn is_duration(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    let Some(parts) = text.strip_prefix('P').filter(|parts| !parts.is_empty()) else { return false };
    match parts.split_once('T') {
        None => are_numbers(parts, "D"),
        Some((days, time)) => !time.is_empty() && are_numbers(days, "D") && are_numbers(time, "HMS"),
    }
}

/// Whether a text is numbers with these units, in this order.
fn are_numbers(text: &str, units: &str) -> bool {
    let rest = units.chars().try_fold(text, |rest, unit| match rest.split_once(unit) {
        None => Some(rest),
        Some((number, rest)) => {
            let whole = number.split_once('.').filter(|_| unit == 'S').map_or(number, |(whole, _)| whole);
            let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let digits = number[whole.len()..].trim_start_matches('.');
            (is_number(whole) && (digits.is_empty() || is_number(digits))).then_some(rest)
        }
    });
    rest == Some("")
}

impl Value {
    /// The truth value of a BOOLEAN.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The number of an INT, SHORT or LONG.
    #[must_use]
    pub fn as_long(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(i64::from(*number)),
            Self::Short(number) => Some(i64::from(*number)),
            Self::Long(number) => Some(*number),
            _ => None,
        }
    }

    /// The number of a DOUBLE.
    #[must_use]
    pub fn as_double(&self) -> Option<f64> {
        match self {
            Self::Double(number) => Some(*number),
            _ => None,
        }
    }

    /// The text of a STRING or CLASS.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of a LIST; none of any other type.
    #[must_use]
    pub fn as_list(&self) -> &[String] {
        match self {
            Self::List(elements) => elements,
            _ => &[],
        }
    }
}

/// As DescribeConfigs writes it: lists with commas, secrets hidden.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::String(text) => f.write_str(text),
            Self::Int(number) => number.fmt(f),
            Self::Short(number) => number.fmt(f),
            Self::Long(number) => number.fmt(f),
            Self::Double(number) => f.write_str(&java_double(*number)),
            Self::List(elements) => f.write_str(&elements.join(",")),
            Self::Password(_) => f.write_str("[hidden]"),
        }
    }
}

/// A number as Java's `Double.toString` writes it: `1.0`, not `1`, and powers of ten from 10^7 on and below 10^-3.
fn java_double(number: f64) -> String {
    let magnitude = number.abs();
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        format!("{number:?}")
    } else {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let fraction = if digits.contains('.') { "" } else { ".0" };
        format!("{digits}{fraction}E{exponent}")
    }
}

impl Secret {
    /// A secret of this text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The secret itself, for what has to know it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl fmt::Display for ConfigType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        })
    }
}

/// A sentence for the end of a key's documentation; none for a key in use.
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => Ok(()),
            Self::None(reason) => write!(f, "No effect: {reason}."),
            Self::OnlyDefault(reason) => write!(f, "Only the default is accepted: {reason}."),
            Self::Refused(reason) => write!(f, "Any other value than the default stops the start: {reason}."),
        }
    }
}

impl fmt::Display for Importance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::High => "HIGH",
            Self::Medium => "MEDIUM",
            Self::Low => "LOW",
        })
    }
}

impl fmt::Display for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::AtLeast(min) => write!(f, "[{min},...]"),
            Self::Between(min, max) => write!(f, "[{min},...,{max}]"),
            Self::BetweenOr(min, max, exception) => write!(f, "[{min},...,{max}] or {exception}"),
            Self::OneOfIgnoringCase(texts) => write!(f, "(case insensitive) [{}]", texts.join(", ")),
            Self::OneOf(texts) | Self::ListOf(texts) => write!(f, "[{}]", texts.join(", ")),
            Self::ThrottledReplicas => f.write_str("[partitionId]:[brokerId],[partitionId]:[brokerId],..."),
            Self::OffsetReset => f.write_str("[latest, earliest, by_duration:PnDTnHnMn.nS]"),
        }
    }
}

/// The row with this name in a table that is in the order of names: a test holds every table to that.
pub(super) fn row_of<T>(table: &'static [T], name_of: fn(&T) -> &'static str, name: &str) -> Option<&'static T> {
    table.binary_search_by(|row| name_of(row).cmp(name)).ok().map(|place| &table[place])
}

/// `text` as an error repeats it.
pub(crate) fn one_line(text: &str) -> String {
    line(text, REPEATED_MAX)
}

/// `text` without what would break a line or a terminal, and cut where it has more than so many characters.
pub(crate) fn line(text: &str, chars_max: usize) -> String {
    let mut line = String::new();
    // What of the line leaves room for the mark of the cut.
    let (mut chars, mut kept) = (0, 0);
    for c in text.chars() {
        let shown = if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
        chars += shown.chars().count();
        if chars > chars_max {
            line.truncate(kept);
            line.push('…');
            break;
        }
        line.push_str(&shown);
        if chars < chars_max {
            kept = line.len();
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(config_type: ConfigType, valid: Validator) -> ConfigKey {
        ConfigKey::new("some.key", config_type, None, valid, Importance::Low)
    }

    /// What the key makes of `text`: the value or the error, as text.
    fn outcome(config_type: ConfigType, valid: Validator, text: &str) -> String {
        match key(config_type, valid).parse(text) {
            Ok(value) => value.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn values_are_parsed_as_kafka_parses_them() {
        use ConfigType::*;
        let cases = [
            (Boolean, " TRUE\t", "true"),
            (Boolean, "yes", "Invalid value yes for configuration some.key: Expected value to be either true or false"),
            (Int, " +12 ", "12"),
            (Int, "99999999999", "Invalid value 99999999999 for configuration some.key: Not a number of type INT"),
            (Int, "", "Invalid value  for configuration some.key: Not a number of type INT"),
            (Short, "32768", "Invalid value 32768 for configuration some.key: Not a number of type SHORT"),
            (Long, "-9223372036854775808", "-9223372036854775808"),
            (Long, "1.5", "Invalid value 1.5 for configuration some.key: Not a number of type LONG"),
            (Double, "1", "1.0"),
            (Double, "half", "Invalid value half for configuration some.key: Not a number of type DOUBLE"),
            (Double, "NaN", "Invalid value NaN for configuration some.key: Not a number of type DOUBLE"),
            (Double, "-nan", "Invalid value -nan for configuration some.key: Not a number of type DOUBLE"),
            (List, "", ""),
            (List, "a , b,a", "a,b"),
            (List, "a,", "Invalid value a, for configuration some.key: values must not be empty"),
            (String, "  a b ", "a b"),
            (Class, "org.example.Thing", "org.example.Thing"),
            (Password, "hunter2", "[hidden]"),
        ];
        for (config_type, text, expected) in cases {
            assert_eq!(outcome(config_type, Validator::Any, text), expected, "{config_type} {text:?}");
        }
    }

    #[test]
    fn values_are_held_against_what_the_key_allows() {
        use ConfigType::*;
        use Validator::*;
        let refused = |value: &str, reason: &str| format!("Invalid value {value} for configuration some.key: {reason}");
        let codecs = OneOf(&["lz4", "zstd"]);
        let replicas = "some.key must be the literal '*' or a list of replicas in the following format: \
                        [partitionId]:[brokerId],[partitionId]:[brokerId],...";
        let cases = [
            (Int, AtLeast(14), "14", "14".to_owned()),
            (Int, AtLeast(14), "13", refused("13", "Value must be at least 14")),
            (Long, Between(1, 5), "6", refused("6", "Value must be no more than 5")),
            (Double, Between(0, 1), "1.5", refused("1.5", "Value must be no more than 1")),
            (Double, Between(0, 1), "-1", refused("-1.0", "Value must be at least 0")),
            (Int, BetweenOr(1, 9, -1), "-1", "-1".to_owned()),
            (Int, BetweenOr(1, 9, -1), "9", "9".to_owned()),
            (Int, BetweenOr(1, 9, -1), "0", refused("0", "Value must be between 1 and 9 or equal to -1")),
            (Int, BetweenOr(1, 9, -1), "10", refused("10", "Value must be between 1 and 9 or equal to -1")),
            (String, codecs, "zstd", "zstd".to_owned()),
            (String, codecs, "ZSTD", refused("ZSTD", "String must be one of: lz4, zstd")),
            (String, OneOfIgnoringCase(&["UP", "DOWN"]), "up", "up".to_owned()),
            (
                String,
                OneOfIgnoringCase(&["UP", "DOWN"]),
                "left",
                refused("left", "String must be one of (case insensitive): UP, DOWN"),
            ),
            (List, ListOf(&["a", "b"]), "", "".to_owned()),
            (List, ListOf(&["a", "b"]), "b,c", refused("c", "String must be one of: a, b")),
            (List, ThrottledReplicas, "*", "*".to_owned()),
            (List, ThrottledReplicas, "0:1,,12:3", "0:1,,12:3".to_owned()),
            (List, ThrottledReplicas, "0:1,*", refused("0:1,*", replicas)),
            (List, ThrottledReplicas, "0:", refused("0:", replicas)),
        ];
        for (config_type, valid, text, expected) in cases {
            assert_eq!(outcome(config_type, valid, text), expected, "{config_type} {valid} {text:?}");
        }
    }

    #[test]
    fn an_offset_reset_is_a_word_or_a_duration() {
        let valid = ["latest", "earliest", "by_duration:P1D", "by_duration:PT1H2M3.5S", "by_duration:pt0s"];
        let invalid = [
            "LATEST",
            "none",
            "by_duration:",
            "by_duration:P",
            "by_duration:PT",
            "by_duration:-PT1H",
            "by_duration:PT-1H",
            "by_duration:PT1M1H",
            "by_duration:PTH",
            "by_duration:P1.5D",
            "BY_DURATION:PT1S",
        ];
        let is_valid = |text: &&str| key(ConfigType::String, Validator::OffsetReset).parse(text).is_ok();
        assert_eq!(valid.iter().find(|text| !is_valid(text)), None);
        assert_eq!(invalid.iter().find(|text| is_valid(text)), None);
    }

    #[test]
    fn doubles_are_printed_as_java_prints_them() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (0.5, "0.5"),
            (1.0, "1.0"),
            (-12.25, "-12.25"),
            (0.001, "0.001"),
            (0.000_999, "9.99E-4"),
            (0.000_1, "1.0E-4"),
            (9_999_999.0, "9999999.0"),
            (10_000_000.0, "1.0E7"),
            (-12_345_678.5, "-1.23456785E7"),
            (1e10, "1.0E10"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (number, expected) in cases {
            assert_eq!(Value::Double(number).to_string(), expected);
        }
    }

    #[test]
    fn an_error_is_one_line() {
        let error = key(ConfigType::Int, Validator::Any).parse("1\n2\u{1b}[31m").expect_err("not a number");
        assert_eq!(
            error.to_string(),
            "Invalid value 1\\n2\\u{1b}[31m for configuration some.key: Not a number of type INT"
        );
    }

    #[test]
    fn an_error_repeats_the_start_of_a_long_value() {
        let error =
            |text: &str| key(ConfigType::Int, Validator::Any).parse(text).expect_err("not a number").to_string();
        let expected =
            |value: &str| format!("Invalid value {value} for configuration some.key: Not a number of type INT");
        assert_eq!(error(&"é".repeat(200)), expected(&"é".repeat(200)));
        assert_eq!(error(&"é".repeat(32_000)), expected(&("é".repeat(199) + "…")));
        assert_eq!([line("ab\n", 4), line("ab\n", 3), line("abc", 2)], ["ab\\n", "ab…", "a…"]);
    }

    #[test]
    fn a_secret_never_prints_itself() {
        let value = key(ConfigType::Password, Validator::Any).parse("hunter2").expect("any text will do");
        assert_eq!(format!("{value} {value:?}"), "[hidden] Password([hidden])");
        assert!(matches!(value, Value::Password(secret) if secret.expose() == "hunter2"));
    }
}
