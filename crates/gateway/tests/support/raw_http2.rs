//! Header fields, byte for byte -> one HTTP/2 request on a connection, and the start of its answer (IO).

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// What a client says first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Kinds of frames.
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
/// Flags of a request without body whose fields are in one frame.
pub(crate) const WHOLE: u8 = 0x5;

/// A header field, neither compressed nor remembered.
pub(crate) fn field(name: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name.as_bytes(), value] {
        let length = text.len();
        if length < 127 {
            bytes.push(u8::try_from(length).unwrap());
        } else {
            // An integer of more than one byte.
            bytes.push(127);
            let mut rest = length - 127;
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).unwrap());
        }
        bytes.extend(text);
    }
    bytes
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The next frame: its kind and what it holds; `None` when the connection ends.
pub(crate) async fn next_frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut payload).await.ok()?;
    Some((head[3], payload))
}

/// The settings in a frame of them: the number and the value of each.
pub(crate) fn settings(payload: &[u8]) -> Vec<(u16, u32)> {
    let (pairs, _) = payload.as_chunks::<6>();
    let read = |&[a, b, c, d, e, f]: &[u8; 6]| (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]));
    pairs.iter().map(read).collect()
}

/// What is said of one request with these fields: the first byte of the answer's fields, or `None` for a refusal to look at it.
pub(crate) async fn answered(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    fields: &[(&str, &[u8])],
) -> Option<u8> {
    let block: Vec<u8> = fields
        .iter()
        .flat_map(|(name, value)| field(name, value))
        .collect();
    let request = [
        PREFACE,
        &frame(SETTINGS, 0, 0, &[]),
        &frame(HEADERS, WHOLE, 1, &block),
    ]
    .concat();
    stream.write_all(&request).await.unwrap();
    let answer = async {
        loop {
            match next_frame(&mut stream).await? {
                (HEADERS, fields) => return fields.first().copied(),
                (RESET | GO_AWAY, _) => return None,
                _ => {}
            }
        }
    };
    timeout(Duration::from_secs(5), answer).await.unwrap()
}
