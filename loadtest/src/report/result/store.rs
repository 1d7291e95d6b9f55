//! Reports in files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Report;
use super::report::{FORMAT, VERSION};

/// Why a report cannot be stored or loaded.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not a report.
    #[error("{}: not a result of loadtest: {reason}", path.display())]
    NotAReport {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The report was written by a later program.
    #[error("{}: format version {version} is newer than {VERSION}, which this program knows: use a newer one", path.display())]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

/// What a file says of itself, whatever else is in it.
#[derive(serde::Deserialize)]
struct Head {
    format: String,
    version: u32,
}

impl Report {
    /// Loads a report, and refuses what is none, or one of a later format.
    pub fn load(path: &Path) -> Result<Self, StoreError> {
        let text = fs::read_to_string(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let not = |reason: String| StoreError::NotAReport { path: path.to_owned(), reason };
        let head: Head = serde_json::from_str(&text).map_err(|error| not(error.to_string()))?;
        if head.format != FORMAT {
            return Err(not(format!("its format is {:?}, not {FORMAT:?}", head.format)));
        }
        if head.version > VERSION {
            return Err(StoreError::Newer { path: path.to_owned(), version: head.version });
        }
        serde_json::from_str(&text).map_err(|error| not(error.to_string()))
    }

    /// Stores the report.
    pub fn save(&self, path: &Path) -> Result<(), StoreError> {
        let mut text = serde_json::to_string_pretty(self).expect("a report is made of plain values");
        text.push('\n');
        fs::write(path, text).map_err(|source| StoreError::File { path: path.to_owned(), source })
    }
}
