//! Users and their SCRAM credentials, as the metadata log has them: salted keys, never a password.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;

pub use self::shapes::{Shape, Shapes};
use super::{
    image::{ApplyError, Image},
    level::MetadataLevel,
    record::MetadataRecord,
};
use crate::protocol::messages::{RemoveUserScramCredentialRecord, UserScramCredentialRecord};

mod shapes;

/// Kafka's `ScramMechanism`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are Kafka's")]
pub enum ScramMechanism {
    Sha256,
    Sha512,
}

/// What proves that somebody knows a user's password, by one mechanism (RFC 5802).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredential {
    /// The salt of the password.
    pub salt: Bytes,
    /// The hash of the client's key.
    pub stored_key: Bytes,
    /// The key by which the server proves itself.
    pub server_key: Bytes,
    /// How often the password was hashed, 4,096 to 16,384.
    pub iterations: u32,
}

/// The credentials of all users.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Users {
    by_name: BTreeMap<Arc<str>, Credentials>,
    of_sha_256: Shapes,
    of_sha_512: Shapes,
    of_passwords: Shapes,
}

/// The credentials of one user.
type Credentials = BTreeMap<ScramMechanism, Arc<ScramCredential>>;

impl ScramMechanism {
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// Kafka's number, in records and requests.
    #[must_use]
    pub fn code(self) -> i8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    /// Kafka's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// The mechanism with this number.
    #[must_use]
    pub fn from_code(code: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.code() == code)
    }
}

impl Users {
    /// A user's credential of a mechanism.
    #[must_use]
    pub fn credential(&self, user: &str, mechanism: ScramMechanism) -> Option<&Arc<ScramCredential>> {
        self.by_name.get(user)?.get(&mechanism)
    }

    /// All credentials of a user.
    #[must_use]
    pub fn credentials(&self, user: &str) -> Option<&Credentials> {
        self.by_name.get(user)
    }

    /// Gives a user a credential, in place of any of that mechanism.
    pub fn set(&mut self, user: &str, mechanism: ScramMechanism, credential: ScramCredential) {
        self.change(user, mechanism, |credentials| {
            credentials.insert(mechanism, Arc::new(credential));
        });
    }

    /// Takes a credential away. Who has none left is no user any more.
    pub fn remove(&mut self, user: &str, mechanism: ScramMechanism) {
        self.change(user, mechanism, |credentials| {
            credentials.remove(&mechanism);
        });
    }

    fn change(&mut self, user: &str, mechanism: ScramMechanism, change: impl FnOnce(&mut Credentials)) {
        let (name, mut credentials) = self.by_name.remove_entry(user).unwrap_or_else(|| (user.into(), BTreeMap::new()));
        let before = ShapesOfUser::of(&credentials, mechanism);
        change(&mut credentials);
        let after = ShapesOfUser::of(&credentials, mechanism);
        let shapes = match mechanism {
            ScramMechanism::Sha256 => &mut self.of_sha_256,
            ScramMechanism::Sha512 => &mut self.of_sha_512,
        };
        shapes.replace(before.of_mechanism, after.of_mechanism);
        self.of_passwords.replace(before.of_password, after.of_password);
        if !credentials.is_empty() {
            self.by_name.insert(name, credentials);
        }
    }

    /// What the credentials of a mechanism look like.
    #[must_use]
    pub fn shapes(&self, mechanism: ScramMechanism) -> &Shapes {
        match mechanism {
            ScramMechanism::Sha256 => &self.of_sha_256,
            ScramMechanism::Sha512 => &self.of_sha_512,
        }
    }

    /// What those look like that passwords in the clear are held against: of each user the first.
    #[must_use]
    pub fn shapes_of_passwords(&self) -> &Shapes {
        &self.of_passwords
    }

    /// All users by name, each with a credential at least.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Credentials)> {
        self.by_name.iter()
    }
}

/// What one user adds to the shapes of all.
struct ShapesOfUser {
    of_mechanism: Option<Shape>,
    of_password: Option<Shape>,
}

impl ShapesOfUser {
    fn of(credentials: &Credentials, mechanism: ScramMechanism) -> Self {
        let shape =
            |(mechanism, credential): (&ScramMechanism, &Arc<ScramCredential>)| Shape::of(*mechanism, credential);
        Self {
            of_mechanism: credentials.get_key_value(&mechanism).map(shape),
            of_password: credentials.first_key_value().map(shape),
        }
    }
}

/// Records.
impl Users {
    pub(super) fn apply(&mut self, record: &UserScramCredentialRecord) -> Result<(), ApplyError> {
        let mechanism = ScramMechanism::from_code(record.mechanism);
        let iterations = u32::try_from(record.iterations).ok().filter(|iterations| *iterations > 0);
        let (Some(mechanism), Some(iterations)) = (mechanism, iterations) else {
            let (user, iterations) = (record.name.to_string(), record.iterations);
            return Err(ApplyError::Credential { user, mechanism: record.mechanism, iterations });
        };
        let credential = ScramCredential {
            salt: record.salt.clone(),
            stored_key: record.stored_key.clone(),
            server_key: record.server_key.clone(),
            iterations,
        };
        self.set(&record.name, mechanism, credential);
        Ok(())
    }

    pub(super) fn apply_removal(&mut self, record: &RemoveUserScramCredentialRecord) -> Result<(), ApplyError> {
        let Some(mechanism) = ScramMechanism::from_code(record.mechanism) else {
            let user = record.name.to_string();
            return Err(ApplyError::Credential { user, mechanism: record.mechanism, iterations: 0 });
        };
        self.remove(&record.name, mechanism);
        Ok(())
    }

    /// The records that make them, those of one mechanism after those of the other, as Kafka writes a snapshot.
    pub(super) fn records(&self) -> impl Iterator<Item = MetadataRecord> {
        ScramMechanism::ALL.into_iter().flat_map(move |mechanism| {
            let with = self.iter().filter_map(move |(user, of)| Some((user, of.get(&mechanism)?)));
            with.map(move |(user, credential)| credential.record(user, mechanism))
        })
    }
}

impl ScramCredential {
    /// That a user has it.
    #[must_use]
    pub fn record(&self, user: &str, mechanism: ScramMechanism) -> MetadataRecord {
        MetadataRecord::UserScramCredential(UserScramCredentialRecord {
            name: user.into(),
            mechanism: mechanism.code(),
            salt: self.salt.clone(),
            stored_key: self.stored_key.clone(),
            server_key: self.server_key.clone(),
            iterations: i32::try_from(self.iterations).unwrap_or(i32::MAX),
            ..UserScramCredentialRecord::default()
        })
    }
}

/// A change of one credential.
#[derive(Clone, Debug, PartialEq)]
pub struct UserChange {
    /// Whose.
    pub user: String,
    /// Of which mechanism.
    pub mechanism: ScramMechanism,
    /// The new one, in place of any other; `None` to take it away.
    pub credential: Option<ScramCredential>,
}

/// Why a credential was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserChangeError {
    /// There is none to take away.
    #[error("Attempt to delete a user credential that does not exist")]
    Unknown,
    /// The metadata log may not hold any.
    #[error("The current metadata.version does not support SCRAM")]
    Unsupported,
}

/// The record of a change.
pub fn change(image: &Image, change: &UserChange) -> Result<MetadataRecord, UserChangeError> {
    let level = image.metadata_level().unwrap_or(MetadataLevel::LATEST);
    let UserChange { user, mechanism, credential } = change;
    match credential {
        _ if !level.has_scram() => Err(UserChangeError::Unsupported),
        Some(credential) => Ok(credential.record(user, *mechanism)),
        None if image.users().credential(user, *mechanism).is_none() => Err(UserChangeError::Unknown),
        None => Ok(removal(user, *mechanism)),
    }
}

/// That a user has no credential of a mechanism any more.
fn removal(user: &str, mechanism: ScramMechanism) -> MetadataRecord {
    let (name, mechanism) = (user.into(), mechanism.code());
    let record = RemoveUserScramCredentialRecord { name, mechanism, ..RemoveUserScramCredentialRecord::default() };
    MetadataRecord::RemoveUserScramCredential(record)
}

/// Without what would let somebody in.
impl fmt::Debug for ScramCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramCredential").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use crate::metadata::{level::METADATA_VERSION_FEATURE, snapshot::feature_record};

    fn credential(iterations: u32) -> ScramCredential {
        let key = Bytes::from_static(b"a secret key");
        ScramCredential { salt: "saline".into(), stored_key: key.clone(), server_key: key, iterations }
    }

    #[test]
    fn who_has_no_credential_left_is_no_user() {
        let mut users = Users::default();
        users.set("a", ScramMechanism::Sha512, credential(5000));
        users.set("a", ScramMechanism::Sha256, credential(4096));
        users.set("a", ScramMechanism::Sha256, credential(4097));
        users.remove("b", ScramMechanism::Sha256);
        assert_eq!(users.credential("a", ScramMechanism::Sha256).expect("is there").iterations, 4097);
        users.remove("a", ScramMechanism::Sha256);
        assert!(users.credential("a", ScramMechanism::Sha256).is_none());
        users.remove("a", ScramMechanism::Sha512);
        assert_eq!(users, Users::default());
    }

    /// Counts the shapes of all users by a walk over them.
    fn counted<'a>(credentials: impl Iterator<Item = (ScramMechanism, &'a ScramCredential)>) -> BTreeMap<Shape, usize> {
        let mut counts = BTreeMap::new();
        for (mechanism, credential) in credentials {
            *counts.entry(Shape::of(mechanism, credential)).or_default() += 1;
        }
        counts
    }

    proptest! {
        #[test]
        fn the_shapes_of_users_are_counted_as_they_change(
            changes in vec((0..6_u8, any::<bool>(), option::of((4096..4099_u32, 0..3_usize, any::<bool>()))), 0..60),
        ) {
            let mut users = Users::default();
            for (name, is_sha_512, shape) in changes {
                let mechanism = ScramMechanism::ALL[usize::from(is_sha_512)];
                match shape {
                    Some((iterations, salt_len, is_text)) => {
                        let salt = vec![if is_text { b'a' } else { b'A' }; salt_len].into();
                        users.set(&name.to_string(), mechanism, ScramCredential { salt, ..credential(iterations) });
                    }
                    None => users.remove(&name.to_string(), mechanism),
                }
                for mechanism in ScramMechanism::ALL {
                    let all = users.iter().filter_map(|(_, of)| Some((mechanism, of.get(&mechanism)?.as_ref())));
                    let shapes: BTreeMap<_, _> = users.shapes(mechanism).most_frequent(usize::MAX).collect();
                    prop_assert_eq!(shapes, counted(all));
                }
                let first = users.iter().filter_map(|(_, of)| of.first_key_value());
                let first = first.map(|(mechanism, credential)| (*mechanism, credential.as_ref()));
                let shapes: Vec<_> = users.shapes_of_passwords().most_frequent(usize::MAX).collect();
                prop_assert!(shapes.iter().rev().is_sorted_by_key(|(_, count)| count));
                prop_assert_eq!(shapes.iter().copied().collect::<BTreeMap<_, _>>(), counted(first));
                prop_assert!(users.shapes_of_passwords().most_frequent(2).count() <= 2);
            }
        }
    }

    #[test]
    fn the_records_of_users_make_the_same_users() {
        let mut users = Users::default();
        users.set("b", ScramMechanism::Sha512, credential(5000));
        users.set("b", ScramMechanism::Sha256, credential(4096));
        users.set("a", ScramMechanism::Sha512, credential(6000));
        let records: Vec<_> = users.records().collect();
        let mut again = Users::default();
        let mut order = Vec::new();
        for record in &records {
            let MetadataRecord::UserScramCredential(record) = record else { panic!("{record:?}") };
            order.push((record.mechanism, record.name.to_string()));
            again.apply(record).expect("fits");
        }
        assert_eq!(again, users);
        assert_eq!(order, [(1, "b".to_owned()), (2, "a".to_owned()), (2, "b".to_owned())]);
    }

    #[test]
    fn a_credential_that_no_user_can_have_is_refused() {
        let mut users = Users::default();
        for (mechanism, iterations) in [(0, 4096), (3, 4096), (1, 0), (1, -1)] {
            let record = UserScramCredentialRecord { mechanism, iterations, ..UserScramCredentialRecord::default() };
            users.apply(&record).expect_err("refused");
        }
        let record = RemoveUserScramCredentialRecord { mechanism: 7, ..RemoveUserScramCredentialRecord::default() };
        users.apply_removal(&record).expect_err("refused");
        assert_eq!(users, Users::default());
    }

    #[test]
    fn a_change_is_decided_against_what_there_is() {
        let mut image = Image::default();
        let of = |credential| UserChange { user: "a".to_owned(), mechanism: ScramMechanism::Sha256, credential };
        assert_eq!(change(&image, &of(None)), Err(UserChangeError::Unknown));
        let set = change(&image, &of(Some(credential(4096)))).expect("is set");
        image.apply(0, &set).expect("fits");
        assert_eq!(change(&image, &of(None)), Ok(removal("a", ScramMechanism::Sha256)));
        image.apply(1, &feature_record(METADATA_VERSION_FEATURE, 10)).expect("fits");
        assert_eq!(change(&image, &of(None)), Err(UserChangeError::Unsupported));
        assert_eq!(change(&image, &of(Some(credential(4096)))), Err(UserChangeError::Unsupported));
        image.apply(2, &feature_record(METADATA_VERSION_FEATURE, 11)).expect("fits");
        change(&image, &of(None)).expect("is there");
    }

    #[test]
    fn users_do_not_print_their_keys() {
        let mut users = Users::default();
        users.set("a", ScramMechanism::Sha256, credential(4096));
        let text = format!("{users:?} {:?}", users.records().collect::<Vec<_>>());
        assert!(text.contains("4096") && !text.contains("secret") && !text.contains("saline"), "{text}");
    }
}
