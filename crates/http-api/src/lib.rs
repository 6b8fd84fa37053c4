//! The outer face: routes, ranges, problem details, events and the embedded page.
//!
//! [`router`] joins a [`library`] of files with [`media`], which cuts them, and [`Torrents`]; [`Server`] runs it on a socket with
//! time-outs and limits. The only crate that knows JSON for browsers. The contract is `GET /api/v1/openapi.json`.
//!
//! ```text
//! guard (Host, headers, metrics)
//!   ├── page                     /, /assets/…
//!   ├── shows, events            /api/v1/shows…, /api/v1/events
//!   ├── video, playlists         /api/v1/video/{id}…  →  media::Title
//!   ├── lists                    /api/v1/playlist.m3u, /api/v1/strm/…
//!   ├── file                     /api/v1/video/{id}/file  →  byte ranges as they lie, or as they arrive
//!   └── torrents                 /api/v1/torrents…  →  engine::Session
//! ```
//!
//! Logs nobody in: users come with a later issue, so a server without them is for loopback only (see
//! [`HostPolicy`]).

mod body;
mod conditional;
mod disposition;
mod events;
mod extract;
mod file;
mod guard;
pub mod limits;
mod lists;
mod metrics;
mod openapi;
mod page;
mod places;
mod playable;
mod problem;
mod progressive;
mod prompt;
mod range;
mod routes;
mod server;
mod shows;
mod sidecar;
mod state;
mod status;
mod subtitles;
mod text;
mod torrents;
mod video;

pub use guard::HostPolicy;
pub use problem::Problem;
pub use range::{Asked, parse_range};
pub use routes::{router, routes};
pub use server::{Server, ServerError};
pub use state::{AppState, Shutdown};
pub use torrents::Torrents;
