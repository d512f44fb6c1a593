//! Flow variables: what keys, conditions and lifetimes read of a request, of its response, and of what
//! the application set. Their names are read here, once; their values come from whoever runs a policy.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::str::FromStr;

use http::HeaderName;
use thiserror::Error;

/// Where the values of variables come from.
///
/// A map from names to values is one, for tests of conditions and keys:
///
/// ```
/// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
/// use revalidate::gateway::Variables;
/// use std::collections::HashMap;
///
/// let variables = HashMap::from([("request.header.userid", "ann"), ("token", "t-1")]);
/// assert_eq!(variables.named("request.header.UserId").as_deref(), Some("ann"));
/// assert_eq!(variables.named("request.queryparam.userid"), None);
/// ```
pub trait Variables {
    /// The value; `None` where there is none, which is another thing than an empty one, and where one was
    /// sent that is no text. The two differ in the [`Count`](Part::Count) of its values, which is `None` only
    /// for the first.
    fn get(&self, variable: &Variable) -> Option<Cow<'_, str>>;

    /// The value of the variable of this name; `None` also where there can be none of it.
    fn named(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(&name.parse().ok()?)
    }
}

impl<K, V, S> Variables for HashMap<K, V, S>
where
    K: std::borrow::Borrow<str> + Eq + Hash,
    V: AsRef<str>,
    S: BuildHasher,
{
    fn get(&self, variable: &Variable) -> Option<Cow<'_, str>> {
        let value = HashMap::get(self, variable.to_string().as_str())?;
        Some(Cow::Borrowed(value.as_ref()))
    }
}

impl<K, V> Variables for BTreeMap<K, V>
where
    K: std::borrow::Borrow<str> + Ord,
    V: AsRef<str>,
{
    fn get(&self, variable: &Variable) -> Option<Cow<'_, str>> {
        let value = BTreeMap::get(self, variable.to_string().as_str())?;
        Some(Cow::Borrowed(value.as_ref()))
    }
}

/// A flow variable, by its name.
///
/// | name | what it is |
/// |---|---|
/// | `request.header.NAME` | a request's header, whatever the name's case |
/// | `request.queryparam.NAME` | a parameter of its query, decoded |
/// | `request.formparam.NAME` | a parameter of its body, where that is a form, decoded |
/// | `request.path`, `request.uri`, `request.verb` | its path; its path and query, without the host, which is `request.header.host`; its method |
/// | `proxy.pathsuffix` | what follows the proxy's base path in its path |
/// | `client.ip` | the address it came from |
/// | `response.header.NAME`, `response.status.code`, `response.content` | of the response |
/// | `lookupcache.POLICY.cachehit` and the like, `fault.name` | what [policies](crate::Flow) say of themselves |
/// | anything else | what the application or a look-up set |
///
/// A `NAME` that ends in `.1`, `.2`, .. `.values`, `.values.string` or `.values.count` asks for a
/// [part](Part) of several values.
///
/// `request.`, `response.`, `client.`, and the other families of gateways (`proxy.`, `apiproxy.`,
/// `organization.`, `environment.`, `target.`, `message.`, `route.`, `virtualhost.`, `system.`, `error.`,
/// `fault.`) are not the application's: a name there that is none of the above is an error, as nothing would
/// ever set it. Converting from such text panics at the caller's line,
/// since it is a literal; parse what comes from elsewhere.
///
/// ```
/// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
/// use revalidate::gateway::Variable;
///
/// assert_eq!(Variable::from("request.header.UserId").to_string(), "request.header.userid");
/// let error = "request.heder.userid".parse::<Variable>().unwrap_err();
/// assert!(error.to_string().contains("header.NAME"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Variable {
    /// `request.header.NAME`
    RequestHeader(HeaderName, Part),
    /// `request.queryparam.NAME`
    QueryParam(Box<str>, Part),
    /// `request.formparam.NAME`
    FormParam(Box<str>, Part),
    /// `request.path`
    RequestPath,
    /// `request.uri`
    RequestUri,
    /// `request.verb`
    RequestVerb,
    /// `proxy.pathsuffix`
    PathSuffix,
    /// `client.ip`
    ClientIp,
    /// `response.header.NAME`
    ResponseHeader(HeaderName, Part),
    /// `response.status.code`
    ResponseStatus,
    /// `response.content`
    ResponseContent,
    /// One that the application or a policy set, by its name.
    Application(Box<str>),
}

/// Which of the values of a header or parameter that may have several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// All of them, with a comma between: the plain name, `.values` and `.values.string`. A caller who
    /// sends one more value is therefore another caller to a key.
    #[default]
    All,
    /// `.N`: the one of this number, the first being 1.
    Nth(usize),
    /// `.values.count`: how many there are.
    Count,
}

impl Part {
    /// This part of the values as they were sent: a header's lines, a parameter's occurrences.
    ///
    /// `None` where there are none, or none of that number. (`Count` is then `None` too: an absent
    /// header has no number of values.)
    ///
    /// ```
    /// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
    /// use revalidate::gateway::Part;
    ///
    /// let sent = ["a, b", "c"];
    /// assert_eq!(Part::All.of(sent).as_deref(), Some("a, b,c"));
    /// assert_eq!(Part::Nth(2).of(sent).as_deref(), Some("c"));
    /// assert_eq!(Part::Nth(3).of(sent), None);
    /// assert_eq!(Part::Count.of(sent).as_deref(), Some("2"));
    /// ```
    #[must_use]
    pub fn of<'a>(self, values: impl IntoIterator<Item = &'a str>) -> Option<Cow<'a, str>> {
        let mut values = values.into_iter();
        match self {
            Self::Nth(number) => values.nth(number.checked_sub(1)?).map(Cow::Borrowed),
            Self::All => {
                let mut all = Cow::Borrowed(values.next()?);
                for value in values {
                    let all = all.to_mut();
                    all.push(',');
                    all.push_str(value);
                }
                Some(all)
            }
            Self::Count => match values.count() {
                0 => None,
                count => Some(Cow::Owned(count.to_string())),
            },
        }
    }

    /// Takes the part off the end of a name.
    fn split(name: &str) -> (&str, Self) {
        for (ending, part) in [
            (".values.count", Self::Count),
            (".values.string", Self::All),
            (".values", Self::All),
        ] {
            if let Some(name) = name.strip_suffix(ending) {
                return (name, part);
            }
        }
        let numbered = name.rsplit_once('.').and_then(|(name, number)| {
            let digits = number.bytes().all(|digit| digit.is_ascii_digit());
            let number = number.parse().ok().filter(|&number| digits && number > 0)?;
            Some((name, Self::Nth(number)))
        });
        numbered.unwrap_or((name, Self::All))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => Ok(()),
            Self::Nth(number) => write!(f, ".{number}"),
            Self::Count => f.write_str(".values.count"),
        }
    }
}

/// A text is no variable's name.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{name:?} is no variable: {problem}")]
pub struct VariableError {
    name: String,
    problem: &'static str,
}

/// The families whose names are not the application's, and what there is in each. Where gateways have more,
/// what is not known would never have a value.
const FAMILIES: [(&str, &str); 14] = [
    (
        "request.",
        "of a request there are header.NAME, queryparam.NAME, formparam.NAME, path, uri and verb, and proxy.pathsuffix",
    ),
    (
        "response.",
        "of a response there are header.NAME, status.code and content",
    ),
    ("client.", "of the client there is ip"),
    (
        "proxy.",
        "of the proxy there is pathsuffix; what it is called is part of keys by their <Scope>",
    ),
    ("apiproxy.", OF_THE_PLACE),
    ("organization.", OF_THE_PLACE),
    ("environment.", OF_THE_PLACE),
    (
        "message.",
        "write of which message: request.header.NAME, request.uri, response.header.NAME, response.status.code",
    ),
    ("target.", OF_THE_GATEWAY),
    ("route.", OF_THE_GATEWAY),
    ("virtualhost.", OF_THE_GATEWAY),
    ("system.", OF_THE_GATEWAY),
    ("error.", "of errors there is fault.name"),
    ("fault.", "of errors there is fault.name"),
];

const OF_THE_PLACE: &str = "where a policy is deployed is part of its keys by their <Scope>; a name that is known is written as it is, not as a `ref`";
const OF_THE_GATEWAY: &str = "there is nothing of that kind: have the handler set a variable of the flow, such as flow.target";

/// What policies say of themselves: their kind, what of it there is, and that in words.
const OF_POLICIES: [(&str, &[&str], &str); 4] = [
    (
        "lookupcache.",
        &["cachehit", "cachekey", "cachename", "assignto"],
        "of a look-up there are lookupcache.POLICY.cachehit, .cachekey, .cachename and .assignto",
    ),
    (
        "populatecache.",
        &["failed"],
        "of a PopulateCache there is populatecache.POLICY.failed",
    ),
    (
        "invalidatecache.",
        &["failed"],
        "of an InvalidateCache there is invalidatecache.POLICY.failed",
    ),
    (
        "responsecache.",
        &["cachehit", "cachekey", "cachename", "invalidentry"],
        "of a ResponseCache there are responsecache.POLICY.cachehit, .cachekey, .cachename and .invalidentry",
    ),
];

/// What the last policy that failed says of that.
const FAULT: &str = "fault.name";

const HEADER_NAME: &str = "no header has such a name";

impl FromStr for Variable {
    type Err = VariableError;

    fn from_str(name: &str) -> Result<Self, VariableError> {
        Self::read(name).map_err(|problem| VariableError {
            name: name.chars().take(256).collect(),
            problem,
        })
    }
}

impl Variable {
    fn read(name: &str) -> Result<Self, &'static str> {
        if name.is_empty() {
            return Err("write its name, such as request.header.userid");
        }
        if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("a name has no spaces");
        }
        let header = |name: &str| {
            let (name, part) = Part::split(name);
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HEADER_NAME)?;
            Ok::<_, &'static str>((name, part))
        };
        let param = |name: &str| match Part::split(name) {
            ("", _) => Err("the parameter's name is missing"),
            (name, part) => Ok((name.into(), part)),
        };
        let fixed = [
            ("request.path", Self::RequestPath),
            ("request.uri", Self::RequestUri),
            ("request.verb", Self::RequestVerb),
            ("proxy.pathsuffix", Self::PathSuffix),
            ("client.ip", Self::ClientIp),
            ("response.status.code", Self::ResponseStatus),
            ("response.content", Self::ResponseContent),
        ];
        if let Some((_, variable)) = fixed.into_iter().find(|(known, _)| *known == name) {
            return Ok(variable);
        }
        if let Some(name) = name.strip_prefix("request.header.") {
            return header(name).map(|(name, part)| Self::RequestHeader(name, part));
        }
        if let Some(name) = name.strip_prefix("response.header.") {
            return header(name).map(|(name, part)| Self::ResponseHeader(name, part));
        }
        if let Some(name) = name.strip_prefix("request.queryparam.") {
            return param(name).map(|(name, part)| Self::QueryParam(name, part));
        }
        if let Some(name) = name.strip_prefix("request.formparam.") {
            return param(name).map(|(name, part)| Self::FormParam(name, part));
        }
        if let Some((kind, parts, what_there_is)) =
            OF_POLICIES.iter().find(|(kind, ..)| name.starts_with(kind))
        {
            return match name[kind.len()..].rsplit_once('.') {
                Some((_, part)) if parts.contains(&part) => Ok(Self::Application(name.into())),
                _ => Err(what_there_is),
            };
        }
        if name == FAULT {
            return Ok(Self::Application(name.into()));
        }
        match FAMILIES.iter().find(|(family, _)| name.starts_with(family)) {
            Some((_, what_there_is)) => Err(what_there_is),
            None => Ok(Self::Application(name.into())),
        }
    }
}

impl Variable {
    /// The same header or parameter, in another part, where all of it is asked for.
    pub(crate) fn with_part(&self, part: Part) -> Option<Self> {
        match self {
            Self::RequestHeader(name, Part::All) => Some(Self::RequestHeader(name.clone(), part)),
            Self::QueryParam(name, Part::All) => Some(Self::QueryParam(name.clone(), part)),
            Self::FormParam(name, Part::All) => Some(Self::FormParam(name.clone(), part)),
            Self::ResponseHeader(name, Part::All) => Some(Self::ResponseHeader(name.clone(), part)),
            _ => None,
        }
    }

    /// Whether it is the application's to set.
    pub(crate) fn is_own(&self) -> bool {
        match self {
            Self::Application(name) => {
                let of_policies = OF_POLICIES.iter().any(|(kind, ..)| name.starts_with(kind));
                !of_policies && **name != *FAULT
            }
            _ => false,
        }
    }

    /// Whether it is known only once there is a response.
    #[must_use]
    pub const fn is_of_response(&self) -> bool {
        matches!(
            self,
            Self::ResponseHeader(..) | Self::ResponseStatus | Self::ResponseContent
        )
    }

    /// Whether it is of the request's body, which must be read for it.
    #[must_use]
    pub const fn is_of_form(&self) -> bool {
        matches!(self, Self::FormParam(..))
    }
}

impl From<&str> for Variable {
    #[track_caller]
    fn from(name: &str) -> Self {
        match name.parse() {
            Ok(variable) => variable,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The name, a header's in lower case.
impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestHeader(name, part) => write!(f, "request.header.{name}{part}"),
            Self::QueryParam(name, part) => write!(f, "request.queryparam.{name}{part}"),
            Self::FormParam(name, part) => write!(f, "request.formparam.{name}{part}"),
            Self::RequestPath => f.write_str("request.path"),
            Self::RequestUri => f.write_str("request.uri"),
            Self::RequestVerb => f.write_str("request.verb"),
            Self::PathSuffix => f.write_str("proxy.pathsuffix"),
            Self::ClientIp => f.write_str("client.ip"),
            Self::ResponseHeader(name, part) => write!(f, "response.header.{name}{part}"),
            Self::ResponseStatus => f.write_str("response.status.code"),
            Self::ResponseContent => f.write_str("response.content"),
            Self::Application(name) => f.write_str(name),
        }
    }
}
