//! One connection: one task, which reads, lets requests take effect, and sends responses, all from one `poll`.
//!
//! A quiet connection is a socket and a timer. The first byte starts a [`Burst`], which owns the buffer and the responses
//! and lasts until nothing is in flight; so nothing has to be given back piece by piece.
//!
//! Within a burst the order of preference is: take a whole frame that has arrived, send what is ready, read. Thus frames
//! that arrive together take effect together, and their responses leave together. While a request takes effect nothing
//! is read, while a response is waited for, reading goes on up to the bounds.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    net::IpAddr,
    pin::{Pin, pin},
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use tokio::{net::TcpStream, time::sleep_until};
use tokio_rustls::server::TlsStream;

use super::{
    BoxFuture, CloseKind, ConnectionContext, NetworkCounters, NetworkSettings, Refusal, Reply, Service, Session,
    TlsPeer, TlsSettings,
    arrivals::{Arrival, Arrivals},
    budget::{Account, Budget, Parked},
    close_reason::CloseReason,
    connections::Entry,
    deadlines::{Timer, frame_deadline, response_deadline},
    limits::CreationRate,
    memory::RequestMemory,
    send::Outgoing,
    tls,
    transport::Transport,
};
use crate::{
    clock,
    complaints::Complaints,
    protocol::frame::{Frame, SIZE_PREFIX, announced_size, next_frame},
};

/// The buffer that a burst begins with: what every connection may hold without asking.
const FIRST_BUFFER: usize = 4 << 10;
/// A larger frame gets room for this much at first, and is charged for it from its first byte until it has taken effect.
const SECOND_BUFFER: usize = 16 << 10;
/// Whole requests up to this size are not charged to the budget.
const SMALL_REQUEST: usize = 16 << 10;
/// Responses in memory up to this size are not charged to the budget.
const SMALL_RESPONSE: usize = 16 << 10;
/// Less free room than this is not worth a read, unless it completes the frame.
const READ_MIN: usize = 4 << 10;
/// How often the pace of a large frame is looked at.
const PACE_INTERVAL: Duration = Duration::from_secs(3);
/// How often the pace is looked at in which responses are taken.
const TAKING_INTERVAL: Duration = Duration::from_secs(1);
/// By what the buffer of a large frame exceeds the bytes that have arrived.
const GROWTH: usize = 4;

/// What all connections share.
pub(super) struct Shared<S> {
    pub(super) service: Arc<S>,
    pub(super) settings: NetworkSettings,
    pub(super) counters: Arc<NetworkCounters>,
    pub(super) budget: Arc<Budget>,
    pub(super) arrivals: Arrivals,
    pub(super) creation_rate: Mutex<CreationRate>,
    pub(super) complaints: Mutex<Complaints<IpAddr>>,
}

/// Serves a connection to its end: greets the client where TLS is spoken, asks the service who it is, then takes requests.
pub(super) async fn run<S: Service>(
    shared: Arc<Shared<S>>,
    stream: TcpStream,
    tls: Option<Arc<TlsSettings>>,
    mut context: ConnectionContext,
    entry: Entry,
) {
    let known_by = clock::after(clock::monotonic(), shared.settings.handshake_deadline);
    let mut end = End::new(&shared.counters);
    let transport = match tls {
        None => Transport::Plain(stream),
        // Boxed, because it is over before the rest begins.
        Some(tls) => match Box::pin(greet(&tls, stream, known_by, &entry)).await {
            Ok((stream, peer)) => {
                context.tls = Some(peer);
                Transport::Tls(stream)
            }
            Err(reason) => {
                end.kind = reason.kind();
                return reason.log(&context, &shared.complaints);
            }
        },
    };
    let context = Arc::new(context);
    let timer = Timer::new(clock::after(clock::monotonic(), shared.settings.max_idle));
    let account = shared.budget.account(context.id);
    let mut session = match shared.service.session(&context) {
        Ok(session) => session,
        Err(refusal) => {
            let reason = CloseReason::Refused(refusal);
            end.kind = reason.kind();
            return reason.log(&context, &shared.complaints);
        }
    };
    let mut connection = Connection {
        shared: &shared,
        context: &context,
        transport,
        entry,
        timer,
        account,
        unknown: None,
        heard_at: clock::monotonic(),
        partial_since: None,
    };
    connection.unknown = session.frame_max_before_known().map(|frame_max| (known_by, frame_max));
    poll_fn(|cx| {
        connection.entry.register(cx.waker());
        Poll::Ready(())
    })
    .await;
    let reason = connection.serve(&mut session).await;
    poll_fn(|cx| {
        connection.transport.say_farewell(cx);
        Poll::Ready(())
    })
    .await;
    end.kind = reason.kind();
    reason.log(&context, &shared.complaints);
}

/// The handshake of TLS, within the time for it.
async fn greet(
    tls: &TlsSettings,
    stream: TcpStream,
    known_by: Instant,
    entry: &Entry,
) -> Result<(Box<TlsStream<TcpStream>>, TlsPeer), CloseReason> {
    let mut handshake = pin!(tls::handshake(tls, stream));
    let mut overdue = pin!(sleep_until(known_by.into()));
    poll_fn(|cx| {
        entry.register(cx.waker());
        if entry.stop_at().is_some() {
            return Poll::Ready(Err(CloseReason::Shutdown));
        }
        if let Poll::Ready(greeted) = handshake.as_mut().poll(cx) {
            return Poll::Ready(greeted.map(|(stream, peer)| (Box::new(stream), peer)).map_err(CloseReason::from));
        }
        overdue.as_mut().poll(cx).map(|()| Err(CloseReason::SlowHandshake))
    })
    .await
}

struct Connection<'s, S: Service> {
    shared: &'s Shared<S>,
    context: &'s Arc<ConnectionContext>,
    transport: Transport,
    entry: Entry,
    timer: Timer,
    account: Arc<Account>,
    /// Until when the client must have said who it is, and the greatest frame until then; `None` once it has.
    unknown: Option<(Instant, usize)>,
    /// When it last said something that could be read.
    heard_at: Instant,
    /// Since when there is a part of a TLS record of which the rest has not come.
    partial_since: Option<Instant>,
}

impl<S: Service> Connection<'_, S> {
    async fn serve(&mut self, session: &mut S::Session) -> CloseReason {
        loop {
            if let Err(reason) = poll_fn(|cx| self.poll_readable(cx)).await {
                return reason;
            }
            let heard_before = self.heard_at;
            // Boxed, so that a quiet connection does not hold the room that a request needs.
            if let Err(reason) = Box::pin(Burst::new(self).run(session)).await {
                return reason;
            }
            match self.heard_at == heard_before {
                true => drop(self.partial_since.get_or_insert_with(clock::monotonic)),
                false => self.partial_since = None,
            }
        }
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        if self.entry.stop_at().is_some() {
            return Poll::Ready(Err(CloseReason::Shutdown));
        }
        if let Poll::Ready(readable) = self.transport.poll_readable(cx) {
            return Poll::Ready(readable.map_err(CloseReason::Lost));
        }
        let settings = &self.shared.settings;
        let idle = Some((clock::after(self.heard_at, settings.max_idle), CloseReason::Idle));
        let unknown = self.unknown.map(|(known_by, _)| (known_by, CloseReason::Unknown));
        let partial = self.partial_since.map(|since| {
            (clock::after(since, settings.frame_deadline), CloseReason::SlowRequest { arrived: 0, announced: None })
        });
        let first = [idle, unknown, partial].into_iter().flatten().min_by_key(|(deadline, _)| *deadline);
        let (deadline, reason) = first.expect("a connection may always be idle for too long");
        ready!(self.timer.poll(deadline, cx));
        Poll::Ready(Err(reason))
    }

    /// Notes whether the client is known by now, or has to show anew that it is.
    fn look_at(&mut self, session: &S::Session) {
        let by = |frame_max| {
            let known_by = || clock::after(clock::monotonic(), self.shared.settings.handshake_deadline);
            (self.unknown.map_or_else(known_by, |(known_by, _)| known_by), frame_max)
        };
        self.unknown = session.frame_max_before_known().map(by);
    }

    fn request_max_bytes(&self) -> usize {
        let settings = &self.shared.settings;
        self.unknown.map_or(usize::MAX, |(_, frame_max)| frame_max).min(settings.request_max_bytes)
    }
}

/// From the first byte that arrives at a quiet connection until nothing is in flight.
struct Burst<'c, 's, S: Service> {
    connection: &'c mut Connection<'s, S>,
    /// What has arrived and is not taken: whole frames only while reading is held up.
    buffer: BytesMut,
    /// What `buffer` holds beyond a first few bytes, for the frame at its front.
    arrival: Option<Arrival>,
    /// When the large frame at the front had last kept the least pace, and how much of it had arrived.
    pace: Option<(Instant, usize)>,
    /// Whether a request takes effect.
    is_busy: bool,
    /// Responses that wait for one before them. The first is a `Later`.
    pending: VecDeque<Pending>,
    pending_bytes: usize,
    outgoing: Outgoing,
    /// The connection ends for this reason when the responses before it are sent.
    closing: Option<CloseReason>,
    /// Sending has failed: the connection ends when the request at hand has taken effect.
    broken: Option<CloseReason>,
    /// Since when the client is waited for to complete a frame.
    frame_since: Option<Instant>,
    /// Since when something waits for the client to take it, and how much it had taken: of a file, since it took
    /// something last.
    stalled: Option<(u64, Instant)>,
    /// When the client had last kept the least pace of taking, and how much it had taken.
    taking: Option<(u64, Instant)>,
}

struct Request {
    frame: Bytes,
    /// Of the budget, until the request has taken effect.
    charged: usize,
}

/// A response that waits, and what it holds meanwhile.
struct Pending {
    response: Response,
    _parked: Parked,
}

enum Response {
    Ready(Frame),
    Later(BoxFuture<'static, Result<Option<Frame>, Refusal>>),
}

impl<'c, 's, S: Service> Burst<'c, 's, S> {
    fn new(connection: &'c mut Connection<'s, S>) -> Self {
        Self {
            connection,
            buffer: BytesMut::new(),
            arrival: None,
            pace: None,
            is_busy: false,
            pending: VecDeque::new(),
            pending_bytes: 0,
            outgoing: Outgoing::default(),
            closing: None,
            broken: None,
            frame_since: None,
            stalled: None,
            taking: None,
        }
    }

    async fn run(mut self, session: &mut S::Session) -> Result<(), CloseReason> {
        let (shared, context) = (self.connection.shared, self.connection.context);
        while let Some(Request { frame, charged }) = poll_fn(|cx| self.poll_request(cx)).await? {
            shared.counters.requests.fetch_add(1, Relaxed);
            let mut memory = RequestMemory::new(Arc::clone(&self.connection.account));
            let reply = {
                let mut call = pin!(shared.service.call(context, session, frame, &mut memory));
                poll_fn(|cx| self.poll_call(call.as_mut(), cx)).await?
            };
            self.connection.look_at(session);
            if let Err(refusal) = reply.and_then(|reply| self.queue(reply, &memory)) {
                self.close(CloseReason::Refused(refusal));
            }
            drop(memory);
            self.connection.account.shrink(charged);
            self.is_busy = false;
            self.settle();
        }
        Ok(())
    }

    /// Brings the account in line with what is there. An overdraft ends with the request that needed it and with its
    /// response.
    fn settle(&mut self) {
        let (account, unsent) = (&self.connection.account, self.outgoing.bytes_in_memory());
        account.set_unsent(if unsent > SMALL_RESPONSE { unsent } else { 0 });
        if account.unsent() == 0 && !self.is_busy {
            account.end_overdraft();
        }
    }

    /// The next request; `None` when the connection is quiet.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Request>, CloseReason>> {
        let request = self.poll_arrival(cx);
        if request.is_pending()
            && let Poll::Ready(overdue) = self.poll_overdue(cx)
        {
            return Poll::Ready(Err(overdue));
        }
        request
    }

    fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Request>, CloseReason>> {
        loop {
            let took = self.takes_requests() && self.poll_admission(cx).is_ready();
            if took && let Some(request) = self.take_request() {
                return Poll::Ready(Ok(Some(request)));
            }
            let sent = self.poll_responses(cx)?;
            if sent.is_ready()
                && let Some(reason) = self.ending()
            {
                return Poll::Ready(Err(reason));
            }
            if !self.takes_requests() || self.poll_admission(cx).is_pending() {
                (self.frame_since, self.pace) = (None, None);
                return Poll::Pending;
            }
            if took && self.poll_fill(cx).is_pending() {
                let quiet = sent.is_ready() && self.buffer.is_empty();
                return if quiet { Poll::Ready(Ok(None)) } else { Poll::Pending };
            }
        }
    }

    /// Lets a request take effect. Meanwhile responses are sent.
    fn poll_call<F>(&mut self, call: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<Result<F::Output, CloseReason>>
    where
        F: Future<Output = Result<Reply, Refusal>>,
    {
        if let Poll::Ready(reply) = call.poll(cx) {
            return Poll::Ready(self.broken.take().map_or(Ok(reply), Err));
        }
        if self.broken.is_none()
            && let Poll::Ready(Err(reason)) = self.poll_responses(cx)
        {
            self.broken = Some(reason);
        }
        match ready!(self.poll_overdue(cx)) {
            CloseReason::ShutdownOverdue => Poll::Ready(Err(CloseReason::ShutdownOverdue)),
            overdue => {
                (self.stalled, self.taking) = (None, None);
                self.broken = Some(overdue);
                // Polled again for the deadline that is left.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    /// Whether a request may be taken, and thus read.
    fn takes_requests(&self) -> bool {
        let settings = &self.connection.shared.settings;
        self.closing.is_none()
            && self.connection.entry.stop_at().is_none()
            && self.pending.len() + self.outgoing.frames() < settings.in_flight_max
            && self.pending_bytes + self.outgoing.bytes_in_memory() < settings.response_bytes_max
            // Where there is little room a connection's own responses leave first.
            && (self.outgoing.bytes_in_memory() == 0
                || self.connection.account.has_room() && !self.connection.account.is_crowded())
    }

    /// Ready when the budget allows for the request at the front, if that has arrived.
    fn poll_admission(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.announced() {
            Some(total) if self.buffer.len() >= total => self.connection.account.poll_admit(cx),
            _ => Poll::Ready(()),
        }
    }

    fn take_request(&mut self) -> Option<Request> {
        match next_frame(&mut self.buffer, self.connection.request_max_bytes()) {
            Ok(frame) => {
                let frame = frame?;
                self.frame_since = None;
                self.pace = None;
                self.is_busy = true;
                let charged = if frame.len() > SMALL_REQUEST { frame.len() } else { 0 };
                if charged > 0 {
                    self.connection.account.grow_now(charged);
                }
                self.arrival = None;
                Some(Request { frame, charged })
            }
            Err(error) => {
                self.close(CloseReason::BadFrame(error));
                None
            }
        }
    }

    /// What waits takes what it holds with it: into the account of that which may wait for long.
    fn queue(&mut self, reply: Reply, memory: &RequestMemory) -> Result<(), Refusal> {
        let park = |bytes| self.connection.account.park(bytes).ok_or_else(too_much_waits);
        match reply {
            Reply::None => {}
            Reply::Last(frame, refusal) => {
                self.close(CloseReason::Refused(refusal));
                self.outgoing.push(frame);
            }
            Reply::Ready(frame) if self.pending.is_empty() => self.outgoing.push(frame),
            Reply::Ready(frame) => {
                let bytes = frame.len_in_memory();
                let parked = park(if bytes > SMALL_RESPONSE { bytes } else { 0 })?;
                self.pending_bytes += bytes;
                self.pending.push_back(Pending { response: Response::Ready(frame), _parked: parked });
            }
            Reply::Later(response) => {
                let parked = park(memory.charged())?;
                self.pending.push_back(Pending { response: Response::Later(response), _parked: parked });
            }
        }
        Ok(())
    }

    /// Takes no more requests and waits for no more responses: what is ready is sent, then the connection ends.
    fn close(&mut self, reason: CloseReason) {
        self.closing.get_or_insert(reason);
        self.pending.clear();
        self.pending_bytes = 0;
        self.buffer = BytesMut::new();
        self.arrival = None;
        (self.frame_since, self.pace) = (None, None);
    }

    /// Why the connection ends now that nothing is in flight, if it does.
    fn ending(&mut self) -> Option<CloseReason> {
        self.closing.take().or_else(|| self.connection.entry.stop_at().map(|_| CloseReason::Shutdown))
    }

    /// Sends what is ready. Ready when nothing is in flight.
    fn poll_responses(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        loop {
            let head = self.poll_pending(cx);
            ready!(self.poll_outgoing(cx))?;
            ready!(head);
            if self.pending.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Hands over pending responses from the front on. Pending when the first one is not known yet.
    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.outgoing.bytes_in_memory() < self.connection.shared.settings.response_bytes_max {
            let Some(first) = self.pending.front_mut() else { break };
            let response = match &mut first.response {
                Response::Ready(_) => None,
                Response::Later(response) => Some(ready!(response.as_mut().poll(cx))),
            };
            match (response, self.pending.pop_front().map(|first| first.response)) {
                (Some(Ok(Some(frame))), _) => self.outgoing.push(frame),
                (Some(Err(refusal)), _) => self.close(CloseReason::Refused(refusal)),
                (None, Some(Response::Ready(frame))) => {
                    self.pending_bytes -= frame.len_in_memory();
                    self.outgoing.push(frame);
                }
                _ => {}
            }
        }
        Poll::Ready(())
    }

    fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        let written_before = self.outgoing.written();
        let sent = self.outgoing.poll_send(&mut self.connection.transport, cx);
        let written = self.outgoing.written();
        if written != written_before {
            self.connection.shared.counters.bytes_out.fetch_add(written - written_before, Relaxed);
        }
        if sent.is_ready() || self.outgoing.is_loading() {
            (self.stalled, self.taking) = (None, None);
        } else if self.stalled.is_none() || written != written_before && self.outgoing.is_sending_file() {
            self.stalled = Some((written, clock::monotonic()));
        }
        if self.stalled.is_some() {
            self.taking.get_or_insert_with(|| (written, clock::monotonic()));
        }
        self.settle();
        sent.map_err(|error| self.closing.take().unwrap_or_else(|| error.into()))
    }

    /// Reads once. Ready when something has changed.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.poll_room(cx).is_pending() {
            (self.frame_since, self.pace) = (None, None);
            return Poll::Pending;
        }
        match self.connection.transport.poll_read(&mut self.buffer, cx) {
            Poll::Pending => {
                if !self.buffer.is_empty() {
                    self.frame_since.get_or_insert_with(clock::monotonic);
                }
                if self.arrival.is_some() {
                    self.pace.get_or_insert_with(|| (clock::monotonic(), self.buffer.len()));
                }
                return Poll::Pending;
            }
            Poll::Ready(Ok(0)) if self.buffer.is_empty() => self.close(CloseReason::Peer),
            Poll::Ready(Ok(0)) => self.close(CloseReason::Truncated { arrived: self.buffer.len() }),
            Poll::Ready(Ok(n)) => {
                self.connection.heard_at = clock::monotonic();
                self.connection.shared.counters.bytes_in.fetch_add(n as u64, Relaxed);
            }
            Poll::Ready(Err(error)) => self.close(CloseReason::Lost(error)),
        }
        Poll::Ready(())
    }

    /// Makes room to read into, in proportion to what has arrived and not to what is announced. Pending when the budget
    /// has none.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let arrived = self.buffer.len();
        let room = self.buffer.capacity() - arrived;
        let Some(total) = self.announced() else {
            if room < READ_MIN {
                self.buffer.reserve(FIRST_BUFFER);
            }
            return Poll::Ready(());
        };
        if room >= READ_MIN.min(total.saturating_sub(arrived)) {
            return Poll::Ready(());
        }
        let target = total.min(SECOND_BUFFER.max(arrived.saturating_mul(GROWTH)));
        if target > FIRST_BUFFER {
            let arrivals = &self.connection.shared.arrivals;
            ready!(self.arrival.get_or_insert_with(|| arrivals.begin(total)).poll_grow(target, cx));
        }
        self.buffer.reserve(target - arrived);
        Poll::Ready(())
    }

    /// The whole length of the frame at the front, its prefix included, once it is known. A bad one is found when the
    /// frame is taken.
    fn announced(&self) -> Option<usize> {
        let size = announced_size(&self.buffer, self.connection.request_max_bytes()).ok()??;
        Some(SIZE_PREFIX + size)
    }

    /// Ready when a deadline is over.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let overdue = loop {
            let Some((deadline, overdue)) = self.next_deadline() else { return Poll::Pending };
            ready!(self.connection.timer.poll(deadline, cx));
            match overdue {
                Overdue::Pace if !self.lags_behind() => self.pace = Some((clock::monotonic(), self.buffer.len())),
                Overdue::Taking if !self.takes_too_slowly() => {
                    self.taking = Some((self.outgoing.written(), clock::monotonic()));
                }
                overdue => break overdue,
            }
        };
        Poll::Ready(match overdue {
            Overdue::Shutdown => CloseReason::ShutdownOverdue,
            Overdue::Response => CloseReason::SlowReader { unsent: self.outgoing.frames() },
            Overdue::Taking => CloseReason::HoldsMemory { unsent: self.outgoing.bytes_in_memory() },
            Overdue::Handshake => CloseReason::Unknown,
            Overdue::Pace => CloseReason::HoldsUpOthers { arrived: self.buffer.len(), announced: self.announced() },
            Overdue::Frame => CloseReason::SlowRequest { arrived: self.buffer.len(), announced: self.announced() },
        })
    }

    /// Whether the frame at the front has come more slowly than it must when others wait for the room that it holds.
    fn lags_behind(&self) -> bool {
        let Some((since, arrived_then)) = self.pace else { return false };
        let arrived = self.buffer.len().saturating_sub(arrived_then) as u64;
        self.is_slow(arrived, since) && self.arrival.as_ref().is_some_and(Arrival::is_contended)
    }

    /// Whether responses were taken more slowly than they must be when there is little room for those of others.
    fn takes_too_slowly(&self) -> bool {
        let (Some((taken_then, since)), account) = (self.taking, &self.connection.account) else { return false };
        self.is_slow(self.outgoing.written() - taken_then, since) && account.unsent() > 0 && account.is_crowded()
    }

    /// Whether so many bytes since then are fewer than the least pace makes.
    fn is_slow(&self, bytes: u64, since: Instant) -> bool {
        let elapsed = clock::monotonic().saturating_duration_since(since).as_millis();
        u128::from(bytes) < self.connection.shared.settings.rate_min as u128 * elapsed / 1000
    }

    fn next_deadline(&self) -> Option<(Instant, Overdue)> {
        let settings = &self.connection.shared.settings;
        let stop = self.connection.entry.stop_at().map(|at| (at, Overdue::Shutdown));
        let stalled = self.stalled.map(|(written_then, since)| {
            (response_deadline(settings, since, self.outgoing.written() - written_then), Overdue::Response)
        });
        let frame = self.frame_since.map(|since| (frame_deadline(settings, since, self.announced()), Overdue::Frame));
        // A request that takes effect may be what makes the client known.
        let unknown =
            self.connection.unknown.filter(|_| !self.is_busy).map(|(known_by, _)| (known_by, Overdue::Handshake));
        let pace = self.pace.map(|(since, _)| (since + PACE_INTERVAL, Overdue::Pace));
        let taking = self.taking.map(|(_, since)| (since + TAKING_INTERVAL, Overdue::Taking));
        [stop, stalled, frame, unknown, pace, taking].into_iter().flatten().min_by_key(|(deadline, _)| *deadline)
    }
}

#[cold]
fn too_much_waits() -> Refusal {
    Refusal::new("too much waits for clients: long polls and the responses behind them fill their memory")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Overdue {
    Shutdown,
    Response,
    Frame,
    Handshake,
    Pace,
    Taking,
}

/// Counts a connection as open for as long as it lives, and then the way in which it ended.
struct End<'a> {
    counters: &'a NetworkCounters,
    kind: CloseKind,
}

impl<'a> End<'a> {
    fn new(counters: &'a NetworkCounters) -> Self {
        counters.active.fetch_add(1, Relaxed);
        Self { counters, kind: CloseKind::Panicked }
    }
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.counters.active.fetch_sub(1, Relaxed);
        self.counters.count_closed(self.kind);
    }
}
