//! The floor: an epoll loop that copies a SEND to everybody else in the room with a fresh
//! transaction id and Message-ID, and reads, parses and matches each 200. It checks nothing, limits
//! nothing, keeps no time: no switch that requests those replies can avoid this cost.

use std::io::{ErrorKind, IoSlice, Read, Write};

use memchr::memmem;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::session;

const LISTENER: Token = Token(usize::MAX);
/// Octets from which a body is written beside the head instead of being copied.
const SHARE_FROM: usize = 4096;

struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
    out: Vec<u8>,
    /// Its room, and its number in it.
    place: Option<(usize, usize)>,
    sent: u64,
    answered: u64,
}

struct Floor {
    poll: Poll,
    connections: Vec<Connection>,
    rooms: Vec<Vec<usize>>,
    dirty: Vec<usize>,
    address: String,
}

pub(crate) fn serve(rooms: usize, members: usize) {
    let mut listener =
        TcpListener::bind("127.0.0.1:0".parse().expect("an address")).expect("a listener");
    let address = listener.local_addr().expect("an address").to_string();
    println!("{address}");
    let poll = Poll::new().expect("epoll");
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)
        .expect("epoll");
    let mut floor = Floor {
        poll,
        connections: Vec::new(),
        rooms: vec![vec![usize::MAX; members]; rooms],
        dirty: Vec::new(),
        address,
    };
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        floor.poll.poll(&mut events, None).expect("epoll");
        for event in &events {
            match event.token() {
                LISTENER => floor.accept(&listener),
                Token(index) => floor.read(index, &mut buffer),
            }
        }
        for index in std::mem::take(&mut floor.dirty) {
            floor.connections[index].flush();
        }
    }
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.set_nodelay(true);
            let token = Token(self.connections.len());
            self.poll
                .registry()
                .register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)
                .expect("epoll");
            self.connections.push(Connection {
                stream,
                unread: Vec::new(),
                out: Vec::new(),
                place: None,
                sent: 0,
                answered: 0,
            });
        }
    }

    fn read(&mut self, index: usize, buffer: &mut [u8]) {
        if !self.connections[index].out.is_empty() {
            self.dirty.push(index);
        }
        loop {
            match self.connections[index].stream.read(buffer) {
                Ok(0) => return,
                Ok(count) => {
                    self.take(index, &buffer[..count]);
                    if count < buffer.len() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, index: usize, octets: &[u8]) {
        let mut unread = std::mem::take(&mut self.connections[index].unread);
        if unread.is_empty() {
            let used = self.messages(index, octets);
            unread.extend_from_slice(&octets[used..]);
        } else {
            unread.extend_from_slice(octets);
            let used = self.messages(index, &unread);
            unread.drain(..used);
        }
        self.connections[index].unread = unread;
    }

    /// Handles whole messages; returns the number of octets consumed.
    fn messages(&mut self, index: usize, input: &[u8]) -> usize {
        let mut used = 0;
        while let Some(length) = self.message(index, &input[used..]) {
            used += length;
        }
        used
    }

    fn message(&mut self, index: usize, input: &[u8]) -> Option<usize> {
        let line = memchr::memchr(b'\n', input)?;
        let space = 5 + memchr::memchr(b' ', input.get(5..line)?)?;
        let tid = &input[5..space];
        let mut from = line;
        let (end, after) = loop {
            let at = from + memmem::find(&input[from..], b"\r\n-------")?;
            let rest = &input[at + 9..];
            if rest.len() < tid.len() + 3 {
                return None;
            }
            if rest.starts_with(tid) {
                break (at, at + 9 + tid.len() + 3);
            }
            from = at + 9;
        };
        if input[space + 1].is_ascii_digit() {
            let number = std::str::from_utf8(&tid[13..]).ok()?;
            let number = u64::from_str_radix(number, 16).ok()?;
            let connection = &mut self.connections[index];
            connection.answered = connection.answered.max(number);
            return Some(after);
        }
        let head = memmem::find(&input[..end], b"\r\n\r\n");
        match head {
            None => self.bind(index, &input[..end], tid),
            Some(head) => self.fan_out(index, &input[head + 4..end], tid),
        }
        Some(after)
    }

    fn bind(&mut self, index: usize, head: &[u8], tid: &[u8]) {
        let head = std::str::from_utf8(head).expect("a head");
        let name = head.split('/').nth(3).expect("a session");
        let (room, rest) = name[1..].split_once('m').expect("a room");
        let (member, _) = rest.split_once('-').expect("a member");
        let room: usize = room.parse().expect("a number");
        let member: usize = member.parse().expect("a number");
        self.rooms[room][member] = index;
        self.connections[index].place = Some((room, member));
        self.answer(index, tid);
    }

    fn answer(&mut self, index: usize, tid: &[u8]) {
        let connection = &mut self.connections[index];
        let (room, member) = connection.place.expect("bound");
        let name = session(room, member);
        let out = &mut connection.out;
        if out.is_empty() {
            self.dirty.push(index);
        }
        for part in [
            b"MSRP ",
            tid,
            b" 200 OK\r\nTo-Path: msrp://127.0.0.1:9/",
            name.as_bytes(),
            b"p;tcp\r\nFrom-Path: msrp://",
            self.address.as_bytes(),
            b"/",
            name.as_bytes(),
            b";tcp\r\n-------",
            tid,
            b"$\r\n",
        ] {
            out.extend_from_slice(part);
        }
    }

    fn fan_out(&mut self, index: usize, body: &[u8], tid: &[u8]) {
        self.answer(index, tid);
        let (room, own) = self.connections[index].place.expect("bound");
        let length = body.len().to_string();
        for member in 0..self.rooms[room].len() {
            let other = self.rooms[room][member];
            if member == own || other == usize::MAX {
                continue;
            }
            let connection = &mut self.connections[other];
            if connection.out.is_empty() {
                self.dirty.push(other);
            }
            connection.sent += 1;
            let mut tid = *b"abcdefghijklm00000000";
            for (place, octet) in tid[13..].iter_mut().enumerate() {
                let digit = connection.sent >> (4 * (7 - place)) & 15;
                *octet = b"0123456789abcdef"[digit as usize];
            }
            connection.head(&tid, room, member, &self.address, &length);
            if body.len() < SHARE_FROM {
                connection.out.extend_from_slice(body);
                connection.end(&tid);
            } else {
                connection.large(&tid, body);
            }
        }
    }
}

impl Connection {
    fn head(&mut self, tid: &[u8], room: usize, member: usize, address: &str, length: &str) {
        let (mut first, mut second) = ([0; 8], [0; 8]);
        let (room, member) = (decimal(room, &mut first), decimal(member, &mut second));
        for part in [
            b"MSRP ",
            tid,
            b" SEND\r\nTo-Path: msrp://127.0.0.1:9/r",
            room,
            b"m",
            member,
            b"-abcdefghijklmnopp;tcp\r\nFrom-Path: msrp://",
            address.as_bytes(),
            b"/r",
            room,
            b"m",
            member,
            b"-abcdefghijklmnop;tcp\r\nMessage-ID: ",
            tid,
            b"\r\nByte-Range: 1-*/",
            length.as_bytes(),
            b"\r\nContent-Type: message/cpim\r\n\r\n",
        ] {
            self.out.extend_from_slice(part);
        }
    }

    fn end(&mut self, tid: &[u8]) {
        for part in [b"\r\n-------", tid, b"$\r\n"] {
            self.out.extend_from_slice(part);
        }
    }

    /// Writes a large body at once; copies the part that does not fit.
    fn large(&mut self, tid: &[u8], body: &[u8]) {
        let head = std::mem::take(&mut self.out);
        self.end(tid);
        let tail = std::mem::take(&mut self.out);
        let parts = [&head[..], body, &tail[..]];
        let slices = parts.map(IoSlice::new);
        let mut written = self.stream.write_vectored(&slices).unwrap_or(0);
        for part in parts {
            let skip = written.min(part.len());
            written -= skip;
            self.out.extend_from_slice(&part[skip..]);
        }
    }

    fn flush(&mut self) {
        let mut done = 0;
        while done < self.out.len() {
            match self.stream.write(&self.out[done..]) {
                Ok(count) => done += count,
                Err(_) => break,
            }
        }
        self.out.drain(..done);
    }
}

/// A number in decimal digits, without allocation.
fn decimal(mut number: usize, digits: &mut [u8; 8]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 || start == 0 {
            return &digits[start..];
        }
    }
}
