//! static-map.

use crate::context::WorkerContext;
use crate::exchange::Exchange;

pub(crate) fn answer(_worker: &WorkerContext, _exchange: &Exchange) -> bool {
    false
}
