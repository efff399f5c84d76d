//! `ottla certs`: an authority of one's own and the certificates that it vouches for, for a try-out of TLS.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    net::IpAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, date_time_ymd,
};
use uuid::Uuid;
use x509_parser::pem::parse_x509_pem;
use zeroize::Zeroizing;

use crate::{clock::wall_clock_ms, shell::shell_word};

/// How the name of an authority begins.
const AUTHORITY: &str = "ottla certs";
/// How long an authority holds.
const AUTHORITY_DAYS: u32 = 3650;
/// How long what it vouches for holds: the longest that all clients accept.
const DAYS: u32 = 825;
/// How far the clock of who checks may be behind.
const SKEW: Duration = Duration::from_hours(1);
/// Modes of files with and without a key, and of their directory.
const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;
const DIRECTORY: u32 = 0o700;
/// Names that a server has wherever it runs.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Arguments of `ottla certs`.
#[derive(Args, Clone, Debug)]
#[command(
    about = "Makes certificates for a try-out of TLS",
    long_about = "Makes an authority (ca.pem, ca.key) and a certificate with its key for the broker (server.pem), and for \
                  each --client one for a client (NAME.pem, NAME.key). An authority that is there is used again. No \
                  file is written over without --force, and the authority never. They are for a try-out: where it \
                  matters, certificates come from whoever makes those of the other machines.",
    after_help = EXAMPLES
)]
pub struct CertsArgs {
    /// Where the files go
    #[arg(long, value_name = "DIR", default_value = "certs")]
    dir: PathBuf,

    /// A name or an address by which clients reach the broker, beside localhost, 127.0.0.1, ::1 and the name of this
    /// machine. Can be given more than once
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,

    /// Makes a certificate for a client, whose user is CN=NAME. Can be given more than once
    #[arg(long = "client", value_name = "NAME")]
    clients: Vec<String>,

    /// Makes the certificates of the broker and of the clients anew where they are there
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "\
Examples:
  ottla certs
  ottla --listen SSL://127.0.0.1:9093 --tls certs/server.pem
  kcat -b localhost:9093 -X security.protocol=SSL -X ssl.ca.location=certs/ca.pem -L

  ottla certs --host broker.example --client alice";

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
enum CertsError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is there already: --force makes it anew", .0.display())]
    Exists(PathBuf),
    #[error("{} is there and {} is not: an authority needs both", there.display(), missing.display())]
    HalfAuthority { there: PathBuf, missing: PathBuf },
    #[error(
        "{}: not the certificate and the key of an authority that `ottla certs` made: use another --dir", .0.display()
    )]
    ForeignAuthority(PathBuf),
    #[error("{}: the authority has expired: use another --dir, or move its files away", .0.display())]
    Expired(PathBuf),
    #[error("--client {0:?}: letters, digits, and inside of it - _ . are allowed, but not ca and server")]
    ClientName(String),
    #[error("--host {0:?}: neither an address nor a name")]
    HostName(String),
    #[error("a certificate cannot be made: {0}")]
    Rcgen(#[from] rcgen::Error),
}

/// A file, and what is to be said of it.
struct Written {
    path: PathBuf,
    what: String,
}

impl CertsArgs {
    /// Makes them, and says what to do with them.
    pub fn run(self, mut output: impl Write) -> anyhow::Result<ExitCode> {
        let written = self.make()?;
        for Written { path, what } in &written {
            writeln!(output, "{}  {what}", path.display())?;
        }
        writeln!(output, "\nNext:\n{}", self.next())?;
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    fn make(&self) -> Result<Vec<Written>, CertsError> {
        self.clients.iter().try_for_each(|name| check_client_name(name))?;
        let makes_server = self.makes_server()?;
        self.check_clients_are_new()?;
        let mut directory = fs::DirBuilder::new();
        directory.recursive(true).mode(DIRECTORY).create(&self.dir).map_err(|source| io_error(&self.dir, source))?;
        let mut written = Vec::new();
        let authority = self.authority(&mut written)?;
        match makes_server {
            true => written.push(self.server(&authority)?),
            false => written.push(self.kept("server.pem")),
        }
        for name in &self.clients {
            written.extend(self.client(&authority, name)?);
        }
        Ok(written)
    }

    /// The broker's certificate is made if there is none, or if it is asked for anew.
    fn makes_server(&self) -> Result<bool, CertsError> {
        let path = self.dir.join("server.pem");
        match path.exists() {
            true if self.force => Ok(true),
            true if self.hosts.is_empty() => Ok(false),
            true => Err(CertsError::Exists(path)),
            false => Ok(true),
        }
    }

    fn check_clients_are_new(&self) -> Result<(), CertsError> {
        let files = self.clients.iter().flat_map(|name| client_files(name)).map(|file| self.dir.join(file));
        match files.filter(|_| !self.force).find(|path| path.exists()) {
            Some(path) => Err(CertsError::Exists(path)),
            None => Ok(()),
        }
    }

    /// The authority that is there, or a new one.
    fn authority(&self, written: &mut Vec<Written>) -> Result<Issuer<'static, KeyPair>, CertsError> {
        let [certificate, key] = ["ca.pem", "ca.key"].map(|file| self.dir.join(file));
        match (certificate.exists(), key.exists()) {
            (true, true) => {
                written.extend(["ca.pem", "ca.key"].map(|file| self.kept(file)));
                read_authority(&certificate, &key)
            }
            (true, false) => Err(CertsError::HalfAuthority { there: certificate, missing: key }),
            (false, true) => Err(CertsError::HalfAuthority { there: key, missing: certificate }),
            (false, false) => {
                let (params, pair) = (authority_params(&new_authority_name()), KeyPair::generate()?);
                let made = params.self_signed(&pair)?;
                written.push(self.write(
                    "ca.key",
                    SECRET,
                    &pair.serialize_pem(),
                    "the key of the authority: a secret",
                )?);
                written.push(self.write("ca.pem", PUBLIC, &made.pem(), "the authority, which clients trust")?);
                Ok(Issuer::new(params, pair))
            }
        }
    }

    fn server(&self, authority: &Issuer<'_, KeyPair>) -> Result<Written, CertsError> {
        let names = self.server_names();
        let mut params = CertificateParams::default();
        for name in &names {
            let alone = CertificateParams::new(vec![name.clone()]).ok().filter(|_| is_host(name));
            let alone = alone.ok_or_else(|| CertsError::HostName(name.clone()))?;
            params.subject_alt_names.extend(alone.subject_alt_names);
        }
        let (certificate, key) = vouched(params, &names[0], ExtendedKeyUsagePurpose::ServerAuth, authority)?;
        let what = format!("the broker's certificate and key, for {}: a secret", names.join(", "));
        self.write("server.pem", SECRET, &Zeroizing::new(certificate + &key), &what)
    }

    fn server_names(&self) -> Vec<String> {
        let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let machine = Some(machine).filter(|name| is_host(name));
        let local = LOCAL.iter().map(|name| (*name).to_owned()).chain(machine);
        let mut names: Vec<String> = Vec::new();
        for name in local.chain(self.hosts.iter().cloned()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn client(&self, authority: &Issuer<'_, KeyPair>, name: &str) -> Result<[Written; 2], CertsError> {
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        let (certificate, key) = vouched(CertificateParams::default(), name, usage, authority)?;
        let [certificate_file, key_file] = client_files(name);
        let what = format!("the certificate of client {name}, whose user is CN={name}");
        Ok([
            self.write(&certificate_file, PUBLIC, &certificate, &what)?,
            self.write(&key_file, SECRET, &key, "its key: a secret")?,
        ])
    }

    /// Puts a file in its place as a whole.
    fn write(&self, file: &str, mode: u32, text: &str, what: &str) -> Result<Written, CertsError> {
        let (path, aside) = (self.dir.join(file), self.dir.join(format!("{file}.new")));
        let write = || {
            match fs::remove_file(&aside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut new = OpenOptions::new().write(true).create_new(true).mode(mode).open(&aside)?;
            new.write_all(text.as_bytes())?;
            new.sync_all()?;
            fs::rename(&aside, &path)
        };
        write().map_err(|source| io_error(&path, source))?;
        Ok(Written { path, what: what.to_owned() })
    }

    fn kept(&self, file: &str) -> Written {
        Written { path: self.dir.join(file), what: "is there already and stays as it is".to_owned() }
    }

    /// The next commands.
    fn next(&self) -> String {
        let file = |name: &str| shell_word(&self.dir.join(name).display().to_string());
        let (server, authority) = (file("server.pem"), file("ca.pem"));
        let (for_broker, for_client) = match self.clients.first() {
            None => (String::new(), String::new()),
            Some(name) => {
                let [certificate, key] = client_files(name).map(|name| file(&name));
                (
                    format!(" --client-ca {authority}"),
                    format!(" -X ssl.certificate.location={certificate} -X ssl.key.location={key}"),
                )
            }
        };
        format!(
            "  ottla --listen SSL://127.0.0.1:9093 --tls {server}{for_broker}\n  \
             kcat -b localhost:9093 -X security.protocol=SSL -X ssl.ca.location={authority}{for_client} -L"
        )
    }
}

/// An authority that this command made, if it still holds.
fn read_authority(certificate: &Path, key: &Path) -> Result<Issuer<'static, KeyPair>, CertsError> {
    let [certificate_text, key_text] = [certificate, key].map(|path| {
        let text = fs::read_to_string(path);
        text.map(Zeroizing::new).map_err(|source| io_error(path, source))
    });
    let (certificate_text, key_text) = (certificate_text?, key_text?);
    let foreign = || CertsError::ForeignAuthority(certificate.to_owned());
    let pair = KeyPair::from_pem(&key_text).map_err(|_| CertsError::ForeignAuthority(key.to_owned()))?;
    let (_, pem) = parse_x509_pem(certificate_text.as_bytes()).map_err(|_| foreign())?;
    let parsed = pem.parse_x509().map_err(|_| foreign())?;
    let name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    let name = name.filter(|name| name.starts_with(AUTHORITY)).ok_or_else(foreign)?;
    let has_key = parsed.public_key().subject_public_key.data.as_ref() == pair.der_bytes();
    if !has_key || !parsed.is_ca() {
        return Err(foreign());
    }
    if parsed.validity().not_after.timestamp() < wall_clock_ms() / 1000 {
        return Err(CertsError::Expired(certificate.to_owned()));
    }
    Ok(Issuer::new(authority_params(name), pair))
}

/// The name of an authority that no other has: clients may know several.
fn new_authority_name() -> String {
    let id = Uuid::new_v4().simple().to_string();
    format!("{AUTHORITY} {}", &id[..8])
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    hold_for(&mut params, AUTHORITY_DAYS);
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params
}

/// A certificate for `name` and its key, both in PEM.
fn vouched(
    mut params: CertificateParams,
    name: &str,
    usage: ExtendedKeyUsagePurpose,
    authority: &Issuer<'_, KeyPair>,
) -> Result<(String, Zeroizing<String>), CertsError> {
    hold_for(&mut params, DAYS);
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    let pair = KeyPair::generate()?;
    let certificate = params.signed_by(&pair, authority)?;
    Ok((certificate.pem(), pair.serialize_pem().into()))
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

/// Makes it hold from now on, for so many days.
fn hold_for(params: &mut CertificateParams, days: u32) {
    let now = date_time_ymd(1970, 1, 1) + Duration::from_millis(wall_clock_ms().unsigned_abs());
    params.not_before = now - SKEW;
    params.not_after = now + Duration::from_hours(24) * days;
}

fn client_files(name: &str) -> [String; 2] {
    [format!("{name}.pem"), format!("{name}.key")]
}

/// A name is part of the names of files.
fn check_client_name(name: &str) -> Result<(), CertsError> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(is_allowed);
    if is_name && !matches!(name, "ca" | "server") { Ok(()) } else { Err(CertsError::ClientName(name.to_owned())) }
}

fn is_host(name: &str) -> bool {
    let is_name = || {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*');
        !name.is_empty() && name.len() <= 253 && name.chars().all(is_allowed)
    };
    name.parse::<IpAddr>().is_ok() || is_name()
}

fn io_error(path: &Path, source: io::Error) -> CertsError {
    CertsError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, os::unix::fs::PermissionsExt};

    use clap::Parser;
    use x509_parser::extensions::GeneralName;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        certs: CertsArgs,
    }

    /// What is written out for these arguments, with DIR for the directory.
    fn run(dir: &Path, arguments: &str) -> Result<String, String> {
        let dir = dir.to_str().expect("a plain path");
        let words = ["certs", "--dir", dir].into_iter().chain(arguments.split_whitespace());
        let args = Program::try_parse_from(words).expect("good arguments").certs;
        let mut output = Vec::new();
        let ran = args.run(&mut output).map_err(|error| error.to_string().replace(dir, "DIR"));
        ran.map(|_| String::from_utf8(output).expect("text").replace(dir, "DIR"))
    }

    /// The texts and modes of the files.
    fn files(dir: &Path) -> BTreeMap<String, (String, u32)> {
        let files = fs::read_dir(dir).expect("it is there").map(|file| file.expect("a file").path());
        let read = |path: PathBuf| {
            let mode = fs::metadata(&path).expect("it is there").permissions().mode() & 0o777;
            let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned();
            (name, (fs::read_to_string(&path).expect("text"), mode))
        };
        files.map(read).collect()
    }

    fn modes(dir: &Path) -> Vec<(String, u32)> {
        files(dir).into_iter().map(|(name, (_, mode))| (name, mode)).collect()
    }

    /// The names that a certificate is for.
    fn hosts(dir: &Path) -> Vec<String> {
        let text = fs::read(dir.join("server.pem")).expect("it is there");
        let (_, pem) = parse_x509_pem(&text).expect("PEM");
        let certificate = pem.parse_x509().expect("a certificate");
        let names = certificate.subject_alternative_name().expect("well formed").expect("it has names");
        let name = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            GeneralName::IPAddress([a, b, c, d]) => format!("{a}.{b}.{c}.{d}"),
            GeneralName::IPAddress(bytes) => format!("{} bytes", bytes.len()),
            other => panic!("not {other}"),
        };
        names.value.general_names.iter().map(name).collect()
    }

    #[test]
    fn what_holds_a_key_is_its_owners_alone() {
        let base = tempfile::tempdir().expect("a directory");
        let dir = base.path().join("a/b");
        let said = run(&dir, "--client alice").expect("made");
        let expected = [("alice.key", 0o600), ("alice.pem", 0o644), ("ca.key", 0o600), ("ca.pem", 0o644)];
        let expected = expected.into_iter().chain([("server.pem", 0o600)]);
        assert_eq!(modes(&dir), expected.map(|(name, mode)| (name.to_owned(), mode)).collect::<Vec<_>>());
        assert_eq!(fs::metadata(&dir).expect("it is there").permissions().mode() & 0o777, 0o700);
        let next = "  ottla --listen SSL://127.0.0.1:9093 --tls DIR/server.pem --client-ca DIR/ca.pem\n  \
                    kcat -b localhost:9093 -X security.protocol=SSL -X ssl.ca.location=DIR/ca.pem \
                    -X ssl.certificate.location=DIR/alice.pem -X ssl.key.location=DIR/alice.key -L\n";
        assert!(said.ends_with(next), "{said}");
    }

    #[test]
    fn the_next_commands_are_words_of_a_shell() {
        let base = tempfile::tempdir().expect("a directory");
        let next = |dir: &str| {
            let said = run(&base.path().join(dir), "").expect("made");
            said.lines().find(|line| line.starts_with("  ottla ")).expect("a next command").to_owned()
        };
        let dir = base.path().display();
        assert!(next("it's a-b").ends_with(&format!(r" --tls '{dir}/it'\''s a-b/server.pem'")));
        assert!(next("$HOME").ends_with(" --tls 'DIR/server.pem'"));
        assert!(next("a_b.c").ends_with(" --tls DIR/server.pem"));
    }

    #[test]
    fn an_authority_is_used_again_and_nothing_is_written_over_unasked() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = dir.path();
        run(dir, "").expect("made");
        let first = files(dir);
        let again = run(dir, "--client alice").expect("made");
        assert!(again.contains("DIR/server.pem  is there already and stays as it is\n"), "{again}");
        let second = files(dir);
        assert!(first.iter().all(|(name, file)| second.get(name) == Some(file)));
        assert_eq!(run(dir, "--client alice"), Err("DIR/alice.pem is there already: --force makes it anew".to_owned()));
        assert_eq!(run(dir, "--host h"), Err("DIR/server.pem is there already: --force makes it anew".to_owned()));
        assert_eq!(files(dir), second);
        run(dir, "--host h.example --host 10.0.0.1 --force").expect("made");
        let hosts = hosts(dir);
        for name in ["localhost", "127.0.0.1", "16 bytes", "h.example", "10.0.0.1"] {
            assert!(hosts.iter().any(|host| host == name), "{hosts:?}");
        }
        let third = files(dir);
        assert_eq!((&third["ca.pem"], &third["ca.key"]), (&first["ca.pem"], &first["ca.key"]));
        assert_ne!(third["server.pem"], first["server.pem"]);
    }

    #[test]
    fn what_another_made_is_no_authority() {
        let dirs = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
        let [dir, other] = [dirs[0].path(), dirs[1].path()];
        run(dir, "").expect("made");
        run(other, "").expect("made");
        fs::copy(other.join("ca.key"), dir.join("ca.key")).expect("copied");
        let refused =
            "DIR/ca.pem: not the certificate and the key of an authority that `ottla certs` made: use another --dir";
        assert_eq!(run(dir, "--client a"), Err(refused.to_owned()));
        fs::remove_file(dir.join("ca.key")).expect("removed");
        let half = "DIR/ca.pem is there and DIR/ca.key is not: an authority needs both";
        assert_eq!(run(dir, "--client a"), Err(half.to_owned()));
    }

    #[test]
    fn names_that_are_none_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["ca", "server", ".x", "a/b", "../a", "ä"] {
            let refused = run(dir.path(), &format!("--client {name}")).expect_err("no name");
            assert!(refused.starts_with("--client "), "{refused}");
        }
        assert!(run(dir.path(), "--host a/b").is_err_and(|error| error.starts_with("--host ")));
    }

    #[test]
    fn tls_believes_what_the_authority_vouches_for() {
        let dir = tempfile::tempdir().expect("a directory");
        run(dir.path(), "--client alice").expect("made");
        let dir = dir.path();
        let certificate = |file: &str| {
            use rustls::pki_types::{CertificateDer, pem::PemObject};
            CertificateDer::from_pem_file(dir.join(file)).expect("a certificate")
        };
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate("ca.pem")).expect("an authority");
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let roots = std::sync::Arc::new(roots);
        let now = rustls::pki_types::UnixTime::now();
        let servers = rustls::client::WebPkiServerVerifier::builder_with_provider(
            std::sync::Arc::clone(&roots),
            std::sync::Arc::clone(&provider),
        )
        .build()
        .expect("roots");
        for name in ["localhost", "127.0.0.1", "::1"] {
            use rustls::client::danger::ServerCertVerifier;
            let name = name.try_into().expect("a name");
            servers.verify_server_cert(&certificate("server.pem"), &[], &name, &[], now).expect("believed");
        }
        let clients =
            rustls::server::WebPkiClientVerifier::builder_with_provider(roots, provider).build().expect("roots");
        clients.verify_client_cert(&certificate("alice.pem"), &[], now).expect("believed");
        assert!(clients.verify_client_cert(&certificate("server.pem"), &[], now).is_err(), "no client");
    }
}
