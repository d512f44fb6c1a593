//! The second level, asked before the inner service.

use cache_core::Cache;
use cache_core::respond::{Accepting, Held, Recording as Lead, ResponseKey};
use http::HeaderMap;

use crate::key::KeyBuf;
use crate::stored::{Kept, Variant};

/// What a request of this first-level key and with these headers gets of the second level; else the lead
/// is given back. Where responses vary, the names come first: `selected` is then what they make of the request.
pub(crate) async fn ask(
    mut lead: Lead,
    cache: &Cache,
    (key, headers): (&KeyBuf, &HeaderMap),
    selected: &mut Option<Box<Variant>>,
    accepting: Accepting,
) -> Result<Held<Kept>, Lead> {
    let Some(mut found) = lead.ask_level::<Kept>(None, accepting).await else {
        return Err(lead);
    };
    let mut under = None;
    if let Kept::Variants(names) = &*found {
        let names = names.clone();
        found.put(cache, &ResponseKey::new(key.as_slice()));
        // What it cannot be selected by is found out again, from the response.
        let Ok(variant) = names.select(key, headers) else {
            return Err(lead);
        };
        let place = ResponseKey::new(variant.as_slice());
        *selected = Some(Box::new(Variant {
            names,
            key: variant,
        }));
        match lead.ask_level::<Kept>(Some(&place), accepting).await {
            Some(response) => found = response,
            None => return Err(lead),
        }
        under = Some(place);
    }
    match &*found {
        Kept::Response(stored) if stored.is_selected_by(key, headers) => {}
        Kept::Response(_) | Kept::Variants(_) => return Err(lead),
    }
    Ok(lead.promote(found, under.as_ref()))
}
