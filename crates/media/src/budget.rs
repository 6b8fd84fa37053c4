//! Memory for segments being made and sent, over all titles.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Accounting unit: a semaphore counts in 32 bits.
const UNIT_BYTES: u64 = 64 << 10;

/// So many bytes and no more.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    total: u32,
}

/// A share of the budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    permit: Mutex<OwnedSemaphorePermit>,
}

impl Budget {
    pub(crate) fn new(bytes: u64) -> Self {
        let total = u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX).clamp(1, 1 << 24);
        Self { units: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// A share of `bytes` (of everything, if it is more than that), waiting at most `patience` for it.
    pub(crate) async fn hold(&self, bytes: u64, patience: Duration) -> Option<Arc<Hold>> {
        let units = units_of(bytes).min(self.total);
        // The usual case needs no timer.
        let permit = match Arc::clone(&self.units).try_acquire_many_owned(units) {
            Ok(permit) => permit,
            Err(_) => {
                let wait = Arc::clone(&self.units).acquire_many_owned(units);
                tokio::time::timeout(patience, wait).await.ok()?.ok()?
            }
        };
        Some(Arc::new(Hold { permit: Mutex::new(permit) }))
    }

    /// All there is.
    pub(crate) fn total_bytes(&self) -> u64 {
        u64::from(self.total) * UNIT_BYTES
    }

    /// Bytes held now.
    pub(crate) fn held_bytes(&self) -> u64 {
        (self.total as usize).saturating_sub(self.units.available_permits()) as u64 * UNIT_BYTES
    }
}

impl Hold {
    /// Gives back what is more than `bytes`.
    pub(crate) fn shrink_to(&self, bytes: u64) {
        let mut permit = self.permit.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = permit.num_permits().saturating_sub(units_of(bytes) as usize);
        drop(permit.split(spare));
    }
}

fn units_of(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_waits_and_gives_up_in_the_end() {
        let budget = Budget::new(1 << 20);
        let all = budget.hold(8 << 20, Duration::from_secs(1)).await.unwrap();
        assert_eq!(budget.held_bytes(), 1 << 20);
        assert!(budget.hold(1, Duration::from_secs(1)).await.is_none());
        all.shrink_to(100_000);
        assert_eq!(budget.held_bytes(), 128 << 10);
        let second = budget.hold(512 << 10, Duration::from_secs(1)).await;
        assert!(second.is_some());
        drop((all, second));
        assert_eq!(budget.held_bytes(), 0);
    }
}
