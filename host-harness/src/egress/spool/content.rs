//! From the bytes of an answer to the content of a file: one content encoding is taken off, and
//! then gzip or a zip archive of one file, where the first bytes say so. Everything else (an
//! encrypted file, say) passes as it is. Nothing is unwrapped twice.

use std::io::{self, Write};

use super::file::Draft;
use crate::egress::inflate::{Inflate, InflateError};
use crate::egress::unzip::{self, UnzipError, unzip};
use crate::world::HttpResponse;

/// First bytes of gzip (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// First bytes that tell what a file is.
const MAGIC: usize = 4;

/// Why a download can't become a file.
#[derive(Debug)]
pub enum Fault {
    /// The host's disk.
    Disk(io::Error),
    /// Larger than the quota, or than its compressed size makes plausible.
    TooLarge,
    /// Not the gzip or the archive that it claims to be, or not whole.
    Broken,
    /// An archive that is not one plain file; what it is.
    Archive(&'static str),
    /// An encoding that was not asked for.
    Encoding,
    /// What was to be continued is another file by now.
    Changed,
}

impl From<InflateError> for Fault {
    fn from(error: InflateError) -> Self {
        match error {
            InflateError::TooLarge => Self::TooLarge,
            InflateError::Broken => Self::Broken,
            InflateError::Sink(error) => Self::Disk(error),
        }
    }
}

impl From<UnzipError> for Fault {
    fn from(error: UnzipError) -> Self {
        match error {
            UnzipError::TooLarge => Self::TooLarge,
            UnzipError::Broken => Self::Broken,
            UnzipError::NotOneFile(what) => Self::Archive(what),
            UnzipError::Disk(error) => Self::Disk(error),
        }
    }
}

/// What takes the bytes of an answer.
pub enum Content {
    /// The file itself.
    Plain(File),
    /// The file under a content encoding of HTTP.
    Encoded(Box<Inflate<File>>),
}

impl Content {
    /// By the head of the answer. At most `cap` bytes go into `draft`.
    pub fn new(head: &HttpResponse, draft: Draft, cap: u64) -> Result<Self, Fault> {
        let file = File { form: Form::Unknown { first: Vec::new(), draft }, cap, fault: None };
        let mut encodings = head.headers.iter().filter(|(name, _)| name == "content-encoding");
        let encoding = encodings.next().map(|(_, value)| value.trim().to_ascii_lowercase());
        if encodings.next().is_some() {
            return Err(Fault::Encoding);
        }
        match encoding.as_deref() {
            None | Some("" | "identity") => Ok(Self::Plain(file)),
            Some("gzip" | "x-gzip") => Ok(Self::Encoded(Box::new(Inflate::new(file, cap)))),
            Some(_) => Err(Fault::Encoding),
        }
    }

    /// The next bytes. After an error nothing more may be pushed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match self {
            Self::Plain(file) => file.push(bytes),
            Self::Encoded(inflate) => {
                let pushed = inflate.push(bytes);
                pushed.map_err(|error| inflate.sink().fault.take().unwrap_or_else(|| error.into()))
            }
        }
    }

    /// The end: everything has to be whole.
    pub fn finish(self) -> Result<Draft, Fault> {
        match self {
            Self::Plain(file) => file.finish(),
            Self::Encoded(mut inflate) => {
                let finished = inflate.finish();
                finished.map_err(|error| inflate.sink().fault.take().unwrap_or_else(|| error.into()))?;
                inflate.into_sink()?.finish()
            }
        }
    }

    /// Bytes of the content so far.
    pub fn size(&mut self) -> u64 {
        match self {
            Self::Plain(file) => file.size(),
            Self::Encoded(inflate) => inflate.sink().size(),
        }
    }
}

/// A file that may be gzip or a zip archive.
pub struct File {
    form: Form,
    cap: u64,
    fault: Option<Fault>,
}

enum Form {
    /// Too little came to tell.
    Unknown {
        first: Vec<u8>,
        draft: Draft,
    },
    Plain(Draft),
    Gzip(Box<Inflate<Draft>>),
    /// As it came: what is in it is known at its end.
    Zip(Draft),
    /// An error ended it.
    Gone,
}

impl File {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Form::Unknown { first, .. } = &mut self.form else { return self.form.push(bytes, self.cap) };
        let (begin, rest) = bytes.split_at(bytes.len().min(MAGIC - first.len()));
        first.extend(begin);
        if first.len() < MAGIC {
            return Ok(());
        }
        self.decide()?;
        self.form.push(rest, self.cap)
    }

    /// By what came so far.
    fn decide(&mut self) -> Result<(), Fault> {
        let Form::Unknown { first, draft } = std::mem::replace(&mut self.form, Form::Gone) else {
            return Err(Fault::Broken);
        };
        self.form = if first.starts_with(&GZIP) {
            Form::Gzip(Box::new(Inflate::new(draft, self.cap)))
        } else if unzip::MAGIC.iter().any(|magic| first == magic) {
            Form::Zip(draft)
        } else {
            Form::Plain(draft)
        };
        self.form.push(&first, self.cap)
    }

    fn finish(mut self) -> Result<Draft, Fault> {
        if let Form::Unknown { .. } = self.form {
            self.decide()?;
        }
        match self.form {
            Form::Plain(draft) => Ok(draft),
            Form::Gzip(mut inflate) => {
                inflate.finish()?;
                Ok(inflate.into_sink()?)
            }
            Form::Zip(mut archive) => {
                let mut draft = archive.sibling().map_err(Fault::Disk)?;
                unzip(archive.reader().map_err(Fault::Disk)?, &mut draft, self.cap)?;
                Ok(draft)
            }
            Form::Unknown { .. } | Form::Gone => Err(Fault::Broken),
        }
    }

    fn size(&mut self) -> u64 {
        match &mut self.form {
            Form::Unknown { draft, .. } | Form::Plain(draft) | Form::Zip(draft) => draft.size(),
            Form::Gzip(inflate) => inflate.sink().size(),
            Form::Gone => 0,
        }
    }
}

impl Form {
    fn push(&mut self, bytes: &[u8], cap: u64) -> Result<(), Fault> {
        match self {
            Self::Plain(draft) | Self::Zip(draft)
                if draft.size().saturating_add(bytes.len() as u64) > cap =>
            {
                Err(Fault::TooLarge)
            }
            Self::Plain(draft) | Self::Zip(draft) => draft.write_all(bytes).map_err(Fault::Disk),
            Self::Gzip(inflate) => Ok(inflate.push(bytes)?),
            Self::Unknown { .. } | Self::Gone => Err(Fault::Broken),
        }
    }
}

/// For a file that comes out of a content encoding.
impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes).map_err(|fault| {
            self.fault = Some(fault);
            io::Error::from(io::ErrorKind::Other)
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
