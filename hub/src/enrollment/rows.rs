//! The roll of nodes, kept in the registry's database beside the citizens.

use std::sync::Arc;

use super::{NodeEntry, RollError, RollStore};
use crate::registry::{Store, store::Write};

/// The table.
const NODES: &str = "nodes";

/// Keeps the roll in a registry's store.
pub struct RollRows(pub Arc<dyn Store>);

impl RollStore for RollRows {
    fn load(&self) -> Result<Vec<NodeEntry>, RollError> {
        let rows = self.0.rows(NODES).map_err(RollError::new)?;
        rows.iter().map(|(_, row)| NodeEntry::decode(row)).collect()
    }

    fn save(&self, entry: &NodeEntry) -> Result<(), RollError> {
        let row = Write::Row(NODES, entry.name.clone().into_bytes(), entry.encode()?);
        self.0.apply(&[row]).map_err(RollError::new)
    }
}
