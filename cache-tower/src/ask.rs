//! What a load asks of the inner service: the whole response, by a condition where one is stored, or
//! without its beginning where that is; a part of it; or its head.

use http::header::{HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::response::Parts;
use http::{Request, Response, StatusCode};
use tower_service::Service;

use crate::admit::Depth;
use crate::freshness::Manner;
use crate::future::Oneshot;
use crate::piece::Piece;
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

/// What makes of a response one for a single client, by what that one has already or wants of it.
pub(crate) const OF_ONE_CLIENT: [HeaderName; 4] =
    [IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE, IF_RANGE];

/// What is stored of a whole response that is asked for: the answer may leave it out.
#[derive(Clone, Debug)]
pub(crate) enum Basis {
    /// All of it.
    Whole(Validators),
    Beginning(Piece),
}

impl Purpose {
    /// Makes of a client's request the one that the inner service gets.
    pub(crate) fn prepare<B>(
        self,
        request: &mut Request<B>,
        manner: Manner,
        basis: Option<&Basis>,
    ) {
        match (self, basis) {
            (Self::Whole, Some(basis)) => {
                strip(request.headers_mut(), &[RANGE, IF_RANGE]);
                match basis {
                    Basis::Whole(validators) => validators.ask(request.headers_mut()),
                    Basis::Beginning(piece) => piece.ask_for_rest(request.headers_mut()),
                }
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
    strip(request.headers_mut(), &OF_ONE_CLIENT);
    Depth::deepen(request);
}

/// What the inner service answered.
pub(crate) enum Answer<B> {
    /// What is stored is current: a 304 about it.
    Confirmed(Parts),
    /// What follows the beginning that is stored.
    Rest(Response<B>),
    Response(Response<B>),
}

/// Asks, and asks anew for all of it where the answer leaves out what is not stored.
pub(crate) async fn ask<S, ReqBody, ResBody>(
    service: S,
    request: Request<ReqBody>,
    basis: Option<Basis>,
) -> Result<Answer<ResBody>, S::Error>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ReqBody: Default,
{
    let Some(basis) = basis else {
        return Oneshot::new(service, request).await.map(Answer::Response);
    };
    let mut anew = without_body(&request);
    let response = Oneshot::new(service.clone(), request).await?;
    match (basis, response.status()) {
        (Basis::Whole(validators), StatusCode::NOT_MODIFIED) => {
            if validators.are_of(response.headers()) {
                return Ok(Answer::Confirmed(response.into_parts().0));
            }
        }
        (Basis::Beginning(piece), StatusCode::PARTIAL_CONTENT) => {
            if piece.is_gone_on_with_by(response.headers()) {
                return Ok(Answer::Rest(response));
            }
        }
        (Basis::Beginning(_), StatusCode::RANGE_NOT_SATISFIABLE) => {}
        _ => return Ok(Answer::Response(response)),
    }
    strip(anew.headers_mut(), &OF_ONE_CLIENT);
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
