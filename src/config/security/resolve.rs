//! From the settings to how each listener lets clients in.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use super::{
    CipherSuite, ClientAuth, Identity, ListenerSecurity, Pem, PrincipalRules, SaslConfig, SaslMechanism, SecurityError,
    SecurityProtocol, TlsConfig, TlsVersion,
    conversion::{self, Commands},
};
use crate::config::{
    ConfigError, Warning,
    key::{Secret, Value, one_line},
    listener::Endpoint,
    listener_keys::{ListenerSettings, Said},
};

/// The form of stores that is read.
const PEM: &str = "PEM";
const CLIENT_AUTH: &str = "ssl.client.auth";
const MECHANISMS: &str = "sasl.enabled.mechanisms";
const MAX_REAUTH: &str = "connections.max.reauth.ms";
const PLAINTEXT_PASSWORDS: &str = "ottla.plaintext.passwords";

/// The keys of a store.
struct StoreKeys {
    location: &'static str,
    store_type: &'static str,
    password: &'static str,
    /// The certificates, as a value.
    inline: &'static str,
    /// All passwords that one of another form may have.
    passwords: &'static [&'static str],
    /// How one of another form becomes PEM.
    commands: Commands,
}

const KEYSTORE: StoreKeys = StoreKeys {
    location: "ssl.keystore.location",
    store_type: "ssl.keystore.type",
    password: "ssl.keystore.password",
    inline: "ssl.keystore.certificate.chain",
    passwords: &["ssl.keystore.password", KEY_PASSWORD],
    commands: conversion::OF_KEYS,
};
const KEY_PASSWORD: &str = "ssl.key.password";
const PRIVATE_KEY: &str = "ssl.keystore.key";
const TRUSTSTORE: StoreKeys = StoreKeys {
    location: "ssl.truststore.location",
    store_type: "ssl.truststore.type",
    password: "ssl.truststore.password",
    inline: "ssl.truststore.certificates",
    passwords: &["ssl.truststore.password"],
    commands: conversion::OF_TRUST,
};

/// How a listener lets clients in.
pub(in crate::config) struct Resolver<'a> {
    /// The settings as it has them.
    pub(in crate::config) settings: ListenerSettings<'a>,
    /// Where it listens.
    pub(in crate::config) endpoint: &'a Endpoint,
    /// Its protocol.
    pub(in crate::config) protocol: SecurityProtocol,
    /// What the start should mention.
    pub(in crate::config) warnings: &'a mut Vec<Warning>,
}

impl Resolver<'_> {
    /// All that the listener asks of its clients.
    pub(in crate::config) fn security(mut self) -> Result<ListenerSecurity, ConfigError> {
        let tls = if self.protocol.has_tls() { Some(self.tls()?) } else { None };
        let sasl = if self.protocol.has_sasl() { Some(self.sasl()?) } else { None };
        Ok(ListenerSecurity { protocol: self.protocol, tls, sasl })
    }

    fn tls(&mut self) -> Result<TlsConfig, ConfigError> {
        let (identity, key_password) = (self.identity()?, self.key_password());
        let trusted = self.store(&TRUSTSTORE)?;
        let client_auth = self.client_auth(trusted.is_some())?;
        let protocols = self.versions()?;
        let cipher_suites = self.cipher_suites(&protocols)?;
        let principal_rules = self.principal_rules()?;
        Ok(TlsConfig { identity, key_password, trusted, client_auth, protocols, cipher_suites, principal_rules })
    }

    /// The broker's certificate and key.
    fn identity(&self) -> Result<Identity, ConfigError> {
        let (chain, key) = (self.settings.get(KEYSTORE.inline), self.settings.get(PRIVATE_KEY));
        let location = self.settings.get(KEYSTORE.location);
        if location.is_set() && key.is_set() {
            return Err(self.refuse(&key, SecurityError::Twice { one: location.key, other: key.key.clone() }));
        }
        let certificates = self.store(&KEYSTORE)?;
        match (certificates, secret(&key)) {
            (None, None) => {
                let error = SecurityError::NoCertificate(self.endpoint.name.clone());
                Err(ConfigError::Security { origin: self.settings.listening.clone(), source: error })
            }
            (Some(store @ Pem::File(_)), _) => Ok(Identity::Store(store)),
            (Some(chain @ Pem::Inline(_)), Some(key)) => Ok(Identity::Parts { chain, key }),
            (Some(Pem::Inline(_)), None) => {
                Err(self.refuse(&chain, SecurityError::Half { set: chain.key.clone(), missing: PRIVATE_KEY }))
            }
            (None, Some(_)) => {
                Err(self.refuse(&key, SecurityError::Half { set: key.key.clone(), missing: KEYSTORE.inline }))
            }
        }
    }

    /// What a store holds, if one is set.
    fn store(&self, keys: &StoreKeys) -> Result<Option<Pem>, ConfigError> {
        let [location, inline] = [keys.location, keys.inline].map(|key| self.settings.get(key));
        let file = location.text();
        let (said, pem) = match (secret(&inline), file.is_empty()) {
            (None, true) => return Ok(None),
            (None, false) => (&location, Pem::File(PathBuf::from(file))),
            (Some(_), false) => {
                let twice = SecurityError::Twice { one: location.key.clone(), other: inline.key.clone() };
                return Err(self.refuse(&inline, twice));
            }
            (Some(pem), true) => (&inline, pem),
        };
        let store_type = self.settings.get(keys.store_type);
        if store_type.text() != PEM {
            let blamed = if store_type.is_set() { &store_type } else { said };
            let is_file = matches!(pem, Pem::File(_));
            return Err(self.refuse(blamed, self.other_form(keys, &store_type, is_file.then_some(&location))));
        }
        let password = self.settings.get(keys.password);
        if password.is_set() {
            return Err(self.refuse(&password, SecurityError::StorePassword(password.key.clone())));
        }
        Ok(Some(pem))
    }

    /// What is wrong with a store whose type is not PEM. A value of a key is in PEM, whatever is said of it.
    fn other_form(&self, keys: &StoreKeys, store_type: &Said, location: Option<&Said>) -> SecurityError {
        let (key, value) = (store_type.key.clone(), store_type.text().to_owned());
        if value.eq_ignore_ascii_case(PEM) {
            return SecurityError::StoreTypeCase { key, value };
        }
        let passwords = keys.passwords.iter().map(|key| self.settings.get(key)).filter(Said::is_set);
        let passwords: Vec<_> = passwords.map(|password| password.key).collect();
        let how = keys.commands.how(&key, &value, location.map(|said| said.key.as_str()), &passwords);
        SecurityError::StoreType { key, value, how }
    }

    /// The password of the key. An empty one is none.
    fn key_password(&self) -> Option<Secret> {
        match self.settings.get(KEY_PASSWORD).value {
            Some(Value::Password(password)) if !password.expose().is_empty() => Some(password),
            _ => None,
        }
    }

    /// On a listener with SASL, Kafka goes by what was said for that listener alone.
    fn client_auth(&mut self, has_trust: bool) -> Result<ClientAuth, ConfigError> {
        let said = self.settings.get(CLIENT_AUTH);
        if self.protocol.has_sasl() && self.settings.of_listener(CLIENT_AUTH).is_none() {
            if said.text() != "none" {
                self.warnings.push(Warning::ClientAuthForAll {
                    origin: self.settings.origin(&said),
                    value: said.text().to_owned(),
                    listener: self.endpoint.name.clone(),
                });
            }
            return Ok(ClientAuth::None);
        }
        let client_auth = match said.text() {
            "required" => ClientAuth::Required,
            "requested" => ClientAuth::Requested,
            _ => ClientAuth::None,
        };
        if client_auth != ClientAuth::None && !has_trust {
            let value = said.text().to_owned();
            return Err(self.refuse(&said, SecurityError::NoTrust { key: said.key.clone(), value }));
        }
        Ok(client_auth)
    }

    fn versions(&self) -> Result<Vec<TlsVersion>, ConfigError> {
        let said = self.settings.get("ssl.enabled.protocols");
        let refuse = |value: &str| {
            self.refuse(&said, SecurityError::TlsVersion { key: said.key.clone(), value: value.to_owned() })
        };
        if said.list().is_empty() {
            return Err(refuse(""));
        }
        said.list().iter().map(|name| TlsVersion::from_name(name).ok_or_else(|| refuse(name))).collect()
    }

    fn cipher_suites(&self, versions: &[TlsVersion]) -> Result<Vec<CipherSuite>, ConfigError> {
        let said = self.settings.get("ssl.cipher.suites");
        let unknown = |name: &String| {
            self.refuse(&said, SecurityError::CipherSuite { key: said.key.clone(), value: name.clone() })
        };
        let suites = said.list().iter().map(|name| CipherSuite::from_name(name).ok_or_else(|| unknown(name)));
        let suites = suites.collect::<Result<Vec<_>, _>>()?;
        let is_usable = suites.iter().any(|suite| versions.contains(&suite.version()));
        if suites.is_empty() || is_usable {
            return Ok(suites);
        }
        let value = said.list().join(",");
        Err(self.refuse(&said, SecurityError::NoCipherSuite { key: said.key.clone(), value }))
    }

    fn principal_rules(&self) -> Result<PrincipalRules, ConfigError> {
        let said = self.settings.get("ssl.principal.mapping.rules");
        PrincipalRules::parse(said.text()).map_err(|error| {
            let reason = error.to_string();
            self.refuse(&said, SecurityError::PrincipalRules { key: said.key.clone(), reason })
        })
    }

    fn sasl(&self) -> Result<SaslConfig, ConfigError> {
        self.check_of_mechanisms()?;
        let (said, mechanisms) = self.mechanisms()?;
        if mechanisms.contains(&SaslMechanism::Plain) && !self.may_send_passwords() {
            return Err(self.refuse(&said, SecurityError::PlaintextPasswords(self.endpoint.to_string())));
        }
        let max_reauth = u64::try_from(self.settings.get(MAX_REAUTH).number()).ok().filter(|millis| *millis > 0);
        let max_receive_size = self.max_receive_size()?;
        Ok(SaslConfig { mechanisms, max_reauth: max_reauth.map(Duration::from_millis), max_receive_size })
    }

    /// What Kafka lets be said of one mechanism and is not that here.
    fn check_of_mechanisms(&self) -> Result<(), ConfigError> {
        let mut limits = self.settings.of_mechanisms().filter(|(_, _, value)| value.key.row.key.name == MAX_REAUTH);
        limits.next().map_or(Ok(()), |(key, _, value)| {
            let source = SecurityError::OfMechanism(key.clone());
            Err(ConfigError::Security { origin: value.origin.clone(), source })
        })
    }

    /// The mechanisms that were named, or else those that users are given for.
    fn mechanisms(&self) -> Result<(Said, Vec<SaslMechanism>), ConfigError> {
        let said = self.settings.get(MECHANISMS);
        let none = || self.refuse(&said, SecurityError::NoMechanism { listener: self.endpoint.name.clone() });
        if !said.is_set() {
            let mechanisms = self.mechanisms_with_users();
            return if mechanisms.is_empty() { Err(none()) } else { Ok((said, mechanisms)) };
        }
        if said.list().is_empty() {
            return Err(none());
        }
        let unknown =
            |name: &String| self.refuse(&said, SecurityError::Mechanism { key: said.key.clone(), value: name.clone() });
        let mechanisms = said.list().iter().map(|name| SaslMechanism::from_name(name).ok_or_else(|| unknown(name)));
        let mechanisms = mechanisms.collect::<Result<_, _>>()?;
        Ok((said, mechanisms))
    }

    /// Those that the first users can use on this listener.
    fn mechanisms_with_users(&self) -> Vec<SaslMechanism> {
        let lines = self.settings.of_mechanisms().filter(|(_, _, value)| value.key.makes_users());
        let of_lines: Vec<_> = lines.map(|(_, mechanism, _)| mechanism).collect();
        let may = |mechanism: &SaslMechanism| *mechanism != SaslMechanism::Plain || self.may_send_passwords();
        let is_meant = |mechanism: &SaslMechanism| {
            of_lines.contains(mechanism) || self.settings.settings.has_users && may(mechanism)
        };
        SaslMechanism::ALL.into_iter().filter(is_meant).collect()
    }

    fn may_send_passwords(&self) -> bool {
        let is_allowed = self.settings.get(PLAINTEXT_PASSWORDS).value == Some(Value::Boolean(true));
        self.protocol.has_tls() || is_loopback(self.endpoint) || is_allowed
    }

    fn max_receive_size(&self) -> Result<u32, ConfigError> {
        let said = self.settings.get("sasl.server.max.receive.size");
        u32::try_from(said.number()).ok().filter(|size| *size > 0).ok_or_else(|| ConfigError::Invalid {
            origin: self.settings.origin(&said),
            source: crate::config::key::InvalidValue {
                key: said.key.clone(),
                value: said.number().to_string(),
                reason: "Value must be at least 1".to_owned(),
            },
            allowed: "INT [1,...]".to_owned(),
        })
    }

    fn refuse(&self, said: &Said, source: SecurityError) -> ConfigError {
        ConfigError::Security { origin: self.settings.origin(said), source }
    }
}

/// The value of a PASSWORD.
fn secret(said: &Said) -> Option<Pem> {
    match &said.value {
        Some(Value::Password(secret)) => Some(Pem::Inline(secret.clone())),
        _ => None,
    }
}

/// Whether nobody but this machine reaches an endpoint.
pub(in crate::config) fn is_loopback(endpoint: &Endpoint) -> bool {
    match &endpoint.host {
        None => false,
        Some(host) => match host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        },
    }
}

/// Whether anybody gets in who reaches the listener.
pub(in crate::config) fn lets_anybody_in(security: &ListenerSecurity) -> bool {
    let needs_certificate = security.tls.as_ref().is_some_and(|tls| tls.client_auth == ClientAuth::Required);
    security.sasl.is_none() && !needs_certificate
}

/// For a warning.
pub(in crate::config) fn shown(endpoint: &Endpoint, protocol: SecurityProtocol) -> String {
    match endpoint.name == protocol.name() {
        true => endpoint.to_string(),
        false => one_line(&format!("{endpoint} ({protocol})")),
    }
}
