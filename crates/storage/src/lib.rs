//! Where the bytes of torrents live: files beneath one folder, or bounded memory; verified, resumable.
