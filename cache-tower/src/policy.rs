//! What a handler says of its response to the cache in front of it, beyond what headers can say.

use bytes::{Buf, BufMut};
use cache_core::{IntoTags, Life};

use crate::wire::{put_bytes, put_life, take_flag, take_life, take_text};

/// What a handler wants done with its response: addressed to the [`CacheLayer`](crate::CacheLayer)
/// around it and to nobody else; clients see none of it.
///
/// With the feature `axum` it is one of the response's parts; anywhere else it is put into the
/// response's extensions.
///
/// ```
/// # use cache_tower as revalidate;
/// use revalidate::CachePolicy;
///
/// let mut response = http::Response::new("a page");
/// response.extensions_mut().insert(CachePolicy::ttl("10m").tags(["blog"]));
/// ```
///
/// It declares the response storable, whatever its status, and stands above the response's
/// `max-age`, `Expires` and `no-cache`, which then tell only clients. Never above `Set-Cookie`,
/// `private`, `no-store` and `Vary: *`: such a response is not stored.
#[derive(Clone, Debug, PartialEq)]
pub struct CachePolicy {
    word: Word,
    tags: Vec<Box<str>>,
    public: bool,
    /// Whether it is of something around the handler, whose own word stands above it.
    yields: bool,
}

/// What a policy says of storing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Word {
    Store,
    /// For as long as what is inside, also where the cache's default is shorter.
    AsInside,
    Life(Life),
    NoStore,
}

/// How the words are written.
const STORE: u8 = 0;
const NO_STORE: u8 = 1;
const LIFE: u8 = 2;
const AS_INSIDE: u8 = 3;

impl CachePolicy {
    /// Storable, for as long as what it is made of allows, and no longer than the cache's default lifetime.
    /// Error statuses need a lifetime of their own.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            word: Word::Store,
            tags: Vec::new(),
            public: false,
            yields: false,
        }
    }

    /// Storable for this long: whole seconds, a `Duration`, text such as `"1h30m"`, a built-in
    /// profile such as `"hours"`, or a [`Life`] with its stale windows. Zero, as what is reckoned may come
    /// to, is not stored (`zero-life`).
    ///
    /// # Panics
    ///
    /// With text that is none of these.
    #[must_use]
    #[track_caller]
    pub fn ttl(life: impl Into<Life>) -> Self {
        Self {
            word: Word::Life(life.into()),
            ..Self::new()
        }
    }

    /// The same as [`ttl`](Self::ttl), by the name that [`Life`] goes by.
    ///
    /// # Panics
    ///
    /// With text that is no lifetime.
    #[must_use]
    #[track_caller]
    pub fn life(life: impl Into<Life>) -> Self {
        Self::ttl(life)
    }

    /// Not to be stored, whatever its headers and the layer say.
    #[must_use]
    pub const fn no_store() -> Self {
        Self {
            word: Word::NoStore,
            tags: Vec::new(),
            public: false,
            yields: false,
        }
    }

    /// Adds tags. At most 128, of 1 to 256 characters each: past that the response is served and not stored.
    #[must_use]
    pub fn tags<M>(mut self, tags: impl IntoTags<M>) -> Self {
        tags.each_tag(&mut |tag| self.tags.push(tag.into()));
        self
    }

    /// Says that the response is the same for everyone, so that it may be stored and shared even
    /// where the request carried `Authorization`, as `Cache-Control: public` does.
    #[must_use]
    pub const fn public(mut self) -> Self {
        self.public = true;
        self
    }

    /// Storable, for as long as what it is made of.
    pub(crate) const fn as_inside() -> Self {
        let mut policy = Self::new();
        policy.word = Word::AsInside;
        policy
    }

    /// The same, below what the handler said before of the response that this one confirms.
    pub(crate) const fn yielding(mut self) -> Self {
        self.yields = true;
        self
    }

    /// Whether it stands above what was said before.
    pub(crate) fn stands_above(&self, said: Option<&Self>) -> bool {
        !self.yields || said.is_none_or(|said| said.yields)
    }

    /// Appends it, as other nodes read it.
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        match &self.word {
            Word::Store => to.put_u8(STORE),
            Word::AsInside => to.put_u8(AS_INSIDE),
            Word::NoStore => to.put_u8(NO_STORE),
            Word::Life(life) => {
                to.put_u8(LIFE);
                put_life(life, to);
            }
        }
        to.put_u8(self.public.into());
        to.put_u8(self.yields.into());
        to.put_u32(u32::try_from(self.tags.len()).unwrap_or(u32::MAX));
        for tag in &self.tags {
            put_bytes(tag.as_bytes(), to);
        }
    }

    /// Reads what was written.
    pub(crate) fn read(from: &mut &[u8]) -> Option<Self> {
        let word = match from.try_get_u8().ok()? {
            STORE => Word::Store,
            AS_INSIDE => Word::AsInside,
            NO_STORE => Word::NoStore,
            LIFE => Word::Life(take_life(from)?),
            _ => return None,
        };
        let mut policy = Self {
            word,
            tags: Vec::new(),
            public: take_flag(from)?,
            yields: take_flag(from)?,
        };
        for _ in 0..from.try_get_u32().ok()? {
            policy.tags.push(take_text(from)?.into());
        }
        Some(policy)
    }

    pub(crate) const fn word(&self) -> Word {
        self.word
    }

    pub(crate) const fn is_public(&self) -> bool {
        self.public
    }

    pub(crate) fn tag_texts(&self) -> &[Box<str>] {
        &self.tags
    }
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "axum")]
impl axum::response::IntoResponseParts for CachePolicy {
    type Error = std::convert::Infallible;

    fn into_response_parts(
        self,
        mut response: axum::response::ResponseParts,
    ) -> Result<axum::response::ResponseParts, Self::Error> {
        response.extensions_mut().insert(self);
        Ok(response)
    }
}

#[cfg(feature = "axum")]
impl axum::response::IntoResponse for CachePolicy {
    fn into_response(self) -> axum::response::Response {
        (self, ()).into_response()
    }
}

/// A request extension: the layer neither answers such a request from the cache, nor stores its
/// response, nor lets it wait for another's.
///
/// Set it in a layer outside the cache's, for those who may. The cached functions that the handler
/// calls go past the cache too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bypass;

/// What a layer that declares responses storable by itself makes of the `Cookie` header, in
/// [`CacheLayer::cookies`](crate::CacheLayer::cookies).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cookies {
    /// The responses do not depend on cookies: requests with and without them share entries.
    Ignore,
    /// The responses depend on the cookies of these names alone; each combination of their values
    /// has an entry of its own. Requests whose `Cookie` is not plain `name=value; name=value`, so that
    /// not every handler reads the same in it (quoted values, encoded names, bare words), pass by.
    Vary(Vec<String>),
}

impl Cookies {
    /// [`Cookies::Vary`] from any list of names.
    #[must_use]
    pub fn vary<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Self {
        Self::Vary(names.into_iter().map(Into::into).collect())
    }
}
