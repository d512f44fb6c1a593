//! `ResponseCache`: answers with a stored response.

use http::header;

use super::{Common, PolicyError, PolicyName, common_methods, no_response_yet};
use crate::variables::Part;
use crate::{
    CacheContext, CacheKey, Condition, EntryKey, ExpirySettings, KeyError, Place, Scope, Variable,
    Variables,
};

/// Answers requests with the response that an earlier one of the same key got.
///
/// ```
/// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
/// use revalidate::gateway::{CacheKey, Condition, ExpirySettings, ResponseCache};
///
/// let key = CacheKey::new().reference("request.uri");
/// let policy = ResponseCache::new("Weather", key, ExpirySettings::timeout(600))
///     .skip_lookup(r#"request.header.bypass-cache = "true""#)
///     .skip_population(Condition::when(|flow| {
///         flow.named("response.header.x-partial").is_some()
///     }));
/// assert!(policy.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseCache {
    pub(crate) common: Common,
    pub(crate) expiry: ExpirySettings,
    pub(crate) skip_lookup: Option<Condition>,
    pub(crate) skip_population: Option<Condition>,
    pub(crate) exclude_error_response: Option<bool>,
    pub(crate) use_accept_header: bool,
    pub(crate) use_response_cache_headers: bool,
    pub(crate) answers_every_uri_alike: bool,
}

/// What `UseAcceptHeader` divides entries by.
const ACCEPT_HEADERS: [Variable; 4] = [
    Variable::RequestHeader(header::ACCEPT, Part::All),
    Variable::RequestHeader(header::ACCEPT_ENCODING, Part::All),
    Variable::RequestHeader(header::ACCEPT_LANGUAGE, Part::All),
    Variable::RequestHeader(header::ACCEPT_CHARSET, Part::All),
];

impl ResponseCache {
    /// Stores responses under `key` for as long as `expiry` says.
    ///
    /// # Panics
    ///
    /// With a text that is no [`PolicyName`].
    #[must_use]
    #[track_caller]
    pub fn new(name: impl Into<PolicyName>, key: CacheKey, expiry: ExpirySettings) -> Self {
        Self {
            common: Common::new(name.into(), key),
            expiry,
            skip_lookup: None,
            skip_population: None,
            exclude_error_response: None,
            use_accept_header: false,
            use_response_cache_headers: false,
            answers_every_uri_alike: false,
        }
    }

    /// Sets which requests are not answered from the cache; their responses are stored all the same:
    /// `<SkipCacheLookup>`. By default none.
    ///
    /// # Panics
    ///
    /// With a text that is no condition.
    #[must_use]
    #[track_caller]
    pub fn skip_lookup(mut self, condition: impl Into<Condition>) -> Self {
        self.skip_lookup = Some(condition.into());
        self
    }

    /// Sets which responses are not stored: `<SkipCachePopulation>`. By default none.
    ///
    /// # Panics
    ///
    /// With a text that is no condition.
    #[must_use]
    #[track_caller]
    pub fn skip_population(mut self, condition: impl Into<Condition>) -> Self {
        self.skip_population = Some(condition.into());
        self
    }

    /// Sets whether responses are left out whose status is not 200 to 205: `<ExcludeErrorResponse>`.
    ///
    /// Gateways store them unless told `true`. Here they are stored only if told `false`.
    #[must_use]
    pub const fn exclude_error_response(mut self, exclude: bool) -> Self {
        self.exclude_error_response = Some(exclude);
        self
    }

    /// Sets whether requests that accept other things have entries of their own, by `Accept`,
    /// `Accept-Encoding`, `Accept-Language` and `Accept-Charset`: `<UseAcceptHeader>`. By default not. One
    /// whose header is no UTF-8 text passes by.
    #[must_use]
    pub const fn use_accept_header(mut self, accept: bool) -> Self {
        self.use_accept_header = accept;
        self
    }

    /// Sets whether `s-maxage`, `max-age` and `Expires` of a response, in that order, may shorten its life:
    /// `<UseResponseCacheHeaders>`. By default not.
    #[must_use]
    pub const fn use_response_cache_headers(mut self, heed: bool) -> Self {
        self.use_response_cache_headers = heed;
        self
    }

    /// Says that the key is meant not to tell URIs apart, so that one response answers all that are behind the
    /// policy. Without it a policy whose key refers to nothing of the request is not deployed
    /// ([`DeployError::EveryUriAlike`](crate::DeployError::EveryUriAlike)), and one whose key refers to none of
    /// `request.uri`, `request.path` and `proxy.pathsuffix` is deployed with a warning: mostly that was
    /// forgotten, and two policies of one proxy whose keys are alike answer for each other's routes. XML has no
    /// word for it.
    #[must_use]
    pub const fn answer_every_uri_alike(mut self) -> Self {
        self.answers_every_uri_alike = true;
        self
    }

    /// How long an entry lives.
    #[must_use]
    pub const fn expiry(&self) -> &ExpirySettings {
        &self.expiry
    }

    /// Whether this request is not answered from the cache.
    #[must_use]
    pub fn skips_lookup(&self, variables: &dyn Variables) -> bool {
        let condition = self.skip_lookup.as_ref();
        condition.is_some_and(|condition| condition.holds(variables))
    }

    /// Whether this response is not stored.
    #[must_use]
    pub fn skips_population(&self, variables: &dyn Variables) -> bool {
        let condition = self.skip_population.as_ref();
        condition.is_some_and(|condition| condition.holds(variables))
    }

    /// Whether errors are left out, where it is said.
    #[must_use]
    pub const fn excludes_error_responses(&self) -> Option<bool> {
        self.exclude_error_response
    }

    /// Whether requests that accept other things have entries of their own.
    #[must_use]
    pub const fn uses_accept_header(&self) -> bool {
        self.use_accept_header
    }

    /// Whether headers of a response may shorten its life.
    #[must_use]
    pub const fn uses_response_cache_headers(&self) -> bool {
        self.use_response_cache_headers
    }

    /// Whether what it says can be carried out.
    ///
    /// # Errors
    ///
    /// [`PolicyError`]
    pub fn check(&self) -> Result<(), PolicyError> {
        self.common.check()?;
        self.common.check_key_of_request()?;
        let lookup = self.skip_lookup.iter().flat_map(Condition::variables);
        no_response_yet("SkipCacheLookup", lookup)
    }

    /// The key of the entry that it means with this request.
    ///
    /// # Errors
    ///
    /// [`KeyError`]: there is none, and the request passes by the cache.
    pub fn entry_key<'a>(
        &'a self,
        place: &'a Place,
        variables: &'a dyn Variables,
    ) -> Result<EntryKey<'a>, KeyError> {
        let key = self.common.entry_key(place, variables)?;
        if self.use_accept_header {
            return key.divided_by(&ACCEPT_HEADERS, variables);
        }
        Ok(key)
    }

    /// Whether its key tells routes apart, or need not.
    pub(crate) fn tells_paths_apart(&self) -> bool {
        self.answers_every_uri_alike || self.common.key.tells_paths_apart()
    }

    /// The variables that its key refers to.
    pub(crate) fn key_variables(&self) -> impl Iterator<Item = &Variable> {
        self.common.key.variables()
    }

    /// The variables that it reads, but for those of closures.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        let conditions = self.skip_lookup.iter().chain(&self.skip_population);
        self.common
            .variables()
            .chain(self.expiry.variable())
            .chain(conditions.flat_map(Condition::variables))
    }
}

common_methods!(ResponseCache);
