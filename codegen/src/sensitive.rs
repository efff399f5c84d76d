//! Fields that nobody is to read by chance, in a line of a log or in what is shown of a file: with them one gets in, or can
//! try passwords until one fits. The schemas do not say which they are.

/// Message and field, of whatever struct of the message.
const SENSITIVE: &[(&str, &str)] = &[
    ("AlterUserScramCredentialsRequest", "Salt"),
    ("AlterUserScramCredentialsRequest", "SaltedPassword"),
    ("CreateDelegationTokenResponse", "Hmac"),
    ("DescribeDelegationTokenResponse", "Hmac"),
    ("ExpireDelegationTokenRequest", "Hmac"),
    ("RenewDelegationTokenRequest", "Hmac"),
    ("SaslAuthenticateRequest", "AuthBytes"),
    ("SaslAuthenticateResponse", "AuthBytes"),
    ("UserScramCredentialRecord", "Salt"),
    ("UserScramCredentialRecord", "ServerKey"),
    ("UserScramCredentialRecord", "StoredKey"),
];

/// Whether a message's field of this name is sensitive.
#[must_use]
pub fn is_sensitive(message: &str, field: &str) -> bool {
    SENSITIVE.contains(&(message, field))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Release, Schemas};

    fn schemas() -> Schemas {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas");
        let release = |name| Release::read(&directory.join(name)).expect("the vendored schemas");
        Schemas::load(&release("kafka-4.4.0"), &release("kafka-3.9.1")).expect("all are good")
    }

    #[test]
    fn what_is_sensitive_is_there() {
        let schemas = schemas();
        for (name, sensitive) in SENSITIVE {
            let message = schemas.get(name).unwrap_or_else(|| panic!("there is no {name}"));
            let mut fields = message.structs.iter().flat_map(|of| &of.fields);
            assert!(fields.any(|field| field.name == *sensitive), "{name} has no {sensitive}");
        }
    }

    #[test]
    fn what_sounds_sensitive_is() {
        let words = ["Password", "Salt", "AuthBytes", "Hmac", "ServerKey", "StoredKey"];
        for message in schemas().iter() {
            for field in message.structs.iter().flat_map(|of| &of.fields) {
                if words.iter().any(|word| field.name.contains(word)) {
                    assert!(is_sensitive(&message.name, &field.name), "{} {}", message.name, field.name);
                }
            }
        }
    }
}
