//! The source of truth: rows with versions, and what of them is cached under which key.

use std::sync::Mutex;
use std::time::Duration;

use cache_core::{Life, LoadTimeout};

use crate::timeline::lock;

/// Rows; each belongs to the group of its parity.
pub(crate) const ROWS: usize = 4;
pub(crate) const GROUPS: usize = 2;
pub(crate) const LANGUAGES: usize = 2;
/// The longest stale window.
pub(crate) const WINDOW: Duration = Duration::from_millis(700);

/// The version of each row.
pub(crate) type Versions = [u64; ROWS];

/// A cached value: the rows it was made of, each with its version.
pub(crate) type Value = Vec<u64>;

/// Why a fetch gave no value.
#[derive(Debug)]
pub(crate) enum Failed {
    Load,
    Timeout,
}

impl From<LoadTimeout> for Failed {
    fn from(_: LoadTimeout) -> Self {
        Self::Timeout
    }
}

/// How a key is loaded and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// One row, with its tags said beforehand.
    Row,
    /// One row, whose tags are known when it has been read.
    Late,
    /// One row, with a stale window.
    Window,
    /// One row, kept for when its load fails, which it does now and then.
    Fallback,
    /// The rows of a group, one read after the other.
    Group,
    /// Made of three other values.
    Page,
    /// A response that shows a row.
    View,
    /// A response made of a row and of two values.
    Overview,
}

pub(crate) const KINDS: [Kind; 8] = [
    Kind::Row,
    Kind::Late,
    Kind::Window,
    Kind::Fallback,
    Kind::Group,
    Kind::Page,
    Kind::View,
    Kind::Overview,
];

impl Kind {
    /// Whether it is a response; those are in one of two languages.
    pub(crate) const fn is_response(self) -> bool {
        matches!(self, Self::View | Self::Overview)
    }

    /// The path of a response about a row, and its route.
    pub(crate) fn page(self, row: usize) -> (String, &'static str) {
        match self {
            Self::View => (format!("/views/{row}"), "/views/{row}"),
            _ => (format!("/overviews/{row}"), "/overviews/{row}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    /// A row or a group; of a response its language, too.
    pub(crate) id: usize,
}

impl Key {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        KINDS.into_iter().flat_map(|kind| {
            let ids = match kind {
                Kind::Group => GROUPS,
                Kind::View | Kind::Overview => LANGUAGES * ROWS,
                _ => ROWS,
            };
            (0..ids).map(move |id| Self { kind, id })
        })
    }

    /// The row that a response is about.
    pub(crate) const fn row(self) -> usize {
        self.id % ROWS
    }

    pub(crate) const fn language(self) -> u64 {
        (self.id / ROWS) as u64
    }

    /// As the cache has it; there is nothing under those of responses, whose keys are requests.
    pub(crate) fn cached(self) -> (&'static str, u64) {
        let kind = match self.kind {
            Kind::Row => "row",
            Kind::Late => "late",
            Kind::Window => "window",
            Kind::Fallback => "fallback",
            Kind::Group => "group",
            Kind::Page => "page",
            Kind::View => "view",
            Kind::Overview => "overview",
        };
        (kind, self.id as u64)
    }

    pub(crate) fn life(self) -> Life {
        match self.kind {
            Kind::Row | Kind::Late => Life::from_secs(60),
            Kind::Window => Life::from_duration(Duration::from_millis(900))
                .stale_while_revalidate(WINDOW)
                .refresh_ahead(Duration::from_millis(50)),
            Kind::Fallback => Life::from_duration(Duration::from_millis(600)).stale_if_error("60s"),
            Kind::Group => Life::from_duration(Duration::from_secs(2)),
            Kind::View => Life::from_duration(Duration::from_millis(900))
                .stale_while_revalidate(WINDOW)
                .refresh_ahead(Duration::from_millis(50)),
            Kind::Overview => Life::default(),
            Kind::Page => Life::from_secs(60).jitter(Duration::from_secs(30)),
        }
    }

    /// What is said beforehand.
    pub(crate) fn tags(self) -> Vec<String> {
        match self.kind {
            Kind::Row | Kind::Window | Kind::Fallback => tags_of(self.id).into(),
            Kind::Group => vec![group_tag(self.id)],
            Kind::Late | Kind::Page | Kind::View | Kind::Overview => Vec::new(),
        }
    }

    /// The rows that a load reads itself; a page reads none.
    pub(crate) fn rows(self) -> Vec<usize> {
        match self.kind {
            Kind::Group => (0..ROWS).filter(|row| row % GROUPS == self.id).collect(),
            Kind::Page => Vec::new(),
            _ => vec![self.row()],
        }
    }

    /// What a page, or an overview, is made of.
    pub(crate) fn parts(self) -> Vec<Self> {
        let part = |kind, id| Self {
            kind,
            id: id % ROWS,
        };
        match self.kind {
            Kind::Page => vec![
                part(Kind::Row, self.id),
                part(Kind::Late, self.id + 1),
                part(Kind::Window, self.id + 2),
            ],
            Kind::Overview => vec![
                part(Kind::Late, self.id + 1),
                part(Kind::Window, self.id + 2),
            ],
            _ => Vec::new(),
        }
    }
}

pub(crate) fn row_tag(row: usize) -> String {
    format!("row:{row}")
}

pub(crate) fn group_tag(group: usize) -> String {
    format!("group:{group}")
}

pub(crate) fn tags_of(row: usize) -> [String; 2] {
    [row_tag(row), group_tag(row % GROUPS)]
}

/// A row and its version as one number.
pub(crate) const fn read_as(row: usize, version: u64) -> u64 {
    (row as u64) << 48 | version
}

pub(crate) const fn row_and_version(read: u64) -> (usize, u64) {
    ((read >> 48) as usize, read & ((1 << 48) - 1))
}

/// The database.
#[derive(Debug)]
pub(crate) struct Source(Mutex<Versions>);

impl Source {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new([1; ROWS]))
    }

    /// Commits a change of a row.
    pub(crate) fn write(&self, row: usize) -> u64 {
        let mut versions = lock(&self.0);
        versions[row] += 1;
        versions[row]
    }

    pub(crate) fn versions(&self) -> Versions {
        *lock(&self.0)
    }

    pub(crate) fn read(&self, row: usize) -> u64 {
        read_as(row, self.versions()[row])
    }
}
