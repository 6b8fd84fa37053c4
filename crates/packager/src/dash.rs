//! A static MPEG-DASH manifest (ISO/IEC 23009-1) over the same CMAF segments as the HLS playlists.

use crate::{PackagerError, Planned, playlist::MasterOptions};

/// The manifest; [`MasterOptions::format`] is not looked at, DASH is CMAF here.
///
/// # Errors
/// [`PackagerError::NotPlayable`] with the reasons, if the player can take none of the tracks.
pub fn manifest(planned: &Planned, options: &MasterOptions) -> Result<String, PackagerError> {
    let _ = (planned, options);
    Err(PackagerError::NotPlayable("not listed yet".to_owned()))
}
