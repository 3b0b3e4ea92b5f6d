//! A TCP proxy that breaks: it cuts connections, lets them hang half-open, and is slow.

use crate::failure::Result;
use crate::wait;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

#[derive(Default)]
struct State {
    /// Connections below this number hang: nothing is passed on, nothing is closed.
    hanging_below: usize,
    /// Of those below this one, only what clients send.
    requests_hanging_below: usize,
    /// Nothing that clients send is passed on, except for so many pieces.
    requests_hang: bool,
    passes: usize,
    delay: Duration,
    /// Both ends of each connection.
    open: Vec<(TcpStream, TcpStream)>,
    /// How many pieces clients have sent, those that are held back included.
    requests: usize,
}

impl State {
    fn is_hanging(&self, connection: usize, is_request: bool) -> bool {
        let request = self.requests_hang || connection < self.requests_hanging_below;
        connection < self.hanging_below || (is_request && request)
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Passes on what comes to the server at `port`.
    pub fn start(port: u16) -> Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let own_port = listener.local_addr()?.port();
        let shared = Arc::new(Shared::default());
        let serving = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A server that is away closes the connection, as it would itself.
                if let Ok(server) = TcpStream::connect(("127.0.0.1", port)) {
                    let _ = serving.serve(client, server);
                }
            }
        });
        Ok(Proxy {
            port: own_port,
            shared,
        })
    }

    /// Cuts all connections, and waits for a new one.
    pub fn cut(&self) -> Result<()> {
        let state = self.lock();
        let before = state.open.len();
        for (client, server) in &state.open {
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        }
        drop(state);
        wait::until("the bridge connects again", || {
            Ok(self.lock().open.len() > before)
        })
    }

    /// Lets the connections of now hang half-open; new ones are served.
    pub fn hang(&self) {
        let mut state = self.lock();
        state.hanging_below = state.open.len();
    }

    /// As [`Proxy::hang`], for what clients send; answers are passed on.
    pub fn hang_requests_of_now(&self) {
        let mut state = self.lock();
        state.requests_hanging_below = state.open.len();
    }

    /// Holds back what clients send, on new connections too. Answers are passed on.
    pub fn hang_requests(&self) {
        self.lock().requests_hang = true;
    }

    /// Lets one piece through that a client has sent or will send.
    pub fn pass_one_request(&self) {
        self.lock().passes += 1;
        self.shared.changed.notify_all();
    }

    /// What hung goes on, with all that was sent meanwhile.
    pub fn release(&self) {
        let mut state = self.lock();
        state.hanging_below = 0;
        state.requests_hanging_below = 0;
        state.requests_hang = false;
        state.passes = 0;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Passes on each piece this much later.
    pub fn delay(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// How many pieces clients have sent so far.
    pub fn requests(&self) -> usize {
        self.lock().requests
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(self: &Arc<Self>, client: TcpStream, server: TcpStream) -> Result<()> {
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let mut state = self.lock();
        let number = state.open.len();
        state.open.push((client.try_clone()?, server.try_clone()?));
        drop(state);
        let (to_server, to_client) = (server.try_clone()?, client.try_clone()?);
        let shared = self.clone();
        thread::spawn(move || shared.pass(number, client, to_server, true));
        let shared = self.clone();
        thread::spawn(move || shared.pass(number, server, to_client, false));
        Ok(())
    }

    /// Passes on one direction of a connection until its end.
    fn pass(&self, number: usize, mut from: TcpStream, mut to: TcpStream, is_request: bool) {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            let delay = self.wait_for_turn(number, is_request);
            thread::sleep(delay);
            if to.write_all(piece.get(..length).unwrap_or(&[])).is_err() {
                break;
            }
        }
        // A connection that hangs does not tell its end either.
        self.wait_for_turn(number, false);
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    /// Waits while the connection hangs; says how late it is to go on.
    fn wait_for_turn(&self, number: usize, is_request: bool) -> Duration {
        let mut state = self.lock();
        state.requests += usize::from(is_request);
        while state.is_hanging(number, is_request) {
            if is_request && state.passes > 0 {
                state.passes -= 1;
                break;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.delay
    }
}
