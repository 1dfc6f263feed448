//! Bytes that a client sends on a websocket -> the data in them (pure).

/// Bytes of a frame of VS Code that says more than that a page is there. What it sends by itself, once a second and in bursts, is the head
/// of a message, of 13 bytes, and hardly more. Other pages send less for a key or a movement of the mouse.
pub(crate) const LONG: u64 = 24;

/// Follows the frames of a client (RFC 6455, section 5.2). Ping, pong and close are no data.
#[derive(Debug, Default)]
pub(crate) struct ClientFrames {
    /// The head of the next frame, as far as it is known.
    head: Vec<u8>,
    /// Bytes until the next head.
    rest: u64,
    data: bool,
}

/// Data in some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Data {
    /// Frames of data that begin in them: none, where they go on with one.
    pub(crate) frames: usize,
    /// As many of these have [`LONG`] bytes at least.
    pub(crate) long: usize,
}

/// The bit that opcodes of control frames have.
const CONTROL: u8 = 0x08;

impl ClientFrames {
    /// Takes the next bytes. `None`: none of them belongs to a frame of data.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Option<Data> {
        let (mut bytes, mut found) = (bytes, None::<Data>);
        while !bytes.is_empty() {
            if self.rest == 0 {
                self.head.push(bytes[0]);
                bytes = &bytes[1..];
                if let Some((payload, mask)) = lengths(&self.head) {
                    self.data = self.head[0] & CONTROL == 0;
                    self.rest = payload.saturating_add(mask);
                    self.head.clear();
                    if self.data {
                        let found = found.get_or_insert_default();
                        found.frames += 1;
                        found.long += usize::from(payload >= LONG);
                    }
                }
            } else {
                let part = usize::try_from(self.rest).map_or(bytes.len(), |rest| rest.min(bytes.len()));
                self.rest -= part as u64;
                bytes = &bytes[part..];
                if self.data {
                    found.get_or_insert_default();
                }
            }
        }
        found
    }
}

/// Bytes of the payload after a complete head, and of the key before it; `None`: the head is not complete.
fn lengths(head: &[u8]) -> Option<(u64, u64)> {
    let second = *head.get(1)?;
    let payload = match second & 0x7f {
        126 => u64::from(u16::from_be_bytes(head.get(2..4)?.try_into().ok()?)),
        127 => u64::from_be_bytes(head.get(2..10)?.try_into().ok()?),
        short => u64::from(short),
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    Some((payload, mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, payload: usize) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match (u8::try_from(payload), u16::try_from(payload)) {
            (Ok(short), _) if short < 126 => frame.push(0x80 | short),
            (_, Ok(medium)) => {
                frame.push(0x80 | 0x7e);
                frame.extend(medium.to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 0x7f);
                frame.extend((payload as u64).to_be_bytes());
            }
        }
        // Masking key and payload, of bytes that look like a head of data.
        frame.extend(vec![0x81; 4 + payload]);
        frame
    }

    #[test]
    fn frames_of_data_are_counted_and_control_frames_are_no_data_in_pieces_of_any_size() {
        let control = [frame(0x9, 0), frame(0xA, 125), frame(0x9, 5)].concat();
        for size in [1, 2, 3, 7, 1000] {
            let mut frames = ClientFrames::default();
            let mut begun = |bytes: &[u8]| {
                let parts = bytes.chunks(size);
                let found = parts.filter_map(|part| frames.advance(part));
                found.reduce(|one, more| Data {
                    frames: one.frames + more.frames,
                    long: one.long + more.long,
                })
            };
            assert_eq!(begun(&control), None, "{size}");
            for (payload, long) in [(0, 0), (23, 0), (24, 1), (125, 1), (126, 1), (70_000, 1)] {
                let expected = |frames| Data {
                    frames,
                    long: frames * long,
                };
                let data = frame(0x2, payload);
                assert_eq!(begun(&data), Some(expected(1)), "{size} {payload}");
                assert_eq!(begun(&control), None, "{size} {payload}");
                let twice = [data.clone(), data].concat();
                assert_eq!(begun(&twice), Some(expected(2)), "{size} {payload}");
            }
        }
    }

    #[test]
    fn an_endless_frame_takes_no_memory() {
        let mut frames = ClientFrames::default();
        let mut head = vec![0x82, 0xff];
        head.extend([0xff; 8]);
        assert_eq!(frames.advance(&head), Some(Data { frames: 1, long: 1 }));
        assert_eq!(frames.advance(&[0; 4096]), Some(Data::default()));
        assert!(frames.head.capacity() < 64);
    }
}
