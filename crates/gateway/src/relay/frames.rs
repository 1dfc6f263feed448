//! bytes of a websocket -> where a frame ends; reason -> close frame (pure).

/// Tracks a stream of websocket frames (RFC 6455, section 5.2) without reading their content.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// First bytes of a frame of unknown length; only `have` of them are set.
    head: [u8; 10],
    have: usize,
    /// Remaining bytes of the current frame after its head.
    left: u64,
    closed: bool,
}

/// A ping frame of a server.
pub(super) const SERVERS_PING: &[u8] = &[0x89, 0];
/// A ping frame of a client. It has no payload to mask, so any key is valid.
pub(super) const CLIENTS_PING: &[u8] = &[0x89, 0x80, 0, 0, 0, 0];
/// The opcode bits in the first byte of a frame, and the opcode of a close frame.
const KIND: u8 = 0x0F;
const CLOSE: u8 = 0x8;

/// Why the gateway closes a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// The user may no longer connect.
    AccessEnded,
    /// This replica stops; another one takes over.
    Shutdown,
    /// The client is gone.
    ClientGone,
    /// The pod is gone.
    PodGone,
}

impl CloseReason {
    /// The close frame for the client. JupyterLab does not reconnect after 1000 and 1001, but does after any other code. A
    /// reconnect without access is refused at the handshake.
    pub(super) fn frame(self) -> Vec<u8> {
        match self {
            Self::AccessEnded => close(1008, "access ended"),
            Self::Shutdown => close(1012, "the gateway restarts"),
            Self::ClientGone => close(1011, "the client did not answer"),
            Self::PodGone => close(1011, "the workspace's server did not answer"),
        }
    }
}

impl Frames {
    /// Whether the bytes so far end with a whole frame, so that another frame may be inserted here.
    pub(super) fn at_boundary(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    /// Whether a close frame has started: no frame may follow it.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Consumes all bytes.
    pub(super) fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = self.finish(bytes);
            bytes = &bytes[taken..];
        }
    }

    /// Consumes bytes up to the end of the current frame, or all of them if it ends later. Returns their number.
    pub(super) fn finish(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while self.left == 0 && taken < bytes.len() {
            self.head[self.have] = bytes[taken];
            self.have += 1;
            taken += 1;
            if let Some(left) = length(&self.head[..self.have]) {
                self.closed |= self.head[0] & KIND == CLOSE;
                self.have = 0;
                self.left = left;
                if left == 0 {
                    return taken;
                }
            }
        }
        let rest = bytes.len() - taken;
        let part = usize::try_from(self.left).map_or(rest, |left| left.min(rest));
        self.left -= part as u64;
        taken + part
    }
}

/// Bytes after a head (masking key included), once the head is complete.
fn length(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let payload = match second & 0x7F {
        126 => u64::from(u16::from_be_bytes(head.get(2..4)?.try_into().ok()?)),
        127 => u64::from_be_bytes(head.get(2..10)?.try_into().ok()?),
        short => u64::from(short),
    };
    Some(payload.saturating_add(mask))
}

/// A close frame of a server. `reason` is at most 123 bytes; the rest is cut off.
pub(super) fn close(code: u16, reason: &str) -> Vec<u8> {
    let reason = &reason.as_bytes()[..reason.floor_char_boundary(123)];
    let mut frame = vec![0x88, 0];
    frame.extend(code.to_be_bytes());
    frame.extend(reason);
    frame[1] = u8::try_from(frame.len() - 2).unwrap_or(125);
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(payload: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut bytes = vec![0x82];
        match payload {
            0..126 => bytes.push(mask + u8::try_from(payload).unwrap()),
            126..0x1_0000 => {
                bytes.push(mask + 126);
                bytes.extend(u16::try_from(payload).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(mask + 127);
                bytes.extend((payload as u64).to_be_bytes());
            }
        }
        bytes.resize(bytes.len() + payload + if masked { 4 } else { 0 }, 0xFF);
        bytes
    }

    proptest! {
        #[test]
        fn boundaries_are_found_however_the_bytes_are_cut(
            frames in prop::collection::vec((prop_oneof![0_usize..130, 65_530_usize..65_540], any::<bool>()), 1..6),
            cut in 1_usize..5000,
        ) {
            let mut stream = Vec::new();
            let mut ends = vec![0];
            for (payload, masked) in frames {
                stream.extend(frame(payload, masked));
                ends.push(stream.len());
            }
            let mut follower = Frames::default();
            let mut at = 0;
            for chunk in stream.chunks(cut) {
                prop_assert_eq!(follower.at_boundary(), ends.contains(&at));
                follower.advance(chunk);
                at += chunk.len();
            }
            prop_assert!(follower.at_boundary());
        }
    }

    #[test]
    fn finishing_a_frame_takes_nothing_of_the_next() {
        let mut stream = frame(10, false);
        let first = stream.len();
        stream.extend(frame(3, true));
        let mut follower = Frames::default();
        follower.advance(&stream[..5]);
        assert!(!follower.at_boundary());
        assert_eq!(follower.finish(&stream[5..]), first - 5);
        assert!(follower.at_boundary());
    }

    #[test]
    fn a_length_beyond_all_memory_is_only_a_number() {
        let mut follower = Frames::default();
        follower.advance(&[
            0x82, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3,
        ]);
        assert!(!follower.at_boundary());
    }

    #[test]
    fn a_close_frame_holds_code_and_reason_within_its_bound() {
        assert_eq!(close(1008, "bye"), [0x88, 5, 0x03, 0xF0, b'b', b'y', b'e']);
        let long = close(1012, &"ä".repeat(100));
        assert_eq!((long.len(), long[1]), (126, 124));
    }

    #[test]
    fn close_frames_are_recognised_and_our_own_frames_are_complete() {
        let mut follower = Frames::default();
        for bytes in [SERVERS_PING, CLIENTS_PING, &frame(200, true), &[0x8A, 0]] {
            follower.advance(bytes);
            assert!(follower.at_boundary() && !follower.is_closed(), "{bytes:?}");
        }
        follower.advance(&close(1000, "bye"));
        assert!(follower.at_boundary() && follower.is_closed());
    }
}
