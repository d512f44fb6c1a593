//! The variables of a request, of its response and of its flow, as policies read them.

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderName, Method, Request, StatusCode, Uri};

use crate::{Flow, Part, Variable, Variables};

/// What is kept of a request for the policies that run when it has gone on.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    method: Method,
    /// As the client sent it.
    uri: Uri,
    /// As it is here, behind routers that took their part.
    suffix: Uri,
    headers: HeaderMap,
    client: Option<IpAddr>,
    /// Its body, where that is a form which was read.
    pub(crate) form: Option<Bytes>,
}

impl Head {
    /// Of a request; `trusted`: the header in which something in front says who the client is.
    pub(crate) fn of<B>(request: &Request<B>, trusted: Option<&HeaderName>) -> Self {
        let client = match trusted {
            Some(name) => forwarded(request.headers(), name),
            None => peer(request),
        };
        Self {
            method: request.method().clone(),
            uri: client_uri(request).clone(),
            suffix: request.uri().clone(),
            headers: request.headers().clone(),
            client,
            form: None,
        }
    }
}

fn client_uri<B>(request: &Request<B>) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = request.extensions().get::<axum::extract::OriginalUri>() {
        return &original.0;
    }
    request.uri()
}

fn peer<B>(request: &Request<B>) -> Option<IpAddr> {
    #[cfg(feature = "axum")]
    {
        type Peer = axum::extract::ConnectInfo<std::net::SocketAddr>;
        request.extensions().get::<Peer>().map(|peer| peer.0.ip())
    }
    #[cfg(not(feature = "axum"))]
    {
        let _ = request;
        None
    }
}

/// The last address in the header, which is the one that the nearest proxy wrote.
fn forwarded(headers: &HeaderMap, name: &HeaderName) -> Option<IpAddr> {
    let last = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    last.rsplit(',').next()?.trim().parse().ok()
}

/// All that variables are read from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'m> {
    pub(crate) head: &'m Head,
    pub(crate) flow: &'m Flow,
    pub(crate) response: Option<(StatusCode, &'m HeaderMap)>,
}

impl Variables for Message<'_> {
    fn get(&self, variable: &Variable) -> Option<Cow<'_, str>> {
        let head = self.head;
        let response = |status: StatusCode| Cow::Owned(status.as_u16().to_string());
        match variable {
            // HTTP/2 has it in the URI.
            Variable::RequestHeader(name, part)
                if *name == HOST && !head.headers.contains_key(HOST) =>
            {
                let host = part.of(head.uri.authority().map(|host| host.as_str()));
                host.map(|host| Cow::Owned(host.into_owned()))
            }
            Variable::RequestHeader(name, part) => header(&head.headers, name, *part),
            Variable::QueryParam(name, part) => param(head.uri.query()?.as_bytes(), name, *part),
            Variable::FormParam(name, part) => param(head.form.as_ref()?, name, *part),
            Variable::RequestPath => Some(head.uri.path().into()),
            Variable::RequestUri => {
                let target = head.uri.path_and_query();
                Some(target.map_or("/", |target| target.as_str()).into())
            }
            Variable::RequestVerb => Some(head.method.as_str().into()),
            Variable::PathSuffix => Some(head.suffix.path().into()),
            Variable::ClientIp => Some(head.client?.to_string().into()),
            Variable::ResponseHeader(name, part) => header(self.response?.1, name, *part),
            Variable::ResponseStatus => Some(response(self.response?.0)),
            // No policy is deployed that reads it.
            Variable::ResponseContent => None,
            Variable::Application(name) => self.flow.get(name).map(Cow::Owned),
        }
    }
}

/// `None` also where a value is no text: what cannot be told apart is no part of a key.
fn header<'h>(headers: &'h HeaderMap, name: &HeaderName, part: Part) -> Option<Cow<'h, str>> {
    let values = headers.get_all(name).iter();
    if part == Part::Count {
        return part.of(values.map(|_| ""));
    }
    let values: Option<Vec<&str>> = values
        .map(|value| std::str::from_utf8(value.as_bytes()).ok())
        .collect();
    part.of(values?)
}

fn param(encoded: &[u8], wanted: &str, part: Part) -> Option<Cow<'static, str>> {
    let pairs = form_urlencoded::parse(encoded);
    let values: Vec<_> = pairs
        .filter(|(name, _)| name == wanted)
        .map(|(_, value)| value)
        .collect();
    // What stands for bytes that are no text would stand for all of them.
    let is_text = |value: &Cow<'_, str>| !value.contains(char::REPLACEMENT_CHARACTER);
    if part != Part::Count && !values.iter().all(is_text) {
        return None;
    }
    let value = part.of(values.iter().map(|value| &**value))?;
    Some(Cow::Owned(value.into_owned()))
}
