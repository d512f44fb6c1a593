//! Both sides of a proxy, by the byte: a client's connection, and an origin that does as it is told.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::PATIENCE;

/// One end of a connection. What is read is text, a character for each byte.
pub struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let unread = Vec::new();
        Self { stream, unread }
    }

    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        // The other side may have seen enough.
        let _ = self.stream.write_all(bytes.as_ref());
    }

    pub fn more(&mut self) -> bool {
        let mut buffer = [0; 1 << 16];
        let count = self.stream.read(&mut buffer).unwrap_or(0);
        self.unread.extend_from_slice(&buffer[..count]);
        count > 0
    }

    /// Reads up to and with `mark`, or to the end where it does not come.
    pub fn until(&mut self, mark: &[u8]) -> String {
        let mut from = 0;
        loop {
            let found = self.unread[from..]
                .windows(mark.len())
                .position(|w| w == mark);
            if let Some(at) = found {
                return text(self.unread.drain(..from + at + mark.len()));
            }
            from = (self.unread.len() + 1).saturating_sub(mark.len());
            if !self.more() {
                return text(self.unread.drain(..));
            }
        }
    }

    pub fn take(&mut self, length: usize) -> String {
        while self.unread.len() < length && self.more() {}
        let length = length.min(self.unread.len());
        text(self.unread.drain(..length))
    }

    /// Reads a message as its sender framed it; `head_only`: the answer to a HEAD.
    pub fn message(&mut self, head_only: bool) -> Message {
        let head = self.until(b"\r\n\r\n");
        let mut message = Message {
            whole: !head.is_empty(),
            body: String::new(),
            head,
        };
        let length = message.header("content-length");
        let length = length.first().map(|length| length.parse().unwrap());
        if head_only || ["204", "304"].contains(&message.status()) {
            return message;
        }
        if message.header("transfer-encoding") == ["chunked"] {
            message.whole = self.chunks(&mut message.body);
        } else if let Some(length) = length {
            message.body = self.take(length);
            message.whole = message.body.len() == length;
        } else if message.is_answer() {
            message.body = self.take(usize::MAX);
        }
        message
    }

    /// Reads chunks, and says whether the last one came.
    pub fn chunks(&mut self, body: &mut String) -> bool {
        while let Ok(size) = usize::from_str_radix(self.until(b"\r\n").trim(), 16) {
            *body += &self.take(size);
            self.take(2);
            if size == 0 {
                return true;
            }
        }
        false
    }
}

fn text(bytes: impl Iterator<Item = u8>) -> String {
    bytes.map(char::from).collect()
}

/// The bytes of such text.
pub fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

#[derive(Clone, Debug)]
pub struct Message {
    pub head: String,
    pub body: String,
    pub whole: bool,
}

impl Message {
    pub fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap()
    }

    pub fn is_answer(&self) -> bool {
        self.head.starts_with("HTTP/")
    }

    pub fn status(&self) -> &str {
        self.head.get(9..12).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Vec<&str> {
        let fields = self.head.split("\r\n").skip(1);
        let fields = fields.filter_map(|line| line.split_once(": "));
        fields
            .filter(|field| field.0 == name)
            .map(|field| field.1)
            .collect()
    }

    /// Its fields in the order of their names, without those called `but`.
    pub fn fields(&self, but: &[&str]) -> Vec<&str> {
        let lines = self.head.trim_end_matches("\r\n").split("\r\n").skip(1);
        let mut fields: Vec<_> = lines
            .filter(|l| !but.contains(&l.split(':').next().unwrap()))
            .collect();
        fields.sort_by_key(|line| line.split(':').next());
        fields
    }

    pub fn cache(&self) -> String {
        self.header("cache-status").join(", ")
    }
}

/// An origin that does as it is told.
pub struct Origin {
    pub address: String,
    pub seen: Arc<Mutex<Vec<Message>>>,
}

impl Origin {
    /// Lets `act` have each connection.
    pub fn acts(act: impl Fn(Wire) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let act = Arc::new(act);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let act = Arc::clone(&act);
                thread::spawn(move || act(Wire::new(stream.unwrap())));
            }
        });
        Self {
            address,
            seen: Arc::default(),
        }
    }

    /// Answers each request with what `answer` makes of it, and closes.
    pub fn answers(answer: impl Fn(&Message) -> String + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let origin = Self::acts(move |mut wire| {
            let request = wire.message(false);
            log.lock().unwrap().push(request.clone());
            wire.write(bytes(&answer(&request)));
        });
        Self { seen, ..origin }
    }

    pub fn plays(reply: &'static str) -> Self {
        Self::answers(|_| reply.to_owned())
    }

    pub fn asked(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub fn last(&self) -> Message {
        self.seen.lock().unwrap().last().unwrap().clone()
    }
}
