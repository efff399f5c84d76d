//! The table of APIs, and the way from a frame to its handler and back.
//!
//! One table has key, versions and handler: `ApiVersions` shows it, dispatch goes by it. A handler takes its request's
//! type and returns its response's; what is decoded and encoded in between is here.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

use super::{
    add_offsets_to_txn::add_offsets_to_txn,
    add_partitions_to_txn::add_partitions_to_txn,
    alter_configs::alter_configs,
    alter_user_scram_credentials::alter_user_scram_credentials,
    api_versions::{self, api_versions},
    context::{Context, Services},
    create_partitions::create_partitions,
    create_topics::create_topics,
    delete_groups::delete_groups,
    delete_records::delete_records,
    delete_topics::delete_topics,
    describe_cluster::describe_cluster,
    describe_configs::describe_configs,
    describe_groups::describe_groups,
    describe_log_dirs::describe_log_dirs,
    describe_producers::describe_producers,
    describe_topic_partitions::describe_topic_partitions,
    describe_transactions::describe_transactions,
    describe_user_scram_credentials::describe_user_scram_credentials,
    end_txn::end_txn,
    fetch::fetch,
    find_coordinator::find_coordinator,
    heartbeat::heartbeat,
    incremental_alter_configs::incremental_alter_configs,
    init_producer_id::init_producer_id,
    join_group::join_group,
    leave_group::leave_group,
    list_groups::list_groups,
    list_offsets::list_offsets,
    list_transactions::list_transactions,
    metadata::metadata,
    offset_commit::offset_commit,
    offset_delete::offset_delete,
    offset_fetch::offset_fetch,
    offset_for_leader_epoch::offset_for_leader_epoch,
    produce::produce,
    sasl_authenticate::{raw_token, sasl_authenticate},
    sasl_handshake::sasl_handshake,
    sync_group::sync_group,
    txn_offset_commit::txn_offset_commit,
    unsupported,
};
use crate::{
    auth::session::Session,
    clock,
    network::{self, ConnectionContext, Refusal, Reply, RequestMemory, Service},
    protocol::{
        frame::Frame,
        message::{Message, Request},
        messages::{
            AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AlterConfigsRequest, AlterUserScramCredentialsRequest,
            ApiKey, ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteGroupsRequest,
            DeleteRecordsRequest, DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest,
            DescribeGroupsRequest, DescribeLogDirsRequest, DescribeProducersRequest, DescribeTopicPartitionsRequest,
            DescribeTransactionsRequest, DescribeUserScramCredentialsRequest, EndTxnRequest, FetchRequest,
            FindCoordinatorRequest, HeartbeatRequest, IncrementalAlterConfigsRequest, InitProducerIdRequest,
            JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, ListOffsetsRequest, ListTransactionsRequest,
            MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest,
            ProduceRequest, RequestHeader, ResponseHeader, SaslAuthenticateRequest, SaslHandshakeRequest,
            SyncGroupRequest, TxnOffsetCommitRequest,
        },
        wire::{DecodeReason, Reader, Writer},
    },
};

/// The bytes that the tagged fields of a request header may take.
const HEADER_TAG_BYTES_MAX: usize = 64 << 10;
/// What a token without a request around it is.
const RAW_TOKEN: (ApiKey, i16) = (ApiKey::SaslAuthenticate, 0);

/// What a handler answers.
pub enum Answer<R> {
    /// This, now.
    Now(R),
    /// Nothing, ever.
    None,
    /// Later; what the request does has been done.
    Later(Pin<Box<dyn Future<Output = Option<R>> + Send>>),
    /// This, and then the connection ends.
    Last(R, Refusal),
    /// Nothing: the connection ends.
    Close(Refusal),
}

impl<R> From<R> for Answer<R> {
    fn from(response: R) -> Self {
        Self::Now(response)
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupportedApi {
    /// The API.
    pub key: ApiKey,
    /// The lowest version that clients are told of.
    pub lowest_advertised: i16,
    /// The lowest version that is served.
    pub lowest: i16,
    /// The highest of both.
    pub highest: i16,
}

impl SupportedApi {
    const fn new(key: ApiKey, lowest: i16, highest: i16) -> Self {
        Self { key, lowest_advertised: lowest, lowest, highest }
    }

    /// Widens what clients are told, down to `lowest`.
    const fn advertised_from(mut self, lowest: i16) -> Self {
        self.lowest_advertised = lowest;
        self
    }
}

/// The table, and the dispatch that goes by it: request type, lowest and highest version, handler; `in session` where
/// that may change what the client has proved of itself.
macro_rules! apis {
    ($($request:ident $lowest:literal..=$highest:literal $handler:ident $(, advertised_from $advertised:literal)?
        $(, in $session:ident)?;)*) => {
        /// The APIs that are served, by key.
        pub static SUPPORTED: &[SupportedApi] = &[$(
            SupportedApi::new(<$request as Request>::KEY, $lowest, $highest)
                $(.advertised_from($advertised))?
        ),*];

        $(const _: () = assert!(
            $lowest >= $request::LOWEST_VERSION && $highest <= $request::HIGHEST_VERSION,
            "no code was generated for a version that is served"
        );)*

        async fn dispatch(
            cx: &Context,
            session: &mut Session,
            header: &RequestHeader,
            key: ApiKey,
            body: &Reader<'_>,
            memory: &mut RequestMemory,
        ) -> Result<Reply, Refusal> {
            match key {
                $(<$request as Request>::KEY => {
                    let request: $request = decode(body, cx.version, memory).await?;
                    let answer = call_handler!($handler, cx, $(in $session,)? session, request);
                    reply::<$request>(cx, header, answer.await.into())
                })*
                _ => unreachable!("only served APIs are dispatched"),
            }
        }
    };
}

macro_rules! call_handler {
    ($handler:ident, $cx:ident, in session, $session:ident, $request:ident) => {
        $handler($cx, $session, $request)
    };
    ($handler:ident, $cx:ident, $session:ident, $request:ident) => {
        $handler($cx, $request)
    };
}

apis! {
    // From version 0 on in the eyes of clients: many librdkafka releases stop compressing otherwise (KAFKA-18659).
    ProduceRequest 3..=13 produce, advertised_from 0;
    FetchRequest 4..=18 fetch;
    ListOffsetsRequest 1..=11 list_offsets;
    MetadataRequest 0..=13 metadata;
    OffsetCommitRequest 0..=10 offset_commit;
    OffsetFetchRequest 0..=10 offset_fetch;
    FindCoordinatorRequest 0..=6 find_coordinator;
    JoinGroupRequest 0..=9 join_group;
    HeartbeatRequest 0..=4 heartbeat;
    LeaveGroupRequest 0..=5 leave_group;
    SyncGroupRequest 0..=5 sync_group;
    DescribeGroupsRequest 0..=6 describe_groups;
    ListGroupsRequest 0..=5 list_groups;
    SaslHandshakeRequest 0..=1 sasl_handshake, in session;
    ApiVersionsRequest 0..=5 api_versions, in session;
    CreateTopicsRequest 0..=7 create_topics;
    DeleteTopicsRequest 0..=6 delete_topics;
    DeleteRecordsRequest 0..=2 delete_records;
    InitProducerIdRequest 0..=5 init_producer_id;
    OffsetForLeaderEpochRequest 0..=4 offset_for_leader_epoch;
    AddPartitionsToTxnRequest 0..=5 add_partitions_to_txn;
    AddOffsetsToTxnRequest 0..=4 add_offsets_to_txn;
    EndTxnRequest 0..=5 end_txn;
    TxnOffsetCommitRequest 0..=6 txn_offset_commit;
    DescribeConfigsRequest 0..=4 describe_configs;
    AlterConfigsRequest 0..=2 alter_configs;
    DescribeLogDirsRequest 0..=5 describe_log_dirs;
    SaslAuthenticateRequest 0..=2 sasl_authenticate, in session;
    CreatePartitionsRequest 0..=3 create_partitions;
    DeleteGroupsRequest 0..=3 delete_groups;
    IncrementalAlterConfigsRequest 0..=1 incremental_alter_configs;
    OffsetDeleteRequest 0..=0 offset_delete;
    DescribeUserScramCredentialsRequest 0..=0 describe_user_scram_credentials;
    AlterUserScramCredentialsRequest 0..=0 alter_user_scram_credentials;
    DescribeClusterRequest 0..=2 describe_cluster;
    DescribeProducersRequest 0..=0 describe_producers;
    DescribeTransactionsRequest 0..=0 describe_transactions;
    ListTransactionsRequest 0..=2 list_transactions;
    DescribeTopicPartitionsRequest 0..=0 describe_topic_partitions;
}

/// What came in, by API.
#[derive(Debug)]
pub struct ApiCounters {
    /// Requests that were dispatched, in the order of [`SUPPORTED`].
    pub requests: Box<[AtomicU64]>,
    /// Requests of a version or an API that is not served.
    pub unsupported: AtomicU64,
}

impl Default for ApiCounters {
    fn default() -> Self {
        Self { requests: SUPPORTED.iter().map(|_| AtomicU64::default()).collect(), unsupported: AtomicU64::default() }
    }
}

/// Answers the requests of all connections.
pub struct Dispatcher {
    services: Arc<Services>,
    counters: Arc<ApiCounters>,
    /// `ottla.request.elements.max`.
    elements_max: usize,
}

impl Dispatcher {
    /// With these services behind the handlers.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        let elements_max = services.elements_max();
        Self { services, counters: Arc::default(), elements_max }
    }

    /// What is counted.
    #[must_use]
    pub fn counters(&self) -> Arc<ApiCounters> {
        Arc::clone(&self.counters)
    }
}

impl network::Session for Session {
    fn frame_max_before_known(&self) -> Option<usize> {
        Self::frame_max_before_known(self)
    }
}

impl Service for Dispatcher {
    type Session = Session;

    fn session(&self, connection: &Arc<ConnectionContext>) -> Result<Session, Refusal> {
        self.services.session(connection)
    }

    async fn call(
        &self,
        connection: &Arc<ConnectionContext>,
        session: &mut Session,
        frame: Bytes,
        memory: &mut RequestMemory,
    ) -> Result<Reply, Refusal> {
        if session.expects_raw_token() {
            return raw_token(&Context::new(&self.services, connection, session, RAW_TOKEN, None), session, frame)
                .await;
        }
        let (key, version) = key_and_version(&frame)?;
        session.admit(key, clock::monotonic()).map_err(Refusal::because)?;
        let header_version = key.request_header_version(version);
        let mut r = Reader::new(&frame);
        // A client may call itself what it likes: its name only goes into log lines.
        r.set_lossy(true);
        let mut header = RequestHeader::decode(&mut r, header_version).map_err(Refusal::because)?;
        r.set_lossy(false);
        r.limit_elements(self.elements_max);
        refuse_many_tags(&header)?;
        let cx = Context::new(&self.services, connection, session, (key, version), header.client_id.take());
        let served = |api: &SupportedApi| api.key == key && (api.lowest..=api.highest).contains(&version);
        if let Some(place) = SUPPORTED.iter().position(served) {
            self.counters.requests[place].fetch_add(1, Ordering::Relaxed);
            return dispatch(&cx, session, &header, key, &r, memory).await;
        }
        self.counters.unsupported.fetch_add(1, Ordering::Relaxed);
        if session.expects_token() {
            return Err(Refusal::new(format!("{} version {version} in the middle of a SASL exchange", key.name())));
        }
        if key == ApiKey::ApiVersions {
            return ready(header.correlation_id, key, 0, &api_versions::unsupported_version());
        }
        if !session.is_established() {
            return Err(Refusal::new(format!("{} version {version} before authentication", key.name())));
        }
        unsupported::reply(header.correlation_id, key, version, &frame.slice(r.position()..))
    }
}

/// The first two fields of every request header. A key that no schema knows ends the connection: what follows it could
/// be anything.
fn key_and_version(frame: &Bytes) -> Result<(ApiKey, i16), Refusal> {
    let mut r = Reader::new(frame);
    let bad = |error| Refusal::new(format!("not a request header: {error}"));
    let key = r.int16().map_err(bad)?;
    let version = r.int16().map_err(bad)?;
    let key = ApiKey::from_code(key).ok_or_else(|| Refusal::new(format!("unknown API key {key}")))?;
    Ok((key, version))
}

/// Nothing that a client may say of a request in front of it takes long to say.
fn refuse_many_tags(header: &RequestHeader) -> Result<(), Refusal> {
    let bytes = header.unknown_tagged_fields.byte_len();
    let refusal = || Refusal::new(format!("tagged fields of {bytes} bytes in a request header"));
    if bytes <= HEADER_TAG_BYTES_MAX { Ok(()) } else { Err(refusal()) }
}

/// Reads a request. It is charged for what it takes before it takes it; if that is more than it has, it is read anew
/// with twice as much.
async fn decode<R: Request>(body: &Reader<'_>, version: i16, memory: &mut RequestMemory) -> Result<R, Refusal> {
    loop {
        let mut r = body.clone();
        r.limit_heap(memory.granted());
        // What follows the request is left alone, as in Kafka: librdkafka's Metadata from version 9 on has three bytes
        // there (confluentinc/librdkafka#5049).
        let needed = match R::decode(&mut r, version) {
            Ok(request) => return Ok(request),
            Err(error) => match *error.reason() {
                DecodeReason::Memory { needed, .. } => needed,
                DecodeReason::Elements { .. } => {
                    return Err(Refusal::new(format!("{error} (ottla.request.elements.max)")));
                }
                _ => return Err(Refusal::because(error)),
            },
        };
        memory.grow(needed).await?;
    }
}

fn reply<R: Request>(cx: &Context, header: &RequestHeader, answer: Answer<R::Response>) -> Result<Reply, Refusal> {
    let (correlation_id, version) = (header.correlation_id, cx.version);
    match answer {
        Answer::Now(response) => ready(correlation_id, R::KEY, version, &response),
        Answer::Last(response, refusal) => {
            Ok(Reply::Last(encode(correlation_id, R::KEY, version, &response)?, refusal))
        }
        Answer::None => Ok(Reply::None),
        Answer::Close(refusal) => Err(refusal),
        Answer::Later(response) => Ok(Reply::Later(Box::pin(async move {
            match response.await {
                None => Ok(None),
                Some(response) => encode(correlation_id, R::KEY, version, &response).map(Some),
            }
        }))),
    }
}

fn ready<M: Message>(correlation_id: i32, key: ApiKey, version: i16, response: &M) -> Result<Reply, Refusal> {
    encode(correlation_id, key, version, response).map(Reply::Ready)
}

fn encode<M: Message>(correlation_id: i32, key: ApiKey, version: i16, response: &M) -> Result<Frame, Refusal> {
    let mut w = Writer::for_frame();
    let header = ResponseHeader { correlation_id, ..ResponseHeader::default() };
    header.encode(&mut w, key.response_header_version(version)).map_err(Refusal::because)?;
    response.encode(&mut w, version).map_err(Refusal::because)?;
    w.into_frame().map_err(Refusal::because)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_keys_and_has_each_once() {
        assert!(SUPPORTED.is_sorted_by(|a, b| a.key < b.key));
    }

    #[test]
    fn the_readme_has_the_same_table() {
        let readme = include_str!("../../README.md");
        let (_, table) = readme.split_once("| key | API | versions |").expect("the table's head");
        let rows: Vec<_> = table.lines().skip(2).take_while(|line| line.starts_with("| ")).collect();
        let expected = SUPPORTED.iter().map(|SupportedApi { key, lowest, highest, .. }| {
            let versions = if lowest == highest { lowest.to_string() } else { format!("{lowest}–{highest}") };
            format!("| {} | {} | {versions} |", key.code(), key.name())
        });
        assert_eq!(rows, expected.collect::<Vec<_>>());
    }
}
