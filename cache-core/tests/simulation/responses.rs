//! Responses, as a layer keeps them: found, recorded for all who ask meanwhile, shared with other nodes, and
//! kept apart by what they vary by. It does with `cache_core::respond` what `cache-tower` does, without HTTP.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_core::respond::{
    self, Accepting, Arrival, Found, Held, Joined, Recording, RemoteResponse, ResponseKey, Scope,
    Turn,
};
use cache_core::spi::{TagName, path_tags};
use cache_core::{Life, NotStorable, Reason, Timestamp, cache_tag};
use tokio::sync::{oneshot, watch};

use crate::clients::{How, Pace, Site};
use crate::source::{Failed, Key, Kind, Value, tags_of};

/// How often a request looks again after the load of another did not serve it.
const ROUNDS: usize = 4;
/// How long it is known that responses vary.
const INDEX: Life = Life::from_secs(60);
/// For how long nobody queues for what was not to be stored.
const MARKED: Duration = Duration::from_millis(200);

/// What a read was given.
pub(crate) struct Given {
    pub(crate) value: Value,
    pub(crate) reason: Reason,
    /// Whether it is a response that this process made.
    pub(crate) here: bool,
}

pub(crate) type Answer = Result<Given, Failed>;

/// What is kept.
enum Kept {
    /// Responses to this request vary by language.
    Varies,
    Page(Page),
}

#[derive(Clone)]
struct Page {
    language: u64,
    /// The process that made it.
    maker: u64,
    value: Value,
    /// Made of something stale.
    stale: bool,
}

impl RemoteResponse for Kept {
    fn write(&self, _: Timestamp, to: &mut Vec<u8>) -> bool {
        if let Self::Page(page) = self {
            let numbers = [&[page.language, page.maker], &*page.value].concat();
            numbers
                .iter()
                .for_each(|number| to.extend(number.to_le_bytes()));
        }
        true
    }

    fn read(from: &[u8], _: Timestamp) -> Option<Self> {
        let (numbers, rest) = from.as_chunks();
        let numbers: Vec<_> = numbers.iter().copied().map(u64::from_le_bytes).collect();
        rest.is_empty().then_some(())?;
        let [language, maker, value @ ..] = &*numbers else {
            return Some(Self::Varies);
        };
        Some(Self::Page(Page {
            language: *language,
            maker: *maker,
            value: value.to_vec(),
            // Nothing stale goes to other nodes.
            stale: false,
        }))
    }

    fn weight(&self) -> usize {
        64
    }
}

/// A page that is being made, as those see it who came meanwhile.
struct Head {
    language: u64,
    fresh_until: Timestamp,
    /// The whole page; `None` in it where its body failed.
    body: watch::Receiver<Option<Option<Page>>>,
}

/// A request for a page.
struct Request {
    key: Key,
    pace: Pace,
    path: String,
    route: &'static str,
    /// Those of its path: what is known beforehand.
    tags: Vec<TagName>,
    index: Vec<u8>,
    variant: Vec<u8>,
}

impl Request {
    fn of(key: Key, pace: Pace) -> Self {
        let (path, route) = key.kind.page(key.row());
        Self {
            key,
            pace,
            tags: path_tags(&path, Some(route)).expect("it is a short path"),
            index: format!("GET {path}").into_bytes(),
            variant: format!("GET {path} in {}", key.language()).into_bytes(),
            path,
            route,
        }
    }

    /// What it is looked for under, and loaded for.
    fn place(&self, varies: bool) -> ResponseKey {
        ResponseKey::new(if varies { &self.variant } else { &self.index })
    }
}

/// Where a look ended.
struct Look {
    arrival: Arrival,
    found: Found<Kept>,
    /// Whether it is known that responses vary.
    varies: bool,
}

impl Site {
    fn look(&self, request: &Request) -> Look {
        let (arrival, found) = respond::find::<Kept>(&self.cache, &request.index);
        let varies = match &found {
            Found::Fresh(held, _) | Found::Stale(held) => matches!(**held, Kept::Varies),
            Found::Unstorable(_) | Found::Miss(..) => false,
        };
        let (arrival, found) = match varies {
            true => respond::find::<Kept>(&self.cache, &request.variant),
            false => (arrival, found),
        };
        Look {
            arrival,
            found,
            varies,
        }
    }

    /// What a page that is kept answers; `None` where it answers another request.
    fn answers(&self, request: &Request, held: &Held<Kept>) -> Option<Given> {
        match &**held {
            Kept::Page(page) if page.language == request.key.language() => {
                Some(self.gives(page, held.is_stale()))
            }
            Kept::Page(_) | Kept::Varies => None,
        }
    }

    fn gives(&self, page: &Page, stale: bool) -> Given {
        Given {
            value: page.value.clone(),
            reason: match stale || page.stale {
                true => Reason::Stale,
                false => Reason::Hit,
            },
            here: page.maker == self.number(),
        }
    }

    /// Answers a request, as a layer does.
    pub(crate) async fn respond(self: &Arc<Self>, key: Key, pace: Pace) -> Answer {
        let cache = &self.cache;
        let request = Arc::new(Request::of(key, pace));
        if respond::bypassed() {
            return self.alone(&request).await;
        }
        let until = respond::wait_until(cache);
        // Not of what is kept, here or elsewhere.
        let anew = (15..18).contains(&pace.luck);
        let mut look = self.look(&request);
        let arrival = look.arrival;
        if let Found::Fresh(held, _) | Found::Stale(held) = &look.found
            && !anew
        {
            if !matches!(look.found, Found::Fresh(_, false)) {
                self.refresh(&request, held, look.varies);
            }
            let answer = self.answers(&request, held);
            if answer.is_none() {
                self.broken(&request, "another page was kept in its place");
            }
            return answer.ok_or(Failed::Load);
        }
        for _ in 0..ROUNDS {
            let marked = matches!(look.found, Found::Unstorable(_));
            let held = look.found.into_held();
            let place = request.place(look.varies);
            let turn = match marked || anew {
                true => respond::board_refresh(cache, &place, &request.tags, true)
                    .map_or(Turn::Alone, Turn::Lead),
                false => respond::board::<Kept>(cache, &place, arrival, &request.tags),
            };
            let landed = match turn {
                Turn::Alone => return self.alone(&request).await,
                Turn::Lead(lead) => {
                    let (tell, told) = oneshot::channel();
                    let load = Load {
                        site: Arc::clone(self),
                        request,
                        lead,
                        held,
                        varies: look.varies,
                    };
                    let accepting = match anew {
                        true => Accepting::Nothing,
                        false => Accepting::Servable,
                    };
                    drop(tokio::spawn(load.run(accepting, Some(tell))));
                    return told.await.unwrap_or(Err(Failed::Load));
                }
                Turn::Stored(held) => Some(held),
                Turn::Join(join) => match join.wait::<Kept>(cache, until).await {
                    Joined::Done(held) => Some(held),
                    Joined::Again => None,
                    Joined::Head(head) => {
                        let head = head.downcast::<Head>().expect("only heads are shared");
                        if head.language != key.language() {
                            None
                        } else if let Some(page) = self.listen(&head).await {
                            return Ok(self.gives(&page, false));
                        } else {
                            return self.alone(&request).await;
                        }
                    }
                    Joined::Refused => return self.alone(&request).await,
                    Joined::Alone => match self.stands_in(&request, held.as_ref()) {
                        Some(answer) => return Ok(answer),
                        None => return self.alone(&request).await,
                    },
                },
            };
            if let Some(answer) = landed.and_then(|held| self.answers(&request, &held)) {
                return Ok(answer);
            }
            look = self.look(&request);
        }
        self.alone(&request).await
    }

    /// The body of a page that is being made, unless that fails, or takes longer than the page is fresh.
    async fn listen(&self, head: &Head) -> Option<Page> {
        if self.clock.now() >= head.fresh_until {
            return None;
        }
        self.shared.seen.heads.fetch_add(1, Ordering::Relaxed);
        let mut body = head.body.clone();
        let whole = body.wait_for(Option::is_some).await;
        whole.ok()?.clone().flatten()
    }

    /// What is held, where it may be served now that the load failed.
    fn stands_in(&self, request: &Request, held: Option<&Held<Kept>>) -> Option<Given> {
        let held = held.filter(|held| held.usable_on_error(&self.cache))?;
        let given = self.answers(request, held)?;
        Some(Given {
            reason: Reason::Stale,
            ..given
        })
    }

    fn refresh(self: &Arc<Self>, request: &Arc<Request>, held: &Held<Kept>, varies: bool) {
        let place = request.place(varies);
        if let Some(lead) = respond::board_refresh(&self.cache, &place, &request.tags, false) {
            let load = Load {
                site: Arc::clone(self),
                request: Arc::clone(request),
                lead,
                held: Some(held.clone()),
                varies,
            };
            drop(tokio::spawn(load.run(Accepting::Fresh, None)));
        }
    }

    /// Answers one request, and stores nothing.
    async fn alone(self: &Arc<Self>, request: &Arc<Request>) -> Answer {
        let mut scope = Scope::passing(&self.cache, respond::bypassed());
        scope.on(&request.path, Some(request.route));
        let page = scope.enter(self.handle(request)).await?;
        self.clock.sleep(request.pace.after).await;
        Ok(self.gives(&page, false))
    }

    /// What the application does, up to the head. Boxed: pages are made of what is read.
    fn handle(
        self: &Arc<Self>,
        request: &Arc<Request>,
    ) -> Pin<Box<dyn Future<Output = Result<Page, Failed>> + Send>> {
        let (site, request) = (Arc::clone(self), Arc::clone(request));
        Box::pin(async move {
            let Request { key, pace, .. } = *request;
            site.clock.sleep(pace.before).await;
            let read = site.shared.source.read(key.row());
            site.tells(|| format!("reads row {} for {key:?}: {read:#x}", key.row()));
            let mut page = Page {
                language: key.language(),
                maker: site.number(),
                value: vec![read],
                stale: false,
            };
            for part in key.parts() {
                let read = site.read(part, pace, How::default()).await;
                let given = read.ok_or(Failed::Load)?;
                page.value.extend(given.value);
                page.stale |= given.reason == Reason::Stale && part.kind == Kind::Window;
            }
            Ok(page)
        })
    }

    fn broken(&self, request: &Request, what: &str) {
        let key = request.key;
        self.shared.time.fail(format!("{key:?}: {what}"));
    }
}

/// A page being made for all.
struct Load {
    site: Arc<Site>,
    request: Arc<Request>,
    lead: Recording,
    /// What is stored: stale, or not to be given any more.
    held: Option<Held<Kept>>,
    /// Whether it was known that responses vary: then it is loaded for its language.
    varies: bool,
}

impl Load {
    async fn run(self, accepting: Accepting, caller: Option<oneshot::Sender<Answer>>) {
        let answer = match self.ask(accepting).await {
            Ok(answer) => answer,
            Err(load) => load.make().await,
        };
        if let Some(caller) = caller {
            let _ = caller.send(answer);
        }
    }

    /// Asks the second level: first whether responses vary, where that is not known.
    async fn ask(mut self, accepting: Accepting) -> Result<Answer, Self> {
        let (site, request) = (Arc::clone(&self.site), Arc::clone(&self.request));
        let Some(mut found) = self.lead.ask_level::<Kept>(None, accepting).await else {
            return Err(self);
        };
        let mut under = None;
        if let Kept::Varies = *found {
            found.put(&site.cache, &request.place(false));
            let place = request.place(true);
            match self.lead.ask_level(Some(&place), accepting).await {
                Some(page) => found = page,
                None => return Err(self),
            }
            under = Some(place);
        }
        let held = self.lead.promote(found, under.as_ref());
        site.shared.seen.pages.fetch_add(1, Ordering::Relaxed);
        let answer = site.answers(&request, &held);
        if answer.is_none() {
            site.broken(&request, "another page was shared in its place");
        }
        Ok(answer.ok_or(Failed::Load))
    }

    async fn make(self) -> Answer {
        let Self {
            site,
            request,
            mut lead,
            held,
            varies,
        } = self;
        let Request { key, pace, .. } = *request;
        lead.on(&request.path, Some(request.route));
        let scope = lead.scope().clone();
        let alive = |held: &Held<Kept>| held.stale_for(&site.cache).is_some();
        let held = held.filter(alive);
        let made = scope.enter(site.handle(&request)).await;
        let page = match made {
            Ok(page) if pace.luck >= 5 => page,
            made => {
                lead.refuse(NotStorable::Response);
                let stands_in = site.stands_in(&request, held.as_ref());
                let failed = made.err().unwrap_or(Failed::Load);
                return stands_in.ok_or(failed);
            }
        };
        let life = match key.kind {
            Kind::View => Some(key.life()),
            // As long as what is inside.
            _ => None,
        };
        if life.is_none() {
            lead.live_as_inside();
        }
        let early = pace.luck % 2 == 0;
        if early {
            scope.run(|| cache_tag(tags_of(key.row())));
        }
        let (body, shown) = watch::channel(None);
        lead.share_head(Arc::new(Head {
            language: page.language,
            fresh_until: lead
                .began()
                .plus(life.map_or(Duration::from_secs(60), |life| life.ttl())),
            body: shown,
        }));
        scope.enter(site.clock.sleep(pace.after)).await;
        match pace.luck {
            // Its body fails.
            5..10 => {
                lead.refuse(NotStorable::Error);
                body.send_replace(Some(None));
                return Err(Failed::Load);
            }
            10..15 => {
                lead.refuse_and_mark(1, &request.tags, MARKED);
                body.send_replace(Some(Some(page.clone())));
                return Ok(site.gives(&page, false));
            }
            _ => {}
        }
        match &held {
            // The source says that it is as it was, and nothing of what it was made of.
            Some(held)
                if !early && matches!(&**held, Kept::Page(kept) if kept.value == page.value) =>
            {
                scope.inherit(held);
            }
            _ => scope.run(|| cache_tag(tags_of(key.row()))),
        }
        // The names were known, and other nodes have them, or find out for themselves.
        let told = Some(&lead).filter(|_| !varies);
        let index = request.place(false);
        respond::put(&site.cache, &index, (Kept::Varies, 64), INDEX, &[], told);
        let kept_stale = Duration::from_secs(u64::from(key.kind == Kind::View));
        let under = (!varies).then(|| request.place(true));
        let kept = Kept::Page(page.clone());
        let _ = lead.store(kept, 64, (life, kept_stale), under.as_ref());
        body.send_replace(Some(Some(page.clone())));
        Ok(site.gives(&page, false))
    }
}
