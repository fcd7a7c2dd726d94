//! What clients saw, held against what they did.

use std::collections::{BTreeMap, BTreeSet};

use chord_kv::Key;
use chord_kv::replication::{Change, Operation, OperationError};

use super::client::{COUNTERS, key};
use super::{Class, DataBroken, DataRule, DataRun};
use crate::data::history::{Deed, History, Saw};
use crate::world::{Action, ActionId};

impl DataRun {
    pub(super) fn check_histories(&mut self, last: &[ActionId]) -> Result<(), DataBroken> {
        let actions = self.world.actions();
        let mut histories: BTreeMap<Key, History> = BTreeMap::new();
        let mut reads: Vec<(Key, Saw, bool)> = Vec::new();
        let last: BTreeSet<u32> = last.iter().map(|id| id.0).collect();
        for (number, action) in actions.iter().enumerate() {
            let is_last = u32::try_from(number).is_ok_and(|number| last.contains(&number));
            let history = histories.entry(action.key.clone()).or_default();
            history.is_open_ended = self.plan.class == Class::Skewed;
            history.deeds.extend(deed(action));
            reads.extend(saw(action).map(|saw| (action.key.clone(), saw, is_last)));
        }
        let uncertain = |action: &&Action| matches!(action.ended, Some((_, Err(_))) | None);
        self.passed.n_uncertain = actions.iter().filter(uncertain).count();
        let acknowledged = histories.values().flat_map(|history| &history.deeds);
        self.passed.n_acknowledged = acknowledged.filter(|deed| deed.is_acknowledged).count();
        let counters: BTreeSet<Key> = (self.plan.keys..self.plan.keys + COUNTERS).map(key).collect();
        for (key, saw, is_last) in reads {
            if counters.contains(&key) {
                // Where clocks do not agree, an increment whose outcome is unknown may come back over later ones.
                if is_last && self.plan.class == Class::Steady {
                    self.check_counter(&key, &saw)?;
                }
                continue;
            }
            // While things are rough, a node that is cut off may answer from its past.
            if is_last || self.plan.class != Class::Rough {
                self.passed.n_reads += 1;
                if let Some(Err(why)) = histories.get(&key).map(|history| history.judge(&saw)) {
                    return Err(self.broken(DataRule::NothingLost, &format!("{key:?}: {why}")));
                }
            }
        }
        Ok(())
    }

    fn check_counter(&self, key: &Key, saw: &Saw) -> Result<(), DataBroken> {
        let increments = self
            .world
            .actions()
            .iter()
            .filter(|action| action.key == *key && action.operation != Operation::Get);
        let (mut least, mut most) = (0_u64, 0_u64);
        for action in increments {
            match &action.ended {
                Some((_, Ok(_))) => (least, most) = (least + 1, most + 1),
                Some((_, Err(error))) if is_definite(error) => {}
                Some((_, Err(_))) | None => most += 1,
            }
        }
        let count = saw.value.as_deref().map_or(Some(0), |text| text.parse().ok());
        if count.is_some_and(|count| (least..=most).contains(&count)) {
            return Ok(());
        }
        let how = format!("{key:?} is {:?}, after {least} to {most} increments", saw.value);
        Err(self.broken(DataRule::NothingMiscounted, &how))
    }
}

/// Whether an error says that nothing changed.
fn is_definite(error: &OperationError) -> bool {
    !matches!(error, OperationError::Uncertain | OperationError::TooFewCopies { .. })
}

/// The write that an action was, if it may have taken effect.
fn deed(action: &Action) -> Option<Deed> {
    let Operation::Change { change, .. } = &action.operation else { return None };
    let value = match change {
        Change::Set(value) => Some(String::from_utf8_lossy(value.as_bytes()).into_owned()),
        Change::Delete => None,
        Change::Add(_) | Change::Append(_) => return None,
    };
    let (ended, is_acknowledged) = match &action.ended {
        // A deletion that found nothing is a look; but an earlier attempt at it may have found something.
        Some((at, Ok(outcome))) if value.is_none() && outcome.copies == 0 => (*at, false),
        Some((at, Ok(_))) => (*at, true),
        Some((_, Err(error))) if is_definite(error) => return None,
        Some((at, Err(_))) => (*at, false),
        None => return None,
    };
    Some(Deed { value, began: action.began, ended, is_acknowledged })
}

/// What an action saw, if it changed nothing.
fn saw(action: &Action) -> Option<Saw> {
    let (ended, Ok(outcome)) = action.ended.as_ref()? else { return None };
    let is_deletion = matches!(action.operation, Operation::Change { change: Change::Delete, .. });
    if action.operation != Operation::Get && !(is_deletion && outcome.copies == 0) {
        return None;
    }
    let value = outcome.record.as_ref().and_then(|record| record.value.as_ref());
    let value = value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Some(Saw { value, began: action.began, ended: *ended })
}
