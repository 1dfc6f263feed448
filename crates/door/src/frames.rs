//! Bytes that a client sends on a websocket -> whether they are use (pure).

/// Follows the frames of a client (RFC 6455, section 5.2). Frames of data are use. Ping, pong and close are not.
#[derive(Debug, Default)]
pub(crate) struct ClientFrames {
    /// The head of the next frame, as far as it is known.
    head: Vec<u8>,
    /// Bytes until the next head.
    rest: u64,
    data: bool,
}

/// The bit that opcodes of control frames have.
const CONTROL: u8 = 0x08;

impl ClientFrames {
    /// Takes the next bytes. Returns whether one of them belongs to a frame of data.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> bool {
        let (mut bytes, mut used) = (bytes, false);
        while !bytes.is_empty() {
            if self.rest == 0 {
                self.head.push(bytes[0]);
                bytes = &bytes[1..];
                if let Some(rest) = length(&self.head) {
                    self.data = self.head[0] & CONTROL == 0;
                    self.rest = rest;
                    self.head.clear();
                    used |= self.data;
                }
            } else {
                let part = usize::try_from(self.rest).map_or(bytes.len(), |rest| rest.min(bytes.len()));
                self.rest -= part as u64;
                bytes = &bytes[part..];
                used |= self.data;
            }
        }
        used
    }
}

/// Bytes after a complete head; `None`: the head is not complete.
fn length(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let payload = match second & 0x7f {
        126 => u64::from(u16::from_be_bytes(head.get(2..4)?.try_into().ok()?)),
        127 => u64::from_be_bytes(head.get(2..10)?.try_into().ok()?),
        short => u64::from(short),
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    Some(payload.saturating_add(mask))
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
    fn data_is_use_and_control_frames_are_not_in_pieces_of_any_size() {
        let control = [frame(0x9, 0), frame(0xA, 125), frame(0x9, 5)].concat();
        for size in [1, 2, 3, 7, 1000] {
            let mut frames = ClientFrames::default();
            let mut used = |bytes: &[u8]| {
                let parts = bytes.chunks(size);
                parts.filter(|part| frames.advance(part)).count() > 0
            };
            assert!(!used(&control), "{size}");
            for payload in [0, 125, 126, 70_000] {
                assert!(used(&frame(0x2, payload)), "{size} {payload}");
                assert!(!used(&control), "{size} {payload}");
            }
        }
    }

    #[test]
    fn an_endless_frame_takes_no_memory() {
        let mut frames = ClientFrames::default();
        let mut head = vec![0x82, 0xff];
        head.extend([0xff; 8]);
        assert!(frames.advance(&head));
        assert!(frames.advance(&[0; 4096]));
        assert!(frames.head.capacity() < 64);
    }
}
