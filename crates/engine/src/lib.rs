//! The torrent engine: every swarm socket, one task per torrent, readers that wait for their bytes.
