//! What a worker sends to its parent: frames of a kind, a length and as many bytes.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest frame.
const LONGEST: usize = 1 << 30;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// What a `Record` was drained to.
    Records(Vec<u8>),
    /// A line.
    Said(String),
}

pub(crate) async fn write(
    to: &mut (impl AsyncWrite + Unpin + Send),
    frame: &Frame,
) -> std::io::Result<()> {
    let (kind, bytes) = match frame {
        Frame::Records(bytes) => (0, &bytes[..]),
        Frame::Said(text) => (1, text.as_bytes()),
    };
    to.write_u8(kind).await?;
    to.write_u64(bytes.len() as u64).await?;
    to.write_all(bytes).await?;
    to.flush().await
}

/// None at the end of the pipe.
pub(crate) async fn read(
    from: &mut (impl AsyncRead + Unpin + Send),
) -> std::io::Result<Option<Frame>> {
    let kind = match from.read_u8().await {
        Ok(kind) => kind,
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = usize::try_from(from.read_u64().await?).unwrap_or(usize::MAX);
    let invalid = |what| Err(std::io::Error::new(std::io::ErrorKind::InvalidData, what));
    if length > LONGEST {
        return invalid("a frame is too long");
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await?;
    match kind {
        0 => Ok(Some(Frame::Records(bytes))),
        1 => Ok(Some(Frame::Said(String::from_utf8_lossy(&bytes).into_owned()))),
        _ => invalid("a frame of no known kind"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_arrive_as_they_were_sent() {
        let sent = [Frame::Said("era 1".to_owned()), Frame::Records(vec![0, 255, 7])];
        let mut bytes = Vec::new();
        for frame in &sent {
            write(&mut bytes, frame).await.unwrap();
        }
        let mut from = &bytes[..];
        for frame in sent {
            assert_eq!(read(&mut from).await.unwrap(), Some(frame));
        }
        assert_eq!(read(&mut from).await.unwrap(), None);
    }
}
