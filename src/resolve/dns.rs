//! The thread that queries name servers: one tokio runtime, started after the fork.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, unbounded};
use domain::base::iana::{Class, Rcode};
use domain::base::name::{Name, ToName};
use domain::base::{Message, MessageBuilder, Rtype};
use domain::net::client::protocol::{TcpConnect, UdpConnect};
use domain::net::client::request::{RequestMessage, SendRequest};
use domain::net::client::{dgram, dgram_stream, multi_stream, redundant};
use domain::rdata::{A, Aaaa, Naptr as NaptrData, Soa, Srv as SrvData};
use futures_util::future::{Either, join_all, select};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::plan::{Answer, Naptr, Plan, Question, Records, Srv};
use super::system::{Settings, Stamp, System};
use super::target::{Target, Transport};
use super::{Failure, LIMIT, Located};

/// How long to wait for the answer to one datagram before repeating it: within [`LIMIT`] one may
/// get lost, and a server that is down gives way to the next.
const ONE_TRY: Duration = Duration::from_millis(1_200);
const RETRIES: u8 = 2;
/// Questions under way to one name server.
const MAX_PARALLEL: usize = 1_000;
/// How long the addresses of one family wait for those of the other: some name servers never answer
/// for one of them.
const OTHER_FAMILY: Duration = Duration::from_millis(500);
/// How long a name counts as non-existent if the answer gives no time.
const UNSAID_TTL: Duration = Duration::from_secs(60);

type Query = RequestMessage<Vec<u8>>;
type Servers = redundant::Connection<Query>;

/// The target, its addresses or the failure, and how long the result is valid.
pub type Outcome = (Target, Result<Located, Failure>, Duration);

/// The thread. Dropping it ends it, even while it waits.
#[derive(Debug)]
pub struct Resolver {
    questions: Option<UnboundedSender<Target>>,
    outcomes: Receiver<Outcome>,
    thread: Option<JoinHandle<()>>,
}

impl Resolver {
    /// Starts the thread: after the fork, with the signals blocked. `supported` are the transports
    /// that the host can use; `wake` is called when an outcome is ready.
    ///
    /// # Errors
    /// The system has no thread or file left.
    pub fn start(
        system: System,
        supported: Vec<Transport>,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (questions, asked) = unbounded_channel();
        let (told, outcomes) = unbounded();
        let names = Names {
            system,
            supported,
            told,
            wake,
        };
        let thread = thread::Builder::new()
            .name("resolver".into())
            .spawn(move || runtime.block_on(Arc::new(names).serve(asked)))?;
        Ok(Self {
            questions: Some(questions),
            outcomes,
            thread: Some(thread),
        })
    }

    /// Starts a look-up; never waits.
    pub fn ask(&self, target: Target) {
        if let Some(questions) = &self.questions {
            // The thread ends only together with this owner.
            let _ = questions.send(target);
        }
    }

    /// The next outcome.
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcomes.try_recv().ok()
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.questions = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Names {
    system: System,
    supported: Vec<Transport>,
    told: Sender<Outcome>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Names {
    async fn serve(self: Arc<Self>, mut asked: UnboundedReceiver<Target>) {
        let mut upstream: Option<(Stamp, Arc<Upstream>)> = None;
        while let Some(target) = asked.recv().await {
            let stamp = self.system.stamp();
            let current = match upstream.take().filter(|(of, _)| *of == stamp) {
                Some(current) => current,
                None => (stamp, Arc::new(Upstream::of(&self.system).await)),
            };
            let servers = Arc::clone(&current.1);
            upstream = Some(current);
            let names = Arc::clone(&self);
            tokio::spawn(async move { names.look_up(target, &servers).await });
        }
    }

    async fn look_up(&self, target: Target, upstream: &Upstream) {
        let mut plan = Plan::new(&target, &self.supported);
        let found = timeout(LIMIT, async {
            while !plan.questions().is_empty() {
                let answers = plan.questions().iter().map(|it| self.ask(it, upstream));
                let answers = join_all(answers).await;
                plan.take(answers);
            }
            plan.result()
        });
        let (found, ttl) = match found.await {
            Ok(result) => result,
            Err(_) => (Err(Failure::TimedOut), Duration::ZERO),
        };
        let _ = self.told.send((target, found, ttl));
        (self.wake)();
    }

    async fn ask(&self, question: &Question, upstream: &Upstream) -> Answer {
        match question {
            Question::Naptr(name) => upstream.naptr(name).await,
            Question::Srv(name) => upstream.srv(name).await,
            Question::Addresses(name) => {
                let known = self.system.known(name);
                if known.is_empty() {
                    return upstream.host(name).await;
                }
                Answer::Found(Records::Addresses(known), UNSAID_TTL)
            }
        }
    }
}

/// The name servers.
struct Upstream {
    settings: Settings,
    servers: Servers,
}

impl Upstream {
    async fn of(system: &System) -> Self {
        let settings = system.settings();
        let mut config = redundant::Config::default();
        config.set_defer_transport_error(true);
        config.set_defer_refused(true);
        config.set_defer_servfail(true);
        let (servers, transport) = redundant::Connection::with_config(config);
        tokio::spawn(transport.run());
        for address in &settings.servers {
            let server = server(*address, settings.only_tcp);
            // Fails only after its task has ended, and the task outlives this.
            let _ = servers.add(server).await;
        }
        Self { settings, servers }
    }

    async fn naptr(&self, name: &str) -> Answer {
        let read = |message: &Message<Bytes>| {
            records(message, |data: &NaptrData<_, _>| {
                Some(Naptr {
                    order: data.order(),
                    preference: data.preference(),
                    flags: text(data.flags()),
                    service: text(data.services()),
                    replacement: plain(data.replacement()),
                })
            })
        };
        self.ask(name, Rtype::NAPTR, read, Records::Naptr).await
    }

    async fn srv(&self, name: &str) -> Answer {
        let read = |message: &Message<Bytes>| {
            records(message, |data: &SrvData<_>| {
                Some(Srv {
                    priority: data.priority(),
                    weight: data.weight(),
                    port: data.port(),
                    target: plain(data.target()),
                })
            })
        };
        self.ask(name, Rtype::SRV, read, Records::Srv).await
    }

    /// Looks up the host's name as it is, or completed by the search list.
    async fn host(&self, name: &str) -> Answer {
        let mut last = Answer::Failed;
        for name in self.settings.complete(name) {
            last = self.addresses(&name).await;
            if matches!(last, Answer::Found(..)) {
                break;
            }
        }
        last
    }

    async fn addresses(&self, name: &str) -> Answer {
        let four = |message: &Message<Bytes>| records(message, |data: &A| Some(data.addr().into()));
        let six =
            |message: &Message<Bytes>| records(message, |data: &Aaaa| Some(data.addr().into()));
        let four = pin!(self.ask(name, Rtype::A, four, Records::Addresses));
        let six = pin!(self.ask(name, Rtype::AAAA, six, Records::Addresses));
        match select(four, six).await {
            Either::Left((four, six)) => both(four.clone(), other_family(&four, six).await),
            Either::Right((six, four)) => both(other_family(&six, four).await, six),
        }
    }

    /// Sends one question. From the answer it takes only records of the name, or of the name it is
    /// an alias of.
    async fn ask<T>(
        &self,
        name: &str,
        kind: Rtype,
        read: impl Fn(&Message<Bytes>) -> Option<(Vec<T>, Duration)>,
        records: impl Fn(Vec<T>) -> Records,
    ) -> Answer {
        let Some(query) = query(name, kind) else {
            return Answer::Nothing(UNSAID_TTL);
        };
        let mut request = self.servers.send_request(query);
        let Ok(message) = request.get_response().await else {
            return Answer::Failed;
        };
        if !matches!(message.header().rcode(), Rcode::NOERROR | Rcode::NXDOMAIN) {
            return Answer::Failed;
        }
        match read(&message) {
            None => Answer::Failed,
            Some((found, _)) if found.is_empty() => Answer::Nothing(negative_ttl(&message)),
            Some((found, ttl)) => Answer::Found(records(found), ttl),
        }
    }
}

/// A connection to a name server: datagrams first, and TCP where an answer is too long for one.
fn server(address: SocketAddr, only_tcp: bool) -> Box<dyn SendRequest<Query> + Send + Sync> {
    let tcp = TcpConnect::new(address);
    let mut stream = multi_stream::Config::default();
    stream.set_response_timeout(LIMIT);
    if only_tcp {
        let (connection, transport) = multi_stream::Connection::with_config(tcp, stream);
        run(transport.run());
        return Box::new(connection);
    }
    let mut datagrams = dgram::Config::new();
    datagrams.set_read_timeout(ONE_TRY);
    datagrams.set_max_retries(RETRIES);
    datagrams.set_max_parallel(MAX_PARALLEL);
    // As in the C library: some servers, and boxes before them, drop requests with options they do
    // not know.
    datagrams.set_udp_payload_size(None);
    let config = dgram_stream::Config::from_parts(datagrams, stream);
    let udp = UdpConnect::new(address);
    let (connection, transport) = dgram_stream::Connection::with_config(udp, tcp, config);
    run(transport.run());
    Box::new(connection)
}

fn run(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

fn query(name: &str, kind: Rtype) -> Option<Query> {
    let name: Name<Vec<u8>> = name.parse().ok()?;
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_rd(true);
    let mut message = message.question();
    message.push((name, kind, Class::IN)).ok()?;
    RequestMessage::new(message.into_message()).ok()
}

/// The records of one kind in an answer to its question, and the shortest validity of them and of
/// the aliases before them; `None` when it cannot be read.
fn records<'a, T, D>(
    message: &'a Message<Bytes>,
    read: impl Fn(&D) -> Option<T>,
) -> Option<(Vec<T>, Duration)>
where
    D: domain::base::rdata::ParseRecordData<'a, Bytes>,
{
    let canonical = message.canonical_name()?;
    let (mut found, mut ttl) = (Vec::new(), Duration::MAX);
    for record in message.answer().ok()? {
        let record = record.ok()?;
        ttl = ttl.min(record.ttl().into_duration());
        let Ok(Some(record)) = record.into_record::<D>() else {
            continue;
        };
        if record.owner().name_eq(&canonical) {
            found.extend(read(record.data()));
        }
    }
    Some((found, ttl))
}

/// Validity of a negative answer (RFC 2308 §5).
fn negative_ttl(message: &Message<Bytes>) -> Duration {
    let Ok(authority) = message.authority() else {
        return UNSAID_TTL;
    };
    let mut ends = authority.limit_to::<Soa<_>>().flatten().map(|record| {
        let minimum = record.data().minimum().into_duration();
        record.ttl().into_duration().min(minimum)
    });
    ends.next().unwrap_or(UNSAID_TTL)
}

/// Waits at most [`OTHER_FAMILY`] for the second answer once the first has found something.
async fn other_family(first: &Answer, second: impl Future<Output = Answer>) -> Answer {
    if !matches!(first, Answer::Found(..)) {
        return second.await;
    }
    let second = timeout(OTHER_FAMILY, second).await;
    second.unwrap_or(Answer::Failed)
}

/// A host has addresses of either family, or of both.
fn both(four: Answer, six: Answer) -> Answer {
    match (four, six) {
        (
            Answer::Found(Records::Addresses(mut first), one),
            Answer::Found(Records::Addresses(second), other),
        ) => {
            first.extend(second);
            Answer::Found(Records::Addresses(first), one.min(other))
        }
        (found @ Answer::Found(..), _) | (_, found @ Answer::Found(..)) => found,
        (Answer::Nothing(one), Answer::Nothing(other)) => Answer::Nothing(one.min(other)),
        _ => Answer::Failed,
    }
}

fn text(octets: &domain::base::CharStr<Bytes>) -> String {
    String::from_utf8_lossy(octets.as_slice()).into_owned()
}

/// A name in lower case, without a dot at the end; empty for the root.
fn plain(name: &impl ToName) -> String {
    let name = name.to_vec().to_string();
    name.trim_end_matches('.').to_ascii_lowercase()
}
