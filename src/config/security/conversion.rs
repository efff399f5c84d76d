//! How stores of Java become PEM.

/// The commands for a store, and the file that they make.
pub(super) struct Commands {
    /// How the files are called, without what says their form.
    name: &'static str,
    /// What is to be taken out of one of PKCS12.
    option: &'static str,
    /// The file in PEM.
    made: &'static str,
}

/// A certificate and its key.
pub(super) const OF_KEYS: Commands = Commands { name: "server", option: "-nodes", made: "server.pem" };
/// Certificates without keys.
pub(super) const OF_TRUST: Commands = Commands { name: "trust", option: "-nokeys", made: "ca.pem" };

impl Commands {
    /// What to do with a store of that type, what to set then, and which keys to delete. One that is a value has no location.
    pub(super) fn how(&self, key: &str, store_type: &str, location: Option<&str>, passwords: &[String]) -> String {
        let delete = match passwords {
            [] => String::new(),
            passwords => format!(", and delete {}", passwords.join(" and ")),
        };
        let Some(location) = location else { return format!("set {key}=PEM{delete}") };
        let Self { name, option, made } = self;
        let openssl = format!("`openssl pkcs12 -in {name}.p12 {option} -out {made}`");
        let commands = match store_type.eq_ignore_ascii_case("PKCS12") {
            true => format!("{openssl} converts it"),
            false => format!(
                "`keytool -importkeystore -srckeystore {name}.jks -destkeystore {name}.p12 -deststoretype PKCS12` and then \
                 {openssl} convert it"
            ),
        };
        format!("{commands}; then set {key}=PEM and {location}={made}{delete}")
    }
}
