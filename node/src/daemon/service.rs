//! stub
use super::Daemon;
use std::sync::Arc;
pub(super) async fn serve(daemon: Arc<Daemon>) { daemon.stop.cancelled().await }
