//! Permits: how many loads run at once. A load inside a load runs under the outer one's, and a load
//! that waits for another lends it its own, or each could wait for the other's.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::engine::Engine;
use crate::load::within;
use crate::sync::{Mutex, lock};

/// Shared by a load and all that run inside it or for it.
pub(crate) type Permit = Arc<OwnedSemaphorePermit>;

/// Where a flight that has no permit yet is offered one.
#[derive(Debug, Default)]
pub(crate) struct Loan {
    offer: Mutex<Offer>,
    made: Notify,
}

#[derive(Debug, Default)]
enum Offer {
    #[default]
    Wanted,
    Made(Permit),
    /// The flight has begun, or never will.
    Closed,
}

impl Loan {
    /// Offers a permit to a flight that may wait for one.
    pub(crate) fn offer(&self, permit: &Permit) {
        let mut offer = lock(&self.offer);
        if matches!(*offer, Offer::Wanted) {
            *offer = Offer::Made(Arc::clone(permit));
            drop(offer);
            self.made.notify_one();
        }
    }

    /// Ends it; who waits for the flight no longer keeps a permit by it.
    pub(crate) fn close(&self) {
        *lock(&self.offer) = Offer::Closed;
    }

    /// What `acquire` brings or what is offered, whichever comes first.
    async fn or(&self, acquire: impl Future<Output = Option<Permit>>) -> Option<Permit> {
        let mut acquire = pin!(acquire);
        let mut made = pin!(self.made.notified());
        poll_fn(|cx| {
            if let Poll::Ready(permit) = acquire.as_mut().poll(cx) {
                return Poll::Ready(permit);
            }
            made.as_mut().poll(cx).map(|()| match &*lock(&self.offer) {
                Offer::Made(permit) => Some(Arc::clone(permit)),
                Offer::Wanted | Offer::Closed => None,
            })
        })
        .await
    }
}

impl Engine {
    /// A permit to load, and whether it had to be waited for; none past the wait limit, for a load
    /// that waits for ever serves nobody.
    pub(crate) async fn permit(&self, loan: Option<&Loan>) -> (Option<Permit>, bool) {
        let permits = &self.permits;
        let taken = match Arc::clone(permits).try_acquire_owned() {
            Ok(permit) => (Some(Arc::new(permit)), false),
            Err(_) => {
                let acquire = async {
                    let permit = Arc::clone(permits).acquire_owned().await;
                    permit.ok().map(Arc::new)
                };
                let either = async {
                    match loan {
                        Some(loan) => loan.or(acquire).await,
                        None => acquire.await,
                    }
                };
                let limit = Some(self.settings.wait_limit);
                (within(&self.clock, limit, either).await.flatten(), true)
            }
        };
        if let Some(loan) = loan {
            loan.close();
        }
        taken
    }
}
