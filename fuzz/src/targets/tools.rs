//! What people give to the program: files for it to show, and certificates.

use std::io;

use ottla::{
    cli::DumpArgs,
    config::{
        key::Secret,
        security::{CipherSuite, ClientAuth, Identity, Pem, PrincipalRules, TlsConfig, TlsVersion},
    },
    server::check_tls,
};

use super::{input::Input, scratch::Scratch};

/// More than any error of PEM has to say: none repeats what it found.
const ERROR_LENGTH_MAX: usize = 1000;

/// Directories whose records are shown in different ways …
const DIRECTORIES: [&str; 4] = ["t-0", "__cluster_metadata-0", "__consumer_offsets-0", "__transaction_state-0"];
/// … and a file of each kind.
const FILES: [&str; 12] = [
    "00000000000000000000.log",
    "00000000000000000007-0000000001.checkpoint",
    "00000000000000000000.index",
    "00000000000000000000.timeindex",
    "00000000000000000000.txnindex",
    "00000000000000000007.snapshot",
    "recovery-point-offset-checkpoint",
    "leader-epoch-checkpoint",
    "partition.metadata",
    "meta.properties",
    "quorum-state",
    "00000000000000000000.log.deleted",
];

/// A file through `ottla dump`: a directory, a kind, and the bytes.
pub(super) fn dump(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (directory, name) = (DIRECTORIES[input.below(DIRECTORIES.len())], FILES[input.below(FILES.len())]);
    let scratch = Scratch::new("dump");
    let file = scratch.write(format!("{directory}/{name}"), input.rest());
    let args = DumpArgs { records: true, topic: None, files: vec![file] };
    args.run(io::sink(), io::sink()).expect("whatever is in a file is shown or told");
}

/// A chain, a key and a trust store: as files, or as values of keys.
pub(super) fn pem(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (in_files, in_one, has_password) = (input.flag(), input.flag(), input.flag());
    let [chain, key, trusted] = [(); 3].map(|()| input.block());
    let scratch = Scratch::new("pem");
    let place = |name: &str, text: &[u8]| match in_files {
        true => Pem::File(scratch.write(name, text)),
        false => Pem::Inline(Secret::new(&String::from_utf8_lossy(text))),
    };
    let identity = match in_one {
        true => Identity::Store(place("store", &[chain, key].concat())),
        false => Identity::Parts { chain: place("chain", chain), key: place("key", key) },
    };
    let config = TlsConfig {
        identity,
        key_password: has_password.then(|| Secret::new("password")),
        trusted: Some(place("trusted", trusted)),
        client_auth: ClientAuth::Requested,
        protocols: vec![TlsVersion::V12, TlsVersion::V13],
        cipher_suites: Vec::<CipherSuite>::new(),
        principal_rules: PrincipalRules::default(),
    };
    if let Err(error) = check_tls(&config) {
        let text = error.to_string();
        assert!(!text.contains('\n') && text.len() <= ERROR_LENGTH_MAX, "{text}");
    }
}
