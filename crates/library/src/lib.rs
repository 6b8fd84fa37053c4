//! What is in the folders: a plain scan, an identity that survives renames, titles, shows and their search.
//!
//! [`Library`] keeps a [`Catalog`] fresh in the background and hands out snapshots. A file is known by a fingerprint
//! of its content, so a [`VideoId`] stays the same over rescans and over renames of the file or its folders.
//!
//! A torrent's files are read the same way, from its list alone: [`Listing`].
//!
//! Opens no container (that is `media`), asks no metadata service, keeps no database: everything here is told by
//! names and bytes of the folders themselves.

mod catalog;
mod fold;
mod identity;
mod keeper;
mod kind;
pub mod limits;
mod listing;
mod name;
mod named;
mod query;
mod scan;
mod sidecars;

pub use catalog::{Catalog, Episode, Movie, OpenError, Series, Show, Sidecar, Video};
pub use fold::fold;
pub use identity::{Fingerprint, VideoId};
pub use keeper::Library;
pub use kind::FileKind;
pub use listing::{ListedFile, ListedSubtitle, Listing};
pub use name::{EpisodeNumber, ReleaseName};
pub use query::{Kind, Page, Query, QueryError, Sort};
pub use scan::Problem;
pub use sidecars::SidecarFormat;
