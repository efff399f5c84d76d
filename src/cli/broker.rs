//! The arguments of the broker: what `ottla` without a subcommand takes.
//!
//! Values are texts here. The configuration checks them together with those of the other sources, so that a mistake is
//! told in the same words wherever it was made.

use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::process;
use crate::{
    config::{self, ConfigError, Warning, broker::BrokerConfig, sources::CommandLine},
    logging::LogLevels,
    network::Endpoint,
    server::{self, Server},
};

/// Names the environment variable with the log's levels, as in `info,ottla::network=debug`.
const LOG_LEVELS: &str = "OTTLA_LOG";
/// Names that of the level of everything in Kafka's image.
const ROOT_LEVEL: &str = "KAFKA_LOG4J_ROOT_LOGLEVEL";
/// The level of everything, if nobody says otherwise.
const DEFAULT_LEVEL: &str = "info";

/// The arguments.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = EXAMPLES)]
pub struct BrokerArgs {
    /// Where to listen: an IPv4 address, an IPv6 address in brackets, or a name; 0.0.0.0 for every interface. PROTOCOL is
    /// SSL for TLS, SASL_SSL for TLS with users, SASL_PLAINTEXT, or PLAINTEXT, the default. Can be given more than once.
    /// [default: 127.0.0.1:9092]
    #[arg(long, value_name = "[PROTOCOL://]HOST:PORT")]
    pub listen: Vec<String>,

    /// What clients are told to connect to, if that is not the address of --listen. The first belongs to the first
    /// --listen, and so on
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Vec<String>,

    /// The certificate and the key for TLS, both in one file in PEM, as `ottla certs` makes them (ssl.keystore.location)
    #[arg(long, value_name = "FILE")]
    pub tls: Option<String>,

    /// Asks clients for a certificate that one in this file vouches for, in PEM (ssl.truststore.location,
    /// ssl.client.auth=required). On listeners with users, listener.name.NAME.ssl.client.auth does
    #[arg(long, value_name = "FILE")]
    pub client_ca: Option<String>,

    /// First users, as lines of name:password; nobody but its owner may read the file. A user that exists already keeps
    /// the password it has. The environment variable OTTLA_USERS holds the same, with newlines between users
    #[arg(long, value_name = "FILE")]
    pub users_file: Option<String>,

    /// Where the data is kept (log.dirs) [default: ./data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,

    /// The broker's number (node.id) [default: 1]
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub node_id: Option<String>,

    /// The cluster's id, for a data directory that is new [default: a random one]
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub cluster_id: Option<String>,

    /// Settings under Kafka's names, as in Kafka's server.properties
    #[arg(long, value_name = "FILE")]
    pub config: Option<String>,

    /// Any setting under Kafka's name. Can be given more than once
    #[arg(long = "override", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
}

const EXAMPLES: &str = "\
Settings come from the command line, else from environment variables (KAFKA_NUM_PARTITIONS is num.partitions, \
OTTLA_DURABILITY is ottla.durability, CLUSTER_ID is the cluster's id), else from the file of --config.

Examples:
  ottla
  ottla --listen 0.0.0.0:9092 --advertise broker.example:9092 --data-dir /var/lib/ottla
  ottla --listen 127.0.0.1:9092 --listen SSL://0.0.0.0:9093 --tls certs/server.pem
  ottla --config server.properties --override num.partitions=4 --override log.retention.hours=24";

/// What the arguments, the environment and the file come to. Pure, apart from reading the file.
pub fn load(
    args: BrokerArgs,
    env: impl Iterator<Item = (String, String)>,
) -> Result<(BrokerConfig, Vec<Warning>), ConfigError> {
    config::load(&args.into(), env)
}

/// Is the broker, until a signal ends it.
pub fn run(args: BrokerArgs) -> anyhow::Result<ExitCode> {
    let (config, warnings) = load(args, environment())?;
    let levels = log_to_stderr()?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    // No name can be looked up any more once the process is confined.
    let endpoints = server::endpoints(&config.listeners)?;
    process::confine(&config, &endpoints);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(config, endpoints, levels));
    // What a signal interrupted is not waited for.
    runtime.shutdown_background();
    served.map(|()| ExitCode::SUCCESS)
}

/// The environment variables that are text; no setting can be any other.
pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Logs with the levels that the environment names.
fn log_to_stderr() -> anyhow::Result<LogLevels> {
    let variable = if std::env::var_os(LOG_LEVELS).is_some() { LOG_LEVELS } else { ROOT_LEVEL };
    let directives = std::env::var_os(variable).unwrap_or_else(|| DEFAULT_LEVEL.into());
    let directives = directives.to_string_lossy();
    LogLevels::log_to_stderr(&directives).map_err(|error| {
        anyhow!("{variable}={directives}: {error}; a level such as debug is expected, or some, as in info,ottla::network=debug")
    })
}

async fn serve(config: BrokerConfig, endpoints: Vec<Endpoint>, levels: LogLevels) -> anyhow::Result<()> {
    // The handlers stand before the ready line, so that whoever waits for it may signal at once.
    let mut signals = Signals::new()?;
    let server = tokio::select! {
        server = Server::start_with(config, endpoints, levels) => server?,
        name = signals.next() => bail!("{name} before the start was complete"),
    };
    tracing::info!("{server}");
    let reason = tokio::select! {
        name = signals.next() => name.to_owned(),
        failure = server.failed() => format!("nothing can be made durable any more ({failure})"),
    };
    tracing::info!("{reason}: stopping");
    tokio::select! {
        stopped = server.stop() => stopped?,
        name = signals.next() => bail!("{name} before the stop was complete: the next start has to check the logs"),
    }
    tracing::info!("stopped");
    Ok(())
}

/// The signals that end the broker.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

impl From<BrokerArgs> for CommandLine {
    fn from(args: BrokerArgs) -> Self {
        let BrokerArgs {
            listen,
            advertise,
            tls,
            client_ca,
            users_file,
            data_dir,
            node_id,
            cluster_id,
            config,
            overrides,
        } = args;
        Self { listen, advertise, tls, client_ca, users_file, data_dir, node_id, cluster_id, config, overrides }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::config::security::{Identity, Pem};

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        broker: BrokerArgs,
    }

    #[test]
    fn every_flag_reaches_the_configuration() {
        let dir = tempfile::tempdir().expect("a directory");
        let [users, file] = [("users", "alice:secret"), ("file", "fetch.max.bytes=2000")].map(|(name, text)| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).expect("it can be written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode can be set");
            path.to_str().expect("a plain path").to_owned()
        });
        let line = format!(
            "ottla --listen SSL://127.0.0.1:1 --listen SASL_PLAINTEXT://[::1]:2 --advertise a:3 --tls /s.pem \
             --client-ca /ca.pem --users-file {users} --data-dir d --node-id 7 --cluster-id -abc --config {file} \
             --override num.partitions=4 --override log.retention.hours=24"
        );
        for flag in Program::command().get_arguments().filter_map(clap::Arg::get_long) {
            assert!(line.contains(&format!(" --{flag} ")), "--{flag} is looked at");
        }
        let args = Program::try_parse_from(line.split_whitespace()).expect("a valid command line").broker;
        let (config, warnings) = load(args, std::iter::empty()).expect("valid settings");
        let listeners: Vec<_> = config.listeners.iter().map(ToString::to_string).collect();
        assert_eq!(listeners, ["SSL://127.0.0.1:1 (advertises a:3)", "SASL_PLAINTEXT://[::1]:2 (advertises [::1]:2)"]);
        let tls = config.listeners[0].security.tls.as_ref().expect("a listener with TLS");
        assert_eq!(tls.identity, Identity::Store(Pem::File("/s.pem".into())));
        assert_eq!(tls.trusted, Some(Pem::File("/ca.pem".into())));
        let names: Vec<_> = config.first_users.iter().map(|user| user.name.as_str()).collect();
        assert_eq!(names, ["alice"]);
        assert_eq!((config.node_id, config.num_partitions, config.fetch_max_bytes), (7, 4, 2000));
        let hours = config.values.get("log.retention.hours").and_then(|value| value.as_long());
        assert_eq!(hours, Some(24));
        assert_eq!(config.cluster_id.as_deref(), Some("-abc"));
        assert_eq!(config.data_dir, std::path::Path::new("d"));
        assert_eq!(warnings, []);
    }

    #[test]
    fn what_help_says_of_settings_is_wrapped_by_whoever_shows_it() {
        let help = Program::command().term_width(1000).render_help().to_string();
        let said = help.lines().find(|line| line.starts_with("Settings come from")).expect("it is there");
        assert!(said.ends_with("else from the file of --config."), "{said}");
    }

    #[test]
    fn help_has_an_example_that_works() {
        let help = Program::try_parse_from(["ottla", "--help"]).err().expect("help is asked for").to_string();
        let examples = help.lines().filter_map(|line| line.strip_prefix("  ottla"));
        let loaded = examples.filter(|line| !line.contains("--config")).map(|line| {
            let words = std::iter::once("ottla").chain(line.split_whitespace());
            load(Program::try_parse_from(words).expect(line).broker, std::iter::empty()).expect(line)
        });
        assert_eq!(loaded.count(), 3);
    }
}
