//! What a load asks of the inner service: the whole response, by a condition where one is stored; a
//! part of it; or its head.

use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::response::Parts;
use http::{Request, Response, StatusCode};
use tower_service::Service;

use crate::freshness::Manner;
use crate::future::Oneshot;
use crate::service::Depth;
use crate::stored::strip;
use crate::validation::Validators;

/// What a load is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The response to a GET, to be shared.
    Whole,
    /// The part that one client asked for, of which nothing is stored.
    Part,
    /// A HEAD of what is stored and stale: its answer may tell that it is current still.
    Head,
}

impl Purpose {
    /// Makes of a client's request the one that the inner service gets.
    pub(crate) fn prepare<B>(
        self,
        request: &mut Request<B>,
        manner: Manner,
        validators: Option<&Validators>,
    ) {
        match (self, validators) {
            (Self::Whole, Some(validators)) => {
                strip(request.headers_mut(), &[RANGE, IF_RANGE]);
                validators.ask(request.headers_mut());
                Depth::deepen(request);
            }
            // Nothing is stored that could be compared with what the client has.
            (Self::Whole, None) if manner == Manner::SharedProxy => {
                strip(request.headers_mut(), &[RANGE, IF_RANGE]);
                Depth::deepen(request);
            }
            (Self::Whole, None) => for_all(request),
            (Self::Part | Self::Head, _) => Depth::deepen(request),
        }
    }
}

/// Makes of a client's request one whose response serves all: whole, since the layer compares
/// clients' validators and cuts their ranges itself.
pub(crate) fn for_all<B>(request: &mut Request<B>) {
    strip(
        request.headers_mut(),
        &[IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE, IF_RANGE],
    );
    Depth::deepen(request);
}

/// What the inner service answered.
pub(crate) enum Answer<B> {
    /// What is stored is current: a 304 about it.
    Confirmed(Parts),
    Response(Response<B>),
}

/// Asks, and asks anew without a condition where a 304 is about something that is not stored.
pub(crate) async fn ask<S, ReqBody, ResBody>(
    service: S,
    request: Request<ReqBody>,
    validators: Option<Validators>,
) -> Result<Answer<ResBody>, S::Error>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ReqBody: Default,
{
    let Some(validators) = validators else {
        return Oneshot::new(service, request).await.map(Answer::Response);
    };
    let mut anew = without_body(&request);
    let response = Oneshot::new(service.clone(), request).await?;
    if response.status() != StatusCode::NOT_MODIFIED {
        return Ok(Answer::Response(response));
    }
    if validators.are_of(response.headers()) {
        return Ok(Answer::Confirmed(response.into_parts().0));
    }
    strip(anew.headers_mut(), &[IF_NONE_MATCH, IF_MODIFIED_SINCE]);
    Oneshot::new(service, anew).await.map(Answer::Response)
}

fn without_body<B: Default>(request: &Request<B>) -> Request<B> {
    let mut copy = Request::new(B::default());
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    copy.extensions_mut().clone_from(request.extensions());
    copy
}
