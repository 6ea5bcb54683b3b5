//! Files that can't be read as a whole.

/// Why a whole file is refused. The run goes on with the next one.
#[derive(Clone, Copy, Debug)]
pub enum Refused {
    Encrypted,
    Foreign,
    Broken,
    TooLarge,
    Restless,
}

impl Refused {
    /// Code, message and remedy of its reject.
    pub fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Encrypted => (
                "encrypted-file",
                "The file is encrypted, or not text at all.",
                "Switch File Encryption off in the export's connection at MoEngage, or put decrypted files into the folder.",
            ),
            Self::Foreign => (
                "not-an-export-file",
                "The file has the name of an export, but no line of it is a JSON object.",
                "Look at the file; if MoEngage wrote it, ask their support.",
            ),
            Self::Broken => (
                "broken-file",
                "The file is not the gzip that it claims to be.",
                "Look at the file; if MoEngage wrote it, ask their support. Then run the backfill of its day again.",
            ),
            Self::TooLarge => (
                "file-too-large",
                "The file is larger, when inflated, than the host keeps for one installation.",
                "Let the operator raise the host's quota for files, then run the backfill of its day again.",
            ),
            Self::Restless => (
                "file-keeps-changing",
                "The file was written anew again and again while it was read.",
                "Find out what writes it, then run the backfill of its day again.",
            ),
        }
    }
}
