//! A schedule: what happens to a cloud, and when. It is data: made from a seed, printed, made smaller when it fails.

use proptest::{
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use testbed::proxy::{Disturbance, Moment};

/// What happens to one cloud, from its installation to the end of an update.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Whether Keystone is our own, with its Jobs and pods, or scripted.
    pub keystone: bool,
    /// Whether there is a nodeset, and an administrator who deploys it when he is asked to.
    pub node_set: bool,
    /// Whether `RabbitMQ` and `MariaDB` have the same images in both versions: then the update can be taken back.
    pub same_data: bool,
    /// How many of the events happen during the installation.
    pub installing: usize,
    /// In this order.
    pub events: Vec<Event>,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub struct Event {
    /// After so many writes of the operator since the last event; earlier, if it writes nothing for a while.
    pub after: usize,
    pub what: What,
}

/// What may happen.
#[derive(Clone, Debug)]
pub enum What {
    /// SIGKILL, before or after the write reaches the server; a new process starts.
    Kill(Moment),
    /// SIGTERM; a new process starts.
    Stop,
    /// It stands still for so many milliseconds.
    Freeze(u64),
    /// From now on a second operator, with a Lease of its own, acts beside the first.
    Rival,
    /// So many requests are answered with that code.
    Refuse { code: u16, which: Which, times: usize },
    /// So many writes are lost, or their answers.
    Lose { answer: bool, times: usize },
    /// So many writes are not answered at all.
    Silence { times: usize },
    /// So many requests take that many milliseconds longer.
    Delay { times: usize, millis: u64 },
    /// Every open watch ends, or expires, or falls silent.
    Watches(Disturbance),
    /// The API server is out of reach for so many milliseconds.
    Unplug(u64),
    /// The clock of the operator is that many hours ahead; behind when negative.
    Clock(i64),
    /// A field of a template changes.
    Edit { field: usize, value: u8 },
    /// A custom image is set, or taken back.
    Custom { image: usize, set: bool },
    /// `spec.update.paused`.
    Pause(bool),
    /// `spec.update.holdAfter`.
    Hold(Option<usize>),
    /// There is a newer bundle, and it becomes the target.
    MoveOn,
    /// The target becomes the deployed version again.
    GoBack,
    /// The `OpenStackVersion` is deleted.
    DeleteVersion,
    /// The object of a service is deleted.
    DeleteService(usize),
    /// A service is not ready for so many milliseconds.
    Flap { service: usize, millis: u64 },
    /// A service does not react for so many milliseconds.
    Dawdle { service: usize, millis: u64 },
    /// Somebody rotates keys: those for credentials, or those for tokens.
    Rotate { credentials: bool },
}

/// Which requests a fault is for.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    All,
    Writes,
    Statuses,
    Lists,
}

/// The kinds of faults, for the table at the end.
pub const GROUPS: [&str; 9] =
    ["process", "two leaders", "requests", "watches", "outage", "clock", "edits", "services", "keys"];

impl What {
    /// Its kind, one of [`GROUPS`].
    pub fn group(&self) -> &'static str {
        match self {
            Self::Kill(_) | Self::Stop | Self::Freeze(_) => "process",
            Self::Rival => "two leaders",
            Self::Refuse { .. } | Self::Lose { .. } | Self::Silence { .. } | Self::Delay { .. } => "requests",
            Self::Watches(_) => "watches",
            Self::Unplug(_) => "outage",
            Self::Clock(_) => "clock",
            Self::Edit { .. }
            | Self::Custom { .. }
            | Self::Pause(_)
            | Self::Hold(_)
            | Self::MoveOn
            | Self::GoBack
            | Self::DeleteVersion => "edits",
            Self::DeleteService(_) | Self::Flap { .. } | Self::Dawdle { .. } => "services",
            Self::Rotate { .. } => "keys",
        }
    }
}

impl Schedule {
    /// The schedule of a seed.
    pub fn of(seed: u64) -> Self {
        tree(seed).current()
    }

    /// Whether something like that happens.
    pub fn has(&self, is: impl Fn(&What) -> bool) -> bool {
        self.events.iter().any(|event| is(&event.what))
    }
}

/// The schedule of a seed, and everything that is smaller.
pub fn tree(seed: u64) -> impl ValueTree<Value = Schedule> {
    schedule().new_tree(&mut TestRunner::new_with_rng(Config::default(), seeded(seed))).unwrap()
}

/// The random numbers of a seed.
pub fn seeded(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let cloud = (prop::bool::weighted(0.3), prop::bool::weighted(0.25), prop::bool::weighted(0.4));
    (cloud, 0..3usize, prop::collection::vec(event(), 2..9)).prop_map(|(cloud, installing, events)| {
        let (keystone, node_set, same_data) = cloud;
        Schedule { keystone, node_set, same_data, installing, events }
    })
}

fn event() -> impl Strategy<Value = Event> {
    (0..9usize, what()).prop_map(|(after, what)| Event { after, what })
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        6 => select(vec![Moment::Before, Moment::After]).prop_map(What::Kill),
        1 => Just(What::Stop),
        1 => (100..1500u64).prop_map(What::Freeze),
        1 => Just(What::Rival),
        6 => requests(),
        2 => select(vec![Disturbance::Cut, Disturbance::Expire, Disturbance::Silence]).prop_map(What::Watches),
        1 => (100..3000u64).prop_map(What::Unplug),
        2 => select(vec![-30, -7, -1, 1, 7, 30]).prop_map(What::Clock),
        7 => edits(),
        3 => services(),
        2 => any::<bool>().prop_map(|credentials| What::Rotate { credentials }),
    ]
}

fn requests() -> impl Strategy<Value = What> {
    let codes = select(vec![409, 429, 500, 503, 504]);
    let which = select(vec![Which::All, Which::Writes, Which::Statuses, Which::Lists]);
    prop_oneof![
        4 => (codes, which, 1..4usize).prop_map(|(code, which, times)| What::Refuse { code, which, times }),
        2 => (any::<bool>(), 1..4usize).prop_map(|(answer, times)| What::Lose { answer, times }),
        1 => (1..3usize).prop_map(|times| What::Silence { times }),
        1 => (1..6usize, 50..800u64).prop_map(|(times, millis)| What::Delay { times, millis }),
    ]
}

fn edits() -> impl Strategy<Value = What> {
    prop_oneof![
        3 => (0..4usize, 1..4u8).prop_map(|(field, value)| What::Edit { field, value }),
        3 => (0..4usize, prop::bool::weighted(0.7)).prop_map(|(image, set)| What::Custom { image, set }),
        2 => any::<bool>().prop_map(What::Pause),
        1 => prop::option::of(0..8usize).prop_map(What::Hold),
        1 => Just(What::MoveOn),
        1 => Just(What::GoBack),
        1 => Just(What::DeleteVersion),
    ]
}

fn services() -> impl Strategy<Value = What> {
    let millis = 50..1500u64;
    prop_oneof![
        1 => (0..6usize).prop_map(What::DeleteService),
        2 => (0..6usize, millis.clone()).prop_map(|(service, millis)| What::Flap { service, millis }),
        2 => (0..6usize, millis).prop_map(|(service, millis)| What::Dawdle { service, millis }),
    ]
}
