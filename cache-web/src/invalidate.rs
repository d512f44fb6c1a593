//! The built-in web method `invalidateCache`, for administrators: Wix's, with its argument.

use cache_core::spi::web::{Calling, ClientTypes, Decode, Description, Encode, WebMethod, Wire};
use cache_core::{InvalidateError, InvalidationMethod, Permissions, WebError, invalidate_cache};

use crate::json::{Arguments, Json};
use crate::refusal::Refusal;

/// Its companion.
#[derive(Debug)]
pub(crate) enum InvalidateCache {}

/// A list within the list of arguments: one of the two is easily forgotten.
const EXPECTED: &str = "the argument `invalidationMethods` is a list of objects with a `tag`, so that the body, a list of arguments, is `[[{\"tag\": \"..\"}]]`";

impl WebMethod<Json> for InvalidateCache {
    const ABOUT: Description = Description {
        name: "invalidateCache",
        permission: Permissions::Admin,
        parameters: &["invalidationMethods"],
        docs: " Drops everything cached that has at least one of the tags: `[{ tag: \"contacts\" }]`.",
        cached: false,
        types: || ClientTypes {
            parameters: vec!["Array<{ tag: string }>".into()],
            value: "null".into(),
        },
    };

    fn call(arguments: Arguments) -> Calling<Json> {
        Box::pin(async move {
            let methods = <Json as Decode<Option<Vec<InvalidationMethod>>>>::decode(&arguments, 0)
                .map_err(|refusal| refusal.saying(EXPECTED))?;
            let dropped = invalidate_cache(methods.unwrap_or_default()).await;
            dropped.map_err(failed)?;
            Json::encode(())
        })
    }
}

fn failed(error: InvalidateError) -> Refusal {
    let mut failure = cache_core::spi::web::Failure::default();
    failure.public = error.public();
    failure.details = Some(error.to_string());
    Json::failed(failure)
}
